"""Leases and databases that do not agree, that are away, or whose daemon is killed: in the end exactly the live leases have users."""
import concurrent.futures
import os
import random
import threading
import time

from harness import ADMIN, APP, Failure, failure, wait_for
from lease_world import admin, app, postgres, world  # noqa: F401 (fixtures)
from lease_world import ACTIVE, AUDITOR, CREATING, PLAIN, REVOKING, World, logs_in, running, waits_for
from postgres import Postgres

LEASES = int(os.environ.get("KMS_LEASES", "60"))  # 2000 takes minutes


def test_a_sweep(world, admin, app, postgres):
    role = world.role()
    kept, lost = (app.GenerateCredentials(role_name=role) for _ in range(2))
    prefix = admin.DescribeDatabaseRole(role_name=role).user_prefix
    postgres.sql(f'DROP ROLE "{lost.username}"; CREATE ROLE "kms-other-x"; CREATE ROLE "{prefix}orphan" LOGIN')
    postgres.sql(f'GRANT SELECT ON things TO "{prefix}orphan"')
    with world.service.client(AUDITOR) as auditor:
        for _ in range(2):
            told = auditor.SweepLeases(report_only=True)
            assert (list(told.orphans), list(told.lost), list(told.failures)) == ([prefix + "orphan"], [lost.lease_id], [])
        assert set(world.users(admin, role)) == {kept.username, prefix + "orphan"}
    told = admin.SweepLeases(role_name=role)
    assert (list(told.orphans), list(told.lost), list(told.failures)) == ([prefix + "orphan"], [lost.lease_id], [])
    assert world.users(admin, role) == [kept.username] and set(world.leases(admin, role)) == {kept.lease_id}
    assert postgres.sql("SELECT 1 FROM pg_roles WHERE rolname = 'kms-other-x'") == "1"  # nobody's here
    assert not admin.SweepLeases(role_name=role).orphans
    assert world.service.records(operation="SweepLeases", kind="outcome")[-2]["extra"]["lost"] == lost.lease_id.rsplit("/", 1)[1]


def test_an_orphan_that_cannot_be_removed_is_told(world, admin, postgres):
    role = world.role()
    orphan = admin.DescribeDatabaseRole(role_name=role).user_prefix + "owner"
    postgres.sql(f'CREATE ROLE "{orphan}" LOGIN; CREATE TABLE owned (id int); ALTER TABLE owned OWNER TO "{orphan}"')
    told = admin.SweepLeases(role_name=role)
    assert list(told.orphans) == [orphan] and len(told.failures) == 1 and told.failures[0].startswith(orphan + ": DATABASE_FAILED")
    postgres.sql("DROP TABLE owned")
    assert not admin.SweepLeases(role_name=role).failures and not world.users(admin, role)


def test_sweeps_by_itself(tmp_path, postgres):
    world = World(tmp_path / "home", postgres, leases={"sweep_interval": "200ms"})
    role = world.role()
    with world.service.client(ADMIN) as admin, world.service.client(APP) as app:
        made = app.GenerateCredentials(role_name=role)
        orphan = admin.DescribeDatabaseRole(role_name=role).user_prefix + "orphan"
        postgres.sql(f'CREATE ROLE "{orphan}"; DROP ROLE "{made.username}"')
        wait_for(lambda: not world.leases(admin, role) and not world.users(admin, role), what="a sweep")
    log = world.service.log_text()
    assert f"user={orphan} has no lease" in log and f"lease={made.lease_id} has no user" in log
    swept = world.service.records(operation="SweepLeasesOnSchedule", kind="outcome")
    named = [r["extra"]["orphans"] for r in swept if "orphans" in r.get("extra", ())]
    assert named and set(named) == {orphan}
    world.service.stop()


