"""The key service of SOPS over TCP without TLS: on this machine alone, everybody one principal, and nothing hides that."""
import json
import socket

import pytest

from harness import ADMIN, APP, failure, key_policy, wait_for
from sops_world import LOCAL, Sops, door, house_of, tcp, tcp_address

PLAIN = b"0123456789abcdef" * 2


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    yield from house_of(tmp_path_factory)


def local_key(house, condition=None):
    """A key that the principal of the port may use, under a condition."""
    statement = {"Sid": "Local", "Effect": "Allow", "Principal": {"AWS": LOCAL}, "Action": ["kms:Encrypt", "kms:Decrypt"],
                 "Resource": "*"}
    if condition:
        statement["Condition"] = condition
    policy = json.loads(key_policy(users=(APP,)))
    policy["Statement"].insert(0, statement)
    return house.service.new_key(policy=json.dumps(policy))


def test_everybody_is_the_principal_of_the_port(house):
    key = local_key(house)
    with house.over_tcp() as sops, house.sops() as unix:
        named = sops.key("kms", arn=f"arn:aws:kms:us-east-1:000000000000:key/{key}", context={"env": "prod"})
        text = sops.encrypt(named, PLAIN)
        assert sops.decrypt(named, text) == PLAIN == unix.decrypt(named, text)
        refused = failure(sops.encrypt, sops.key("kms", arn=house.key), PLAIN)
        assert refused.reason == "ACCESS_DENIED"
    record = house.last(operation="Encrypt", outcome="OK")
    assert (record["principal"], record["principal_source"], record["protocol"]) == (LOCAL, "tcp", "sops")
    assert record["peer"].startswith("ipv4:127.0.0.1:") and record["access"][0]["key_id"] == key
    inputs = dict(record.get("inputs", {}), **record["access"][0].get("inputs", {}))
    assert inputs == {"source_ip": "127.0.0.1"}  # secure_transport is said where it is true
    assert house.last(operation="Encrypt", outcome="ACCESS_DENIED")["principal"] == LOCAL


@pytest.mark.parametrize(
    "condition, allowed",
    [
        ({"Bool": {"aws:SecureTransport": "true"}}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, True),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
    ],
)
def test_policies_see_that_there_is_no_tls(house, condition, allowed):
    key = local_key(house, condition)
    with house.over_tcp() as sops:
        named = sops.key("kms", arn=key)
        if allowed:
            assert sops.decrypt(named, sops.encrypt(named, PLAIN)) == PLAIN
        else:
            assert failure(sops.encrypt, named, PLAIN).reason == "ACCESS_DENIED"


@pytest.mark.parametrize("authority", ["localhost", "localhost:5000", "kms.example:443", "%2Frun%2Fkmsd.sock"])
def test_the_authority_decides_nothing(house, authority):
    key = local_key(house)
    with house.over_tcp(authority=authority) as sops:
        named = sops.key("kms", arn=key)
        assert sops.decrypt(named, sops.encrypt(named, PLAIN)) == PLAIN


def test_nothing_but_sops_is_spoken(house):
    with house.over_tcp() as sops:
        for method in ("/kms.v1.CryptoService/GenerateRandom", "/kms.v1.KeyService/ListKeys", "/kms.v1.SystemService/GetStatus"):
            refused = failure(sops.raw, method, b"")
            assert (refused.code, refused.reason) == ("UNIMPLEMENTED", "UNSUPPORTED")
    assert house.last(operation="GetStatus")["principal"] == LOCAL


def test_it_is_no_way_to_tls_nor_tls_to_it(house):
    """A connection is what it came in by: the TLS port takes no plain calls, the other no handshakes."""
    with Sops(f"127.0.0.1:{house.service.port}") as plain:
        assert failure(plain.encrypt, plain.key("kms", arn=house.key), PLAIN).code == "UNAVAILABLE"
    with house.service.client(APP, target=tcp_address(house.service).replace("127.0.0.1", "localhost")) as tls:
        assert failure(tls.GenerateRandom, number_of_bytes=1).code == "UNAVAILABLE"
    with house.over_tcp() as sops:
        assert failure(sops.encrypt, sops.key("kms", arn=house.key), PLAIN).reason == "ACCESS_DENIED"


def test_status_tells_every_door(house):
    with house.service.client(ADMIN) as admin:
        status = admin.GetStatus()
    found = {(place.transport, place.protocol, place.default_principal) for place in status.listeners}
    assert ("tls", "kms", "") in found and ("tcp", "sops", LOCAL) in found and ("unix", "sops", "") in found
    assert len(status.listeners) == 6 and house.path("sops") in {place.address for place in status.listeners}
    assert any("listen.sops_tcp" in warning for warning in status.warnings)
    shown = json.loads(house.service.kmsctl(ADMIN, "status", "--output", "json").stdout)
    assert {"address": house.path("sops"), "transport": "unix", "protocol": "sops", "default_principal": APP} in shown["listeners"]
    assert "event=rpc.tcp" in house.service.log_text() and LOCAL in house.service.log_text()


@pytest.mark.parametrize(
    "lines, words",
    [
        (tcp(LOCAL, address="0.0.0.0:5000"), "nobody beyond this machine may reach it"),
        (tcp(LOCAL, address="localhost:5000"), "in numbers"),
        (tcp(LOCAL, address="[::]:5000"), "listen.sops_tcp[0].address"),
        (tcp(LOCAL, accept="false"), "every user and program of this machine can call as the principal"),
        (tcp("''"), "listen.sops_tcp[0].principal"),
    ],
)
def test_what_it_takes_to_have_one(fresh, lines, words):
    fresh.write_config(unix=lines)
    done = fresh.kmsd("check", check=False)
    assert done.returncode != 0 and "CONFIG_INVALID" in done.stderr and words in done.stderr, done.stderr


def test_a_port_that_somebody_has(fresh):
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        address = f"127.0.0.1:{somebody.getsockname()[1]}"
        fresh.write_config(unix=tcp(LOCAL, address=address))
        done = fresh.init().kmsd(check=False)
        assert done.returncode != 0 and address in done.stderr, done.stderr


def test_its_connections_take_no_place_of_others(fresh):
    """More than limits.connections are closed at once; Unix sockets and TLS do not notice."""
    fresh.write_config(unix="  unix:\n" + door(fresh.dir / "s", principal=APP) + tcp(LOCAL), limits={"connections": "2"})
    fresh.init().start()
    key = fresh.new_key()
    host, port = tcp_address(fresh).split(":")
    with socket.create_connection((host, int(port))), socket.create_connection((host, int(port))):
        with socket.create_connection((host, int(port))) as third:
            third.settimeout(60)
            assert third.recv(1000) == b""
        with Sops(f"unix:{fresh.dir}/s") as sops, fresh.client(APP) as app:
            named = sops.key("kms", arn=key)
            assert sops.decrypt(named, sops.encrypt(named, PLAIN)) == PLAIN
            assert app.Encrypt(key_id=key, plaintext=b"x").key_version == 1

    def works():
        with Sops(tcp_address(fresh)) as again:
            return failure(again.encrypt, again.key("kms", arn=key), PLAIN).reason == "ACCESS_DENIED"

    wait_for(works, 60, "a place to come free")
    fresh.stop()
