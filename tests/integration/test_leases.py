"""Dynamic credentials against a real PostgreSQL: roles, leases and their ends, who may what, what is on record, limits."""
import json
import uuid

import pytest

from harness import ADMIN, APP, OTHER, failure, wait_for
from lease_world import admin, app, postgres, world  # noqa: F401 (fixtures)
from lease_world import ACTIVE, AUDITOR, PLAIN, REVOKING, SECOND, VAULT, World, logs_in, role_policy
from postgres import PASSWORD

# ---- the life of a lease ----


def test_vaults_read_only_role(world, admin, app, postgres):
    role = world.role([VAULT])
    made = app.GenerateCredentials(role_name=role)
    assert made.lease_id.startswith(role + "/") and made.lease_duration == 3600
    assert postgres.sql("SELECT id FROM things", user=made.username, password=made.password) == "42"
    assert postgres.sql("INSERT INTO things VALUES (1)", user=made.username, password=made.password, check=False) is None
    until = postgres.sql(f"SELECT extract(epoch FROM rolvaliduntil) FROM pg_roles WHERE rolname = '{made.username}'")
    assert abs(float(until) - made.expires_us / 1e6) <= 1
    lease = world.leases(admin, role)[made.lease_id]
    assert (lease.username, lease.database, lease.owner, lease.state) == (made.username, "main", APP, ACTIVE)
    assert lease.expires_us == made.expires_us and lease.max_expires_us == lease.created_us + 86400 * 10**6
    app.RevokeLease(lease_id=made.lease_id)
    world.gone(admin, role)
    assert not logs_in(postgres, made)


def test_each_has_its_own_user(world, admin, app, postgres):
    role = world.role()
    arn = admin.DescribeDatabaseRole(role_name=role).arn
    made = [app.GenerateCredentials(role_name=named) for named in (role, arn, role)]
    assert len({(one.username, one.password, one.lease_id) for one in made}) == 3 and all(len(one.password) == 32 for one in made)
    assert all(logs_in(postgres, one) for one in made)
    users = {one.username for one in made}
    assert {lease.username for lease in world.leases(admin, role).values()} == users == set(world.users(admin, role))
    app.RevokeLease(lease_id=made[1].lease_id)
    wait_for(lambda: len(world.leases(admin, role)) == 2, what="the end of one")
    assert [logs_in(postgres, one) for one in made] == [True, False, True]
    assert admin.RevokePrefix(prefix=made[0].lease_id[:-3]).revoked == 1
    assert admin.RevokePrefix(prefix=role + "/").revoked == 1
    world.gone(admin, role)


def test_a_prefix_is_of_one_role(world, admin, app, postgres):
    """Role "x" says nothing about role "x/y", whose leases begin like its own."""
    outer = world.role()
    inner = outer + "/inner"
    world.put(admin, inner)
    kept, ended = app.GenerateCredentials(role_name=inner), app.GenerateCredentials(role_name=outer)
    assert admin.RevokePrefix(prefix=outer + "/inner").revoked == 0
    assert admin.RevokePrefix(prefix=outer + "/").revoked == 1
    world.gone(admin, outer, ended.username)
    assert world.leases(admin, inner)[kept.lease_id].state == ACTIVE and logs_in(postgres, kept)
    assert admin.RevokePrefix(prefix=inner + "/").revoked == 1
    world.gone(admin, inner)


def test_it_expires(world, admin, app, postgres):
    role = world.role(default_ttl=1, max_ttl=1)
    made = app.GenerateCredentials(role_name=role)
    world.gone(admin, role, made.username)
    assert not logs_in(postgres, made)
    assert failure(app.RenewLease, lease_id=made.lease_id).reason == "ACCESS_DENIED"  # there is no such lease


def test_renewal_up_to_the_longest(world, admin, app, postgres):
    role = world.role(default_ttl=100, max_ttl=200)
    made = app.GenerateCredentials(role_name=role, ttl=50)
    assert made.lease_duration == 50
    renewed = app.RenewLease(lease_id=made.lease_id)
    assert 95 <= renewed.lease_duration <= 100 and renewed.expires_us > made.expires_us + 45 * 10**6
    until = postgres.sql(f"SELECT extract(epoch FROM rolvaliduntil) FROM pg_roles WHERE rolname = '{made.username}'")
    assert abs(float(until) - renewed.expires_us / 1e6) <= 1
    lease = world.leases(admin, role)[made.lease_id]
    assert app.RenewLease(lease_id=made.lease_id, increment=10).expires_us == renewed.expires_us == lease.expires_us  # never shorter
    assert app.RenewLease(lease_id=made.lease_id, increment=2**63).expires_us == lease.max_expires_us == lease.created_us + 200 * 10**6
    assert logs_in(postgres, made)
    assert "at most 200 seconds" in failure(app.GenerateCredentials, role_name=role, ttl=201).message


