"""Who may read the admin_secret of a database neither writes nor wrote the statements that run with it, whichever was first."""
import json

import pytest

from callers import ADMIN2, secret_policy
from harness import ADMIN, APP, Service, failure
from lease_world import PLAIN, SECOND, role_policy, service_policy

DATABASES = """databases:
  - {name: main, host: /nowhere, sslmode: disable, admin_secret: db/admin}
  - {name: twin, host: /nowhere, sslmode: disable, admin_secret: db/admin}
  - {name: other, host: /nowhere, sslmode: disable, admin_secret: db/other}
"""


def started(home, **sections):
    service = Service(home, extra=DATABASES, **sections)
    service.service_policy(service_policy())  # ADMIN makes roles
    service.init().start()
    with service.client(ADMIN2) as keeper:
        keeper.CreateSecret(name="db/admin", value={"secret_string": "v"})
    return service


@pytest.fixture(scope="module", params=["enforce", "warn"])
def service(request, tmp_path_factory):
    made = started(tmp_path_factory.mktemp("admin-secret") / "home", policy={"separation": request.param})
    yield made
    made.stop()


@pytest.fixture
def keeper(service):
    """Administers the secrets, and they are as they were afterwards."""
    with service.client(ADMIN2) as client:
        yield client
        client.DeleteResourcePolicy(secret_id="db/admin")


@pytest.fixture
def admin(service):
    with service.client(ADMIN) as client:
        yield client
        for role in client.ListDatabaseRoles().roles:
            client.DeleteDatabaseRole(role_name=role.role_name)


def readable(*readers, extra=()):
    policy = json.loads(secret_policy(admins=(ADMIN2,), users=readers))
    policy["Statement"] += extra
    return dict(secret_id="db/admin", resource_policy=json.dumps(policy))


def put(client, name="role", database="main", admins=(ADMIN,), **fields):
    return client.PutDatabaseRole(role_name=name, database=database, creation_statements=[PLAIN],
                                  resource_policy=role_policy(admins=admins), **fields)


def refused(call, *words, **fields):
    error = failure(call, **fields)
    assert error.reason == "POLICY_NOT_SEPARATED"
    for word in ("db/admin", *words):
        assert word in error.message, error.message


def deny(who, **condition):
    return {"Sid": "No", "Effect": "Deny", "Principal": who, "Action": "secretsmanager:GetSecretValue", "Resource": "*", **condition}


def test_who_makes_roles_does_not_get_to_read(keeper, admin):
    """Though there is no role yet."""
    refused(keeper.PutResourcePolicy, ADMIN, "the service policy", "statements of database roles", **readable(ADMIN))
    refused(keeper.PutResourcePolicy, ADMIN, **readable(APP, ADMIN))
    everybody = json.loads(readable(extra=[deny({"AWS": ADMIN2})])["resource_policy"])
    everybody["Statement"][1]["Principal"] = "*"
    refused(keeper.PutResourcePolicy, ADMIN, "to everybody", secret_id="db/admin", resource_policy=json.dumps(everybody))
    # a Deny counts when nothing but principal and action decides it
    late = {"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}}
    refused(keeper.PutResourcePolicy, ADMIN, **readable(ADMIN, extra=[deny({"AWS": ADMIN}, **late)]))
    keeper.PutResourcePolicy(**readable(APP, SECOND, ADMIN, extra=[deny({"AWS": ADMIN})]))


def test_who_writes_by_a_role_does_not_get_to_read(keeper, admin):
    put(admin, admins=(ADMIN, SECOND), database="twin")
    refused(keeper.PutResourcePolicy, SECOND, "database role role", **readable(APP, SECOND))
    keeper.PutResourcePolicy(**readable(APP))
    put(admin, "of-another", database="other", admins=(ADMIN, SECOND))
    put(admin, database="twin")
    keeper.PutResourcePolicy(**readable(APP, SECOND))


def test_who_wrote_does_not_get_to_read(service, keeper, admin):
    put(admin, admins=(ADMIN, SECOND))
    with service.client(SECOND) as second:
        put(second, admins=(ADMIN,), bypass_policy_lockout_safety_check=True)
        refused(keeper.PutResourcePolicy, SECOND, "database role role", **readable(SECOND))
        admin.DeleteDatabaseRole(role_name="role")
        keeper.PutResourcePolicy(**readable(SECOND))
        keeper.DeleteResourcePolicy(secret_id="db/admin")


def test_who_wrote_is_stored(tmp_path):
    service = started(tmp_path / "home")
    with service.client(ADMIN) as admin, service.client(SECOND) as second:
        put(admin, admins=(ADMIN, SECOND))
        put(second, admins=(ADMIN,), bypass_policy_lockout_safety_check=True)
    service.stop()
    service.start()
    with service.client(ADMIN) as admin, service.client(ADMIN2) as keeper:
        refused(keeper.PutResourcePolicy, SECOND, **readable(SECOND))
        put(admin)
        keeper.PutResourcePolicy(**readable(SECOND))
    service.stop()


def test_who_reads_does_not_get_to_write(keeper, admin):
    put(admin)
    keeper.PutResourcePolicy(**readable(APP, SECOND))
    for name in ("role", "new"):
        fields = dict(client=admin, name=name, admins=(ADMIN, SECOND))
        refused(put, SECOND, "roles of database main", **fields)
    put(admin)


def test_a_secret_is_made_with_such_a_policy(keeper, admin):
    fields = dict(name="db/other", resource_policy=readable(ADMIN)["resource_policy"])
    error = failure(keeper.CreateSecret, **fields)
    assert error.reason == "POLICY_NOT_SEPARATED" and "db/other is an admin_secret" in error.message
    keeper.CreateSecret(name="db/unknown", resource_policy=fields["resource_policy"])  # no database's
    keeper.CreateSecret(name="db/other", resource_policy=readable(APP)["resource_policy"])
    keeper.DeleteSecret(secret_id="db/other", force_delete_without_recovery=True)
    keeper.DeleteSecret(secret_id="db/unknown", force_delete_without_recovery=True)


def test_who_reads_and_may_write_by_a_later_service_policy(tmp_path):
    service = started(tmp_path / "home")
    with service.client(ADMIN2) as keeper:
        keeper.PutResourcePolicy(**readable(APP, SECOND))
    service.stop()
    document = service_policy()
    document["Statement"].append({"Sid": "Late", "Effect": "Allow", "Principal": {"AWS": SECOND}, "Resource": "*",
                                  "Action": "secretsmanager:PutDatabaseRole"})
    service.service_policy(document)
    service.start()
    with service.client(SECOND) as second, service.client(ADMIN) as admin:
        error = failure(put, client=second, admins=(ADMIN,), bypass_policy_lockout_safety_check=True)
        assert error.reason == "POLICY_NOT_SEPARATED" and "the admin_secret of database main" in error.message
        put(admin)
    service.stop()
