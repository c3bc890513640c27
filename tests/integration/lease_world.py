"""A kmsd that knows a database, and what database roles and leases are about in the tests."""
import json
import uuid

import pytest

from callers import ADMIN, APP, SERVICE_POLICY
from harness import Service, wait_for
from postgres import PASSWORD, Postgres

AUDITOR, SECOND = "spiffe://example.org/auditor", "spiffe://example.org/second"
CREATING, ACTIVE, REVOKING = 1, 2, 3
# HashiCorp Vault's documentation of its PostgreSQL engine, "Setup", for a read-only role.
VAULT = """CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";"""
PLAIN = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
ADMIN_ACTIONS = "PutDatabaseRole DeleteDatabaseRole RevokePrefix SweepLeases DescribeDatabaseRole ListLeases".split()
USE_ACTIONS = "GenerateCredentials RenewLease RevokeLease".split()


def role_policy(admins=(ADMIN,), users=(APP,), admin_actions=ADMIN_ACTIONS, use_actions=USE_ACTIONS):
    def allow(sid, principals, actions):
        return {"Sid": sid, "Effect": "Allow", "Principal": {"AWS": list(principals)}, "Resource": "*",
                "Action": [f"secretsmanager:{action}" for action in actions]}  # fmt: skip

    statements = [allow("Admin", admins, admin_actions), allow("Use", users, use_actions)]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def service_policy():
    """The usual one, and who may make and see roles."""
    more = [(ADMIN, ["PutDatabaseRole", "ListDatabaseRoles"]), (AUDITOR, ["ListLeases", "SweepLeases"])]
    statements = [{"Sid": f"Leases{number}", "Effect": "Allow", "Principal": {"AWS": who}, "Resource": "*",
                   "Action": [f"secretsmanager:{action}" for action in actions]} for number, (who, actions) in enumerate(more)]
    return {"Statement": SERVICE_POLICY["Statement"] + statements}


class World:
    """A kmsd that knows one database, and perhaps a second. options: of both databases."""

    def __init__(self, home, postgres, second=None, options=None, **sections):
        self.postgres = postgres
        sections.setdefault("leases", {"min_ttl": "1s", "backoff": "50ms", "sweep_interval": "1h"})
        sections.setdefault("jobs", {"interval": "50ms"})
        options = {"sslmode": "disable", "admin_secret": "db/admin", "connect_timeout": "2s"} | (options or {})
        extra = f"""databases:
  - {postgres.declaration(**options)}
  - {postgres.declaration(name="nobody", sslmode="disable")}
  - {postgres.declaration(**options | {"name": "orders", "admin_secret": "db/orders-admin"})}
"""
        if second:
            extra += f"  - {second.declaration(name='second', **options)}\n"
        self.service = Service(home, extra=extra, **sections)
        self.service.service_policy(service_policy())
        self.service.init().start()
        with self.service.client(ADMIN) as admin:
            admin.CreateSecret(name="db/admin", value={"secret_string": json.dumps({"username": "admin", "password": PASSWORD})})

    def role(self, statements=(PLAIN,), **fields):
        """The name of a new role."""
        name = "role/" + uuid.uuid4().hex[:10]
        with self.service.client(ADMIN) as admin:
            self.put(admin, name, statements, **fields)
        return name

    def put(self, admin, name, statements=(PLAIN,), **fields):
        fields.setdefault("resource_policy", role_policy())
        fields.setdefault("database", "main")
        return admin.PutDatabaseRole(role_name=name, creation_statements=list(statements), **fields)

    def users(self, admin, role):
        """Those of a role in the database."""
        prefix = admin.DescribeDatabaseRole(role_name=role).user_prefix
        return self.postgres.sql(f"SELECT rolname FROM pg_roles WHERE rolname LIKE '{prefix}%' ORDER BY 1").split()

    def leases(self, admin, role):
        found, marker = [], ""
        while True:
            page = admin.ListLeases(role_name=role, marker=marker, limit=1000)
            found += page.leases
            if not page.truncated:
                return {lease.lease_id: lease for lease in found}
            marker = page.next_marker

    def gone(self, admin, role, *users):
        """Waits until neither database nor kmsd has anything of a role."""
        wait_for(lambda: not self.leases(admin, role), what="the end of its leases")
        assert not set(self.users(admin, role)) & set(users or self.users(admin, role))


def waits_for(table):
    """A statement that ends when somebody makes this table."""
    there = f"EXISTS (SELECT FROM pg_tables WHERE tablename = '{table}')"
    return f"DO $$BEGIN WHILE NOT {there} LOOP PERFORM pg_sleep(0.02); END LOOP; END$$"


def running(postgres, what):
    """Pids of the server's that run a statement with these words."""
    words = what.replace("'", "''")
    return postgres.sql(f"SELECT pid FROM pg_stat_activity WHERE query LIKE '%{words}%' AND pid <> pg_backend_pid()").split()


def logs_in(postgres, made):
    return postgres.sql("SELECT 1", user=made.username, password=made.password, check=False) == "1"


# ---- fixtures, for modules that import them ----


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    server.sql("CREATE TABLE things (id int); INSERT INTO things VALUES (42)")
    yield server
    server.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory, postgres):
    made = World(tmp_path_factory.mktemp("leases") / "home", postgres)
    yield made
    made.service.stop()


@pytest.fixture(scope="module")
def admin(world):
    with world.service.client(ADMIN) as client:
        yield client


@pytest.fixture(scope="module")
def app(world):
    with world.service.client(APP) as client:
        yield client