def test_statements_for_renewal_and_revocation(world, admin, app, postgres):
    """They take the place of the usual ones; who says so and does not remove the user is not believed."""
    role = world.role(renewal_statements=["ALTER ROLE \"{{name}}\" CONNECTION LIMIT 7 VALID UNTIL '{{expiration}}'"],
                      revocation_statements=["SELECT 1"])  # fmt: skip
    made = app.GenerateCredentials(role_name=role)
    app.RenewLease(lease_id=made.lease_id, increment=4000)
    assert postgres.sql(f"SELECT rolconnlimit FROM pg_roles WHERE rolname = '{made.username}'") == "7"
    app.RevokeLease(lease_id=made.lease_id)
    wait_for(lambda: "is still there after the revocation statements" in world.service.log_text(), what="the refusal")
    assert world.leases(admin, role)[made.lease_id].state == REVOKING and not logs_in(postgres, made)
    app.RevokeLease(lease_id=made.lease_id)  # again: nothing changes
    assert failure(app.RenewLease, lease_id=made.lease_id).reason == "NOT_FOUND"
    world.put(admin, role, revocation_statements=['DROP ROLE "{{name}}"'], resource_policy="")
    world.gone(admin, role)


def test_what_the_database_refuses(world, admin, app):
    """Leaves neither user nor lease."""
    role = world.role([PLAIN, "GRANT nobody_has_this TO \"{{name}}\""])
    refused = failure(app.GenerateCredentials, role_name=role)
    assert refused.reason == "DATABASE_FAILED" and "statement 2" in refused.message and "42704" in refused.message
    world.gone(admin, role)
    role = world.role(["SELECT '{{name}}'"])
    assert "is not there after the creation statements" in failure(app.GenerateCredentials, role_name=role).message
    world.gone(admin, role)


# ---- roles ----


def test_a_role_is_what_was_put(world, admin):
    name = "role/" + uuid.uuid4().hex[:10]
    more = {"renewal_statements": ["a {{name}}"], "revocation_statements": ["b", "c"], "default_ttl": 60, "max_ttl": 120}
    put = world.put(admin, name, [VAULT], **more)
    assert put.arn == f"arn:aws:secretsmanager:us-east-1:000000000000:database-role:{name}" and put.role_name == name
    told = admin.DescribeDatabaseRole(role_name=put.arn)
    assert (told.role_name, told.database, told.default_ttl, told.max_ttl, told.leases) == (name, "main", 60, 120, 0)
    assert list(told.creation_statements) == [VAULT]
    assert (list(told.renewal_statements), list(told.revocation_statements)) == (["a {{name}}"], ["b", "c"])
    assert told.resource_policy == role_policy() and told.user_prefix.startswith("kms-") and len(told.user_prefix) == 17
    world.put(admin, name, [PLAIN], resource_policy="")
    again = admin.DescribeDatabaseRole(role_name=name)
    assert (again.resource_policy, again.user_prefix, again.created_us) == (told.resource_policy, told.user_prefix, told.created_us)
    assert list(again.creation_statements) == [PLAIN] and again.changed_us > told.changed_us and not again.revocation_statements
    names, marker = [], ""
    while not names or marker:
        page = admin.ListDatabaseRoles(limit=1, marker=marker)
        names += [role.role_name for role in page.roles]
        marker = page.next_marker
    assert name in names and names == sorted(names)