def test_what_a_sweep_could_not_do_is_on_record(tmp_path, postgres):
    """Some of it: the log has all."""
    world = World(tmp_path / "home", postgres, leases={"sweep_interval": "200ms", "turn": "5m"})
    role = world.role()
    with world.service.client(ADMIN) as admin:
        prefix = admin.DescribeDatabaseRole(role_name=role).user_prefix
        orphans = [f"{prefix}owner{number:02}" for number in range(20)]
        owned = "".join(f'CREATE ROLE "{o}"; CREATE SCHEMA "{o}" AUTHORIZATION "{o}";' for o in orphans)
        postgres.sql(f"BEGIN; {owned} COMMIT")

        def recorded():
            for record in world.service.records(operation="SweepLeasesOnSchedule", kind="outcome"):
                if "16 more" in record.get("extra", {}).get("failures", ""):
                    return record
            return None

        record = wait_for(recorded, what="a sweep of all of them")
        assert record["extra"]["orphans"] == ", ".join(orphans[:16]) + " and 4 more"
        failures = record["extra"]["failures"]
        assert failures.count("DATABASE_FAILED") == 4 and failures.startswith(orphans[0] + ": DATABASE_FAILED")
        assert record["extra"]["noted"] == "20 users without a lease, 0 leases without a user, 20 failures"
        assert all(f'failed="{orphan}: DATABASE_FAILED' in world.service.log_text() for orphan in orphans)
        postgres.sql("".join(f'DROP SCHEMA "{orphan}";' for orphan in orphans))
        wait_for(lambda: not world.users(admin, role), what="the next sweep")
    world.service.stop()


def test_a_sweep_of_databases_that_leases_are_in(tmp_path, postgres):
    """The one that the role names and those of its leases; one that is away is told and keeps nobody from the other."""
    second = Postgres()
    world = World(tmp_path / "home", postgres, second)
    role = world.role(database="second")
    with world.service.client(ADMIN) as admin, world.service.client(APP) as app:
        there = app.GenerateCredentials(role_name=role)
        lost = app.GenerateCredentials(role_name=role)
        world.put(admin, role)
        here = app.GenerateCredentials(role_name=role)
        orphan = admin.DescribeDatabaseRole(role_name=role).user_prefix + "orphan"
        second.sql(f'CREATE ROLE "{orphan}"; DROP ROLE "{lost.username}"')
        told = admin.SweepLeases(role_name=role)
        assert (list(told.orphans), list(told.lost), list(told.failures)) == ([orphan], [lost.lease_id], [])
        assert logs_in(second, there) and logs_in(postgres, here)
        second.stop()
        postgres.sql(f'CREATE ROLE "{orphan}"')
        told = admin.SweepLeases(role_name=role)
        assert list(told.orphans) == [orphan] and not told.lost and len(told.failures) == 1
        assert told.failures[0].startswith(f"{role} in database second: DATABASE_UNAVAILABLE")
        second.start()
        admin.RevokePrefix(prefix=role + "/")
        wait_for(lambda: not world.leases(admin, role), what="the end of all")
    world.service.stop()
    second.close()


def test_a_database_that_is_away_delays_and_loses_nothing(tmp_path):
    server = Postgres()
    world = World(tmp_path / "home", server)
    roles = [world.role(), world.role(default_ttl=1)]
    with world.service.client(ADMIN) as admin, world.service.client(APP) as app:
        made = app.GenerateCredentials(role_name=roles[0])
        server.stop()
        app.RevokeLease(lease_id=made.lease_id)  # does not wait for the database
        assert failure(app.GenerateCredentials, role_name=roles[0]).reason == "DATABASE_UNAVAILABLE"
        assert failure(admin.SweepLeases, role_name=roles[0]).reason == "DATABASE_UNAVAILABLE"
        wait_for(lambda: "err=DATABASE_UNAVAILABLE tried again later" in world.service.log_text(), what="an attempt")
        assert [lease.state for lease in world.leases(admin, roles[0]).values()] == [REVOKING] * 2
        with world.service.client(AUDITOR) as auditor:
            failures = list(auditor.SweepLeases().failures)
            assert [one.split(": ")[:2] for one in failures] == [[role, "DATABASE_UNAVAILABLE"] for role in sorted(roles)]
            assert failures[1].endswith("database main, as above")  # it is waited for once
    world.service.stop()
    world.service.start()  # neither do restarts
    with world.service.client(ADMIN) as admin:
        assert world.leases(admin, roles[0])[made.lease_id].state == REVOKING
        server.start()
        world.gone(admin, roles[0])
        assert not logs_in(server, made)
    world.service.stop()
    server.close()


