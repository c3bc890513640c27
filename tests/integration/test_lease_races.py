"""Leases that several do something with at the same time, here and in the database: nobody fails for another, and nothing is lost."""
import concurrent.futures
import random
import threading

from harness import ADMIN, APP, Failure, wait_for
from lease_world import CREATING, PLAIN, VAULT, World, logs_in, running, waits_for
from lease_world import postgres  # noqa: F401 (fixture)


def test_many_at_once_on_the_same_tables(tmp_path, postgres):
    """GRANT and REVOKE of two transactions on one table do not go together: whoever fails tries again, and nobody hears of it."""
    world = World(tmp_path / "home", postgres, limits={"admin_threads": 8}, leases={"threads": 4})
    roles = [world.role([VAULT]) for _ in range(4)]
    postgres.sql("".join(f"CREATE TABLE many{n} (id int);" for n in range(8)))
    world.service.client(APP).close()  # its certificate is there before many threads want it

    def some(role):
        with world.service.client(APP) as app:
            made = [app.GenerateCredentials(role_name=role, timeout=60) for _ in range(6)]
            for one in made[::2]:
                app.RevokeLease(lease_id=one.lease_id)
            return made

    with concurrent.futures.ThreadPoolExecutor(8) as pool, world.service.client(ADMIN) as admin:
        made = [one for some in pool.map(some, roles * 2) for one in some]
        assert len(made) == 48 and all(logs_in(postgres, one) for one in made[1::2])
        for role in roles:
            admin.RevokePrefix(prefix=role + "/")
        for role in roles:
            world.gone(admin, role)
            assert not world.users(admin, role)
    outcomes = {r["outcome"] for r in world.service.records(kind="outcome") if r["operation"] in ("GenerateCredentials", "EndLeases")}
    assert outcomes == {"OK"} and "lease.revocation" not in world.service.log_text()
    postgres.sql("".join(f"DROP TABLE many{n};" for n in range(8)))
    world.service.stop()


def test_revoked_while_the_user_is_made(tmp_path, postgres):
    """It ends as soon as it is there, and who asked for it hears so."""
    world = World(tmp_path / "home", postgres)
    role = world.role([PLAIN, waits_for("go_on")])
    with world.service.client(APP) as app, world.service.client(ADMIN) as admin:
        call = app.start("GenerateCredentials", role_name=role)
        wait_for(lambda: running(postgres, "go_on"), what="the statement")
        assert admin.RevokePrefix(prefix=role + "/").revoked == 1
        assert admin.RevokePrefix(prefix=role + "/").revoked == 0  # it ends already
        assert [lease.state for lease in world.leases(admin, role).values()] == [CREATING]
        postgres.sql("CREATE TABLE go_on (x int)")
        refused = Failure(call.exception())
        assert refused.reason == "CONFLICT" and "revoked while its user was made" in refused.message
        world.gone(admin, role)
        assert not world.users(admin, role)
    world.service.stop()


def valid_until(postgres, username):
    return float(postgres.sql(f"SELECT extract(epoch FROM rolvaliduntil) FROM pg_roles WHERE rolname = '{username}'"))


def test_renewals_at_once(tmp_path, postgres):
    """Of one lease: none fails, the latest counts, here and in the database, and none goes beyond the longest."""
    world = World(tmp_path / "home", postgres)
    role = world.role(default_ttl=60, max_ttl=5000)
    world.service.client(APP).close()  # its certificate is there before many threads want it
    with world.service.client(APP) as app, world.service.client(ADMIN) as admin, concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = app.GenerateCredentials(role_name=role)

        def renew(increment):
            with world.service.client(APP) as one:
                return one.RenewLease(lease_id=made.lease_id, increment=increment, timeout=60).expires_us

        for increments in (range(1000, 2600, 100), [9000, 100] * 8):
            told = list(pool.map(renew, random.sample(list(increments), len(increments))))
            lease = world.leases(admin, role)[made.lease_id]
            assert max(told) == lease.expires_us <= lease.max_expires_us
            assert abs(valid_until(postgres, made.username) - lease.expires_us / 1e6) <= 1
        assert lease.expires_us == lease.max_expires_us
    world.service.stop()


def test_revoking_what_others_renew(tmp_path, postgres):
    """RevokePrefix ends all leases, whatever others store of them meanwhile; who renews one that has ended hears that."""
    world = World(tmp_path / "home", postgres)
    role = world.role(max_ttl=86400)
    over = threading.Event()

    def renew(lease_id):
        with world.service.client(APP) as app:
            for increment in range(4000, 80000, 10):
                if over.is_set():
                    return None
                try:
                    app.RenewLease(lease_id=lease_id, increment=increment, timeout=60)
                except Failure as refused:
                    return refused.reason
        return None

    world.service.client(APP).close()  # its certificate is there before many threads want it
    with world.service.client(APP) as app, world.service.client(ADMIN) as admin, concurrent.futures.ThreadPoolExecutor(6) as pool:
        try:
            for _ in range(5):
                made = {app.GenerateCredentials(role_name=role).lease_id for _ in range(6)}
                renewing = [pool.submit(renew, lease_id) for lease_id in made]
                before = {lease.lease_id: lease.expires_us for lease in world.leases(admin, role).values()}
                wait_for(lambda: any(lease.expires_us > before[lease.lease_id] for lease in world.leases(admin, role).values()),
                         what="a renewal")  # noqa: B023  # fmt: skip
                assert admin.RevokePrefix(prefix=role + "/").revoked == 6
                ends = {renewal.result(120) for renewal in renewing}
                assert ends <= {"NOT_FOUND", "DATABASE_FAILED", "ACCESS_DENIED"}, ends  # its user is gone before it is, at times
                world.gone(admin, role)
        finally:
            over.set()
    world.service.stop()