@pytest.mark.parametrize("fields, reason, words", [
    ({"creation_statements": []}, "INVALID_ARGUMENT", "creation_statements"),
    ({"creation_statements": ["CREATE ROLE x"]}, "INVALID_ARGUMENT", "{{name}}"),
    ({"creation_statements": ["{{name}}\0"]}, "INVALID_ARGUMENT", ""),
    ({"creation_statements": ["{{name}}"] * 33}, "INVALID_ARGUMENT", "creation_statements"),
    ({"database": "other"}, "ROTATOR_UNKNOWN", "other"),
    ({"database": "nobody"}, "INVALID_ARGUMENT", "admin_secret"),
    ({"default_ttl": 10, "max_ttl": 5}, "INVALID_ARGUMENT", "default_ttl <= max_ttl"),
    ({"max_ttl": 2**64 - 1}, "INVALID_ARGUMENT", "leases.max_ttl"),
    ({"role_name": "a//b"}, "INVALID_ARGUMENT", "no part between slashes"),
    ({"role_name": "arn:aws:secretsmanager:us-east-1:000000000000:database-role:a"}, "INVALID_ARGUMENT", "not an ARN"),
    ({"resource_policy": "{}"}, "MALFORMED_POLICY", ""),
    ({"resource_policy": role_policy(users=(ADMIN,))}, "POLICY_NOT_SEPARATED", ADMIN),
    ({"resource_policy": role_policy(admins=(SECOND,))}, "POLICY_LOCKOUT", ""),
])  # fmt: skip
def test_roles_that_are_refused(admin, fields, reason, words):
    whole = {"role_name": "role/refused", "database": "main", "creation_statements": [PLAIN], "resource_policy": role_policy()}
    refused = failure(admin.PutDatabaseRole, **(whole | fields))
    assert refused.reason == reason and words in refused.message


def test_deleting_a_role(world, admin, app):
    role = world.role()
    made = app.GenerateCredentials(role_name=role)
    refused = failure(admin.DeleteDatabaseRole, role_name=role)
    assert refused.reason == "CONFLICT" and "has 1 leases" in refused.message
    assert logs_in(world.postgres, app.GenerateCredentials(role_name=role))  # it is there still
    assert admin.RevokePrefix(prefix=role + "/").revoked == 2
    world.gone(admin, role, made.username)
    admin.DeleteDatabaseRole(role_name=role)
    assert failure(app.GenerateCredentials, role_name=role).reason == "ACCESS_DENIED"


# ---- who may ----


def test_policy_decides(world, admin, app):
    role = world.role()
    mine = app.GenerateCredentials(role_name=role)
    with world.service.client(OTHER) as other, world.service.client(AUDITOR) as auditor:
        for call, fields in ((other.GenerateCredentials, {"role_name": role}), (other.DescribeDatabaseRole, {"role_name": role}),
                             (other.RenewLease, {"lease_id": mine.lease_id}), (other.RevokeLease, {"lease_id": mine.lease_id}),
                             (other.RevokePrefix, {"prefix": role + "/"}), (other.ListLeases, {"role_name": role}),
                             (other.ListLeases, {}), (other.RevokeLease, {"lease_id": role + "/none"}),
                             (other.SweepLeases, {}), (other.ListDatabaseRoles, {}), (other.DeleteDatabaseRole, {"role_name": role}),
                             (other.PutDatabaseRole, {"role_name": role}), (other.PutDatabaseRole, {"role_name": "role/none"}),
                             (admin.GenerateCredentials, {"role_name": role}), (admin.RevokeLease, {"lease_id": mine.lease_id}),
                             (app.RevokePrefix, {"prefix": role + "/"}), (app.ListLeases, {"role_name": role})):  # fmt: skip
            assert failure(call, **fields).reason == "ACCESS_DENIED", (call, fields)
        assert mine.lease_id in {lease.lease_id for lease in auditor.ListLeases(limit=1000).leases}
        assert failure(auditor.RevokeLease, lease_id=mine.lease_id).reason == "NOT_FOUND"  # of his
    world.put(admin, role, resource_policy=role_policy(users=(APP, OTHER)))
    with world.service.client(OTHER) as other:
        assert other.GenerateCredentials(role_name=role).username != mine.username
        assert failure(other.RevokeLease, lease_id=mine.lease_id).reason == "ACCESS_DENIED"  # another user's
    assert failure(admin.RevokePrefix, prefix=role.split("/")[0]).reason == "INVALID_ARGUMENT"