def test_a_database_that_is_away_holds_up_no_other(tmp_path, postgres):
    """Leases of one role in two databases: those in the one that works end, and orphans there are found."""
    second = Postgres()
    world = World(tmp_path / "home", postgres, second, leases={"min_ttl": "1s", "backoff": "50ms", "sweep_interval": "500ms"})
    role = world.role(database="second")
    with world.service.client(ADMIN) as admin, world.service.client(APP) as app:
        there = {app.GenerateCredentials(role_name=role).lease_id for _ in range(8)}
        world.put(admin, role)
        here = app.GenerateCredentials(role_name=role)
        second.stop()
        assert admin.RevokePrefix(prefix=role + "/").revoked == 9
        wait_for(lambda: set(world.leases(admin, role)) == there, what="the end of the one")
        assert not logs_in(postgres, here)
        orphan = admin.DescribeDatabaseRole(role_name=role).user_prefix + "orphan"
        postgres.sql(f'CREATE ROLE "{orphan}"')
        wait_for(lambda: not world.users(admin, role), what="a sweep")
        second.start()
        wait_for(lambda: not world.leases(admin, role), what="the end of all")
    world.service.stop()
    second.close()


def test_one_turn_ends_some_leases(tmp_path, postgres):
    """Each takes longer than a turn, so each is one."""
    world = World(tmp_path / "home", postgres, leases={"turn": "10ms", "threads": 1}, jobs={"interval": "50ms"})
    role = world.role(revocation_statements=["SELECT pg_sleep(0.05)", 'DROP ROLE "{{name}}"'])
    with world.service.client(ADMIN) as admin, world.service.client(APP) as app:
        for _ in range(3):
            app.GenerateCredentials(role_name=role)
        assert admin.RevokePrefix(prefix=role + "/").revoked == 3
        world.gone(admin, role)
    turns = world.service.records(operation="EndLeases", kind="outcome")
    assert [turn["outcome"] for turn in turns] == ["OK"] * 3
    assert [turn["extra"].get("noted") for turn in turns] == [
        "1 are gone, 2 have to wait for the next turn", "1 are gone, 1 have to wait for the next turn", None]  # fmt: skip
    world.service.stop()


def test_stopping_waits_for_no_database(tmp_path, postgres):
    """Neither for one that ends leases nor, beyond rpc.drain, for one that makes a user. What was begun is ended later."""
    world = World(tmp_path / "home", postgres, options={"statement_timeout": "10m"}, rpc={"drain": "200ms"})
    slow, hanging = world.role([PLAIN, "SELECT pg_sleep(501)"]), world.role(revocation_statements=["SELECT pg_sleep(502)"])
    with world.service.client(ADMIN) as admin, world.service.client(APP) as app:
        made = [app.GenerateCredentials(role_name=hanging) for _ in range(3)]
        assert admin.RevokePrefix(prefix=hanging + "/").revoked == 3
        call = app.start("GenerateCredentials", role_name=slow)
        for what in ("pg_sleep(501)", "pg_sleep(502)"):
            wait_for(lambda: running(postgres, what), what=what)  # noqa: B023
        world.service.stop()  # its time is shorter than theirs
        assert call.exception() is not None
    world.service.start()
    with world.service.client(ADMIN) as admin:
        assert [lease.state for lease in world.leases(admin, hanging).values()] == [REVOKING] * 3
        world.put(admin, hanging, resource_policy="")

        def unblocked():
            for pid in running(postgres, "pg_sleep(50"):
                postgres.sql(f"SELECT pg_terminate_backend({pid})")
            return not world.leases(admin, hanging) and not world.leases(admin, slow)

        wait_for(unblocked, what="the end of all")
        assert not world.users(admin, hanging) and not any(logs_in(postgres, one) for one in made)
        admin.SweepLeases(role_name=slow)
        assert not world.users(admin, slow)
    world.service.stop()


def test_a_restart_keeps_what_is_active(tmp_path, postgres):
    world = World(tmp_path / "home", postgres)
    role = world.role()
    with world.service.client(APP) as app:
        made = app.GenerateCredentials(role_name=role)
    world.service.kill()
    world.service.start()
    with world.service.client(ADMIN) as admin, world.service.client(APP) as app:
        assert world.leases(admin, role)[made.lease_id].state == ACTIVE and logs_in(postgres, made)
        app.RenewLease(lease_id=made.lease_id, increment=7000)
        app.RevokeLease(lease_id=made.lease_id)
        world.service.kill()
    world.service.start()
    with world.service.client(ADMIN) as admin:
        world.gone(admin, role)
    assert not logs_in(postgres, made)
    world.service.stop()


