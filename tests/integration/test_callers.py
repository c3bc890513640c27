"""Who is let in: certificates, TLS versions, the deny list."""
import signal
import subprocess
import time

import pytest

from harness import APP, Failure, key_policy, run, wait_for


def handshake_fails(service, **options):
    with service.client(APP, **options) as client:
        with pytest.raises(Failure) as caught:
            client.GenerateRandom(number_of_bytes=1, timeout=5)
    assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def test_certificate_of_another_ca(service):
    service.certs.ca("rogue")
    service.certs.sign("rogue-app", f"subjectAltName=URI:{APP}", ca="rogue")
    handshake_fails(service, certificate="rogue-app")


def test_expired_certificate(service):
    directory = service.certs.dir
    service.certs.sign("expired", f"subjectAltName=URI:{APP}")
    run(
        "openssl",
        "x509",
        "-req",
        "-in",
        directory / "expired.csr",
        "-CA",
        directory / "ca.pem",
        "-CAkey",
        directory / "ca.key",
        "-set_serial",
        "77",
        "-days",
        "-1",
        "-extfile",
        directory / "expired.ext",
        "-out",
        directory / "expired.pem",
    )
    handshake_fails(service, certificate="expired")


def tls(service, *arguments):
    return subprocess.run(
        [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{service.port}",
            "-CAfile",
            service.certs.dir / "ca.pem",
            "-alpn",
            "h2",
            *arguments,
        ],
        input="",
        capture_output=True,
        text=True,
        errors="replace",
        timeout=20,
    )


def test_tls_1_2_is_refused(service):
    name = service.certs.client(APP)
    pair = ["-cert", service.certs.dir / f"{name}.pem", "-key", service.certs.dir / f"{name}.key"]
    assert "TLSv1.3" in tls(service, *pair).stdout
    old = tls(service, "-tls1_2", *pair)
    assert old.returncode != 0 and "Cipher is (NONE)" in old.stdout, old.stdout


def test_no_certificate(service):
    import grpc
    from kms.v1 import crypto_pb2

    channel = grpc.secure_channel(
        f"localhost:{service.port}", grpc.ssl_channel_credentials((service.certs.dir / "ca.pem").read_bytes())
    )
    call = channel.unary_unary(
        "/kms.v1.CryptoService/GenerateRandom",
        request_serializer=crypto_pb2.GenerateRandomRequest.SerializeToString,
    )
    with pytest.raises(grpc.RpcError) as caught:
        call(crypto_pb2.GenerateRandomRequest(number_of_bytes=1), timeout=5)
    assert caught.value.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    channel.close()


@pytest.mark.parametrize(
    "name, extension",
    [
        ("two-uris", "subjectAltName=URI:spiffe://example.org/app,URI:spiffe://example.org/admin"),
        ("no-uri", "subjectAltName=DNS:app.example.org"),
        ("scheme-cn", "subjectAltName=URI:cn:app"),
        ("scheme-unix", "subjectAltName=URI:unix:0"),
    ],
)
def test_certificates_without_one_principal(service, name, extension):
    service.certs.sign(name, extension)
    with service.client(APP, certificate=name) as client:
        with pytest.raises(Failure) as caught:
            client.GenerateRandom(number_of_bytes=1)
    assert caught.value.reason == "UNAUTHENTICATED"
    assert service.records(operation="GenerateRandom", outcome="UNAUTHENTICATED")


def test_common_name_where_allowed(fresh):
    fresh.write_config(authn={"allow_cn": "true"})
    fresh.init().start()
    fresh.certs.sign("plain-cn", "extendedKeyUsage=clientAuth", cn="legacy")
    key = fresh.new_key(policy=key_policy(users=("cn:legacy",)))
    with fresh.client(APP, certificate="plain-cn") as client:
        client.Encrypt(key_id=key, plaintext=b"x")


def test_deny_list_is_read_on_sighup(fresh):
    deny = fresh.dir / "deny"
    deny.write_text("# nobody yet\n")
    fresh.write_config(authn={"deny_list": str(deny)})
    fresh.init().start()
    with fresh.client(APP) as app:
        app.GenerateRandom(number_of_bytes=1)
        deny.write_text(f"principal {APP}\n")
        fresh.signal(signal.SIGHUP)
        for _ in range(100):
            try:
                app.GenerateRandom(number_of_bytes=1)  # the same connection: checked on every call
            except Failure as error:
                assert error.reason == "UNAUTHENTICATED" and "deny list" in error.message
                break
            time.sleep(0.05)
        else:
            raise AssertionError("still let in")
        deny.write_text("nonsense\n")
        fresh.signal(signal.SIGHUP)
        wait_for(lambda: "deny:1" in fresh.log_text(), 60, "word of the bad list")
        with pytest.raises(Failure):
            app.GenerateRandom(number_of_bytes=1)  # a bad list leaves the old one in force