def test_nobody_writes_statements_and_uses_them(world, admin, app):
    """Neither at once nor one after the other."""
    role = world.role(resource_policy="")  # the usual one: the caller administers, nobody uses it
    assert failure(admin.GenerateCredentials, role_name=role).reason == "ACCESS_DENIED"
    assert failure(app.GenerateCredentials, role_name=role).reason == "ACCESS_DENIED"
    handed = role_policy(admins=(SECOND,), users=(ADMIN,))
    refused = failure(world.put, admin=admin, name=role, resource_policy=handed, bypass_policy_lockout_safety_check=True)
    assert refused.reason == "POLICY_NOT_SEPARATED" and ADMIN in refused.message


@pytest.mark.parametrize("method", ["RenewLease", "RevokeLease"])
def test_lease_ids_that_are_none(world, app, method):
    for lease_id, role in (("a b/x", "a b"), ("x" * 600 + "/y", "x" * 600), ("none", None), ("/none", None)):
        assert failure(getattr(app, method), lease_id=lease_id).reason == "INVALID_ARGUMENT"
        assert world.service.records(operation=method)[-1]["access"][0].get("key_named") == role


def test_records_say_who_did_what(world, admin, app):
    role = world.role()
    arn = admin.DescribeDatabaseRole(role_name=role).arn
    made = app.GenerateCredentials(role_name=role)
    app.RenewLease(lease_id=made.lease_id, increment=5000)
    app.RevokeLease(lease_id=made.lease_id)
    world.gone(admin, role)
    row = made.lease_id.rsplit("/", 1)[1]
    seen = [(r["operation"], r["class"], r["kind"], r.get("outcome")) for r in world.service.records()
            if any(a.get("role") == arn for a in r.get("access", ()))]  # fmt: skip
    for operation, kind in (("BeginLease", "service"), ("GenerateCredentials", "usage"), ("RenewLease", "usage"),
                            ("RevokeLease", "usage"), ("EndLeases", "service")):  # fmt: skip
        assert [(operation, kind, "attempt", None), (operation, kind, "outcome", "OK")] == [s for s in seen if s[0] == operation]
    named = {r["operation"] for r in world.service.records() if row in json.dumps(r)}
    assert named == {"BeginLease", "GenerateCredentials", "RenewLease", "RevokeLease", "EndLeases"}
    made = world.service.records(operation="GenerateCredentials", kind="outcome")[-1]
    assert made["access"][0]["decision"] == "allow" and made["extra"]["lease"] == row and made["principal"] == APP
    admin.RevokePrefix(prefix=role + "/a")
    assert [r["extra"]["prefix"] for r in world.service.records(operation="RevokePrefix")[-2:]] == [role + "/a"] * 2
    brought = world.service.records(operation="PutDatabaseRole", kind="attempt")[-1]
    assert brought["extra"]["new_role"] == arn and len(brought["extra"]["role_policy_sha256"]) == 64


def test_the_password_is_nowhere(world, app, admin, postgres):
    role = world.role()
    made = [app.GenerateCredentials(role_name=role) for _ in range(3)]
    for path in (p for p in world.service.dir.rglob("*") if p.is_file()):
        data = path.read_bytes()
        assert not [one for one in made if one.password.encode() in data], path
        assert PASSWORD.encode() not in data, path
    assert not [one for one in made if one.password in postgres.log()]


# ---- limits ----


def test_limits(tmp_path, postgres):
    world = World(tmp_path / "home", postgres, limits={"leases": 3, "leases_per_principal": 2, "database_roles": 1})
    role = world.role(resource_policy=role_policy(users=(APP, OTHER)))
    with world.service.client(ADMIN) as admin, world.service.client(APP) as app, world.service.client(OTHER) as other:
        refused = failure(world.put, admin=admin, name="role/second")
        assert refused.reason == "LIMIT_EXCEEDED" and "limits.database_roles" in refused.message
        mine = [app.GenerateCredentials(role_name=role) for _ in range(2)]
        assert "limits.leases_per_principal" in failure(app.GenerateCredentials, role_name=role).message
        other.GenerateCredentials(role_name=role)
        refused = failure(other.GenerateCredentials, role_name=role)
        assert refused.reason == "LIMIT_EXCEEDED" and "(limits.leases)" in refused.message
        app.RevokeLease(lease_id=mine[0].lease_id)
        wait_for(lambda: len(world.leases(admin, role)) == 2, what="room")
        other.GenerateCredentials(role_name=role)
        admin.RevokePrefix(prefix=role + "/")
        world.gone(admin, role)
    world.service.stop()