def test_killed_while_the_user_is_made(tmp_path, postgres):
    """The creation statements wait; kmsd is killed; they end by themselves, and the user that nobody knows goes."""
    world = World(tmp_path / "home", postgres)
    role = world.role([PLAIN, waits_for("go_on")])
    with world.service.client(APP) as app, world.service.client(ADMIN) as admin:
        call = app.start("GenerateCredentials", role_name=role)
        wait_for(lambda: running(postgres, "go_on"), what="the statement")
        assert [lease.state for lease in world.leases(admin, role).values()] == [CREATING]
        world.service.kill()
        assert call.exception() is not None
    world.service.start()
    with world.service.client(ADMIN) as admin:
        world.gone(admin, role)
        postgres.sql("CREATE TABLE go_on (x int)")
        wait_for(lambda: not running(postgres, "go_on"), what="its end")
        admin.SweepLeases(role_name=role)  # what the server may have committed after kmsd looked
        assert not world.users(admin, role)
    world.service.stop()


# None: nobody answered.
AWAY = (None, "DATABASE_UNAVAILABLE", "DATABASE_FAILED", "SHUTTING_DOWN", "DEADLINE_EXCEEDED", "HSM_UNAVAILABLE")


class Chaos:
    """Callers that make, renew and revoke leases, and somebody who kills kmsd and PostgreSQL."""

    def __init__(self, world, role, count):
        self.world, self.role, self.count = world, role, count
        self.lock, self.over = threading.Lock(), threading.Event()
        self.made = 0
        self.live, self.ended = {}, set()  # as the callers were told

    def ask(self, method, **fields):
        """None when nobody answered, or the database was away."""
        try:
            with self.world.service.client(APP) as app:
                return getattr(app, method)(timeout=30, **fields)
        except Failure as refused:
            assert refused.reason in AWAY, refused
            time.sleep(0.1)

    def caller(self, seed):
        dice = random.Random(seed)
        while not self.over.is_set():
            with self.lock:
                if self.made >= self.count:
                    return
                victim = dice.choice(sorted(self.live)) if self.live and dice.random() < 0.4 else None
                if victim:
                    self.live.pop(victim)
            if victim is None:
                got = self.ask("GenerateCredentials", role_name=self.role)
                if got is not None:
                    with self.lock:
                        self.live[got.lease_id] = got
                        self.made += 1
            elif self.ask("RevokeLease", lease_id=victim) is not None:
                self.ended.add(victim)

    def killer(self, seed):
        dice, killed = random.Random(seed), 0
        while not self.over.wait(dice.uniform(0.5, 2.5)):
            if dice.random() < 0.5:
                self.world.service.kill()
                self.world.service.start()
            else:
                self.world.postgres.stop("immediate")
                time.sleep(dice.uniform(0, 0.5))
                self.world.postgres.start()
            killed += 1
        return killed


def test_exactly_the_live_leases_have_users(tmp_path):
    """KMS_LEASES of them, kmsd and PostgreSQL killed at random."""
    server = Postgres()
    world = World(tmp_path / "home", server, limits={"leases_per_principal": 50000, "leases": 50000})
    role = world.role(default_ttl=86400)
    chaos = Chaos(world, role, LEASES)
    world.service.client(APP).close()  # its certificate is there before many threads want it
    seed = random.randrange(10**6)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        killer = pool.submit(chaos.killer, seed)
        callers = [pool.submit(chaos.caller, seed + number) for number in range(1, 5)]
        try:
            for caller in callers:
                caller.result(1800)
        finally:
            chaos.over.set()
        assert killer.result(120) > 0
    with world.service.client(ADMIN) as admin:
        settled = lambda: all(lease.state == ACTIVE for lease in world.leases(admin, role).values())  # noqa: E731
        wait_for(settled, 300, "the end of those that are ending")
        admin.SweepLeases(role_name=role)
        leases = world.leases(admin, role)
        assert set(world.users(admin, role)) == {lease.username for lease in leases.values()}, seed
        assert set(chaos.live) <= set(leases) and not chaos.ended & set(leases), seed
        assert all(logs_in(server, one) for one in random.Random(seed).sample(list(chaos.live.values()), min(10, len(chaos.live))))
        began = time.monotonic()
        count = len(leases)
        assert admin.RevokePrefix(prefix=role + "/").revoked == count
        admin.ListDatabaseRoles()  # thousands that end at once do not stall the service
        assert time.monotonic() - began < 20
    world.service.stop()  # nor hold it up when it stops
    world.service.start()
    with world.service.client(ADMIN) as admin:
        wait_for(lambda: not world.leases(admin, role), 600, "the end of all")
        assert not world.users(admin, role)
    world.service.stop()
    server.close()
