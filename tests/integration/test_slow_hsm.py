"""A token that is slow, or does not answer for a while: keys of SOFTWARE level do not feel it. By what is done, never by how fast."""
import pytest

from harness import APP, BUILD, LEVELS, OFFICER, OTHER, Service, failure, key_policy, wait_for

SHIM = next(BUILD.glob("tests/harness/libpkcs11-shim.so"), None)
pytestmark = pytest.mark.skipif(SHIM is None, reason="target pkcs11-shim is not built")


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def slow(request, tmp_path):
    made = Service(tmp_path / "kmsd", module=SHIM, hsm={"workers": request.param, "deadline": "60s"})
    made.workers_wanted = request.param
    try:
        made.init().start()
        yield made
    finally:
        (made.dir / "shim-hold").unlink(missing_ok=True)
        made.stop(expect=None)


def held(service):
    """Calls that the token has not answered, or had not before they were let go."""
    path = service.dir / "shim-held"
    return path.stat().st_size if path.exists() else 0


def test_software_goes_on_while_the_token_is_held(slow):
    in_token, software = slow.new_key(), slow.new_key(protection_level=LEVELS["software"])
    (slow.dir / "shim-delay-us").write_text("1000\n")
    with slow.client(APP) as app, slow.client(OFFICER) as officer:

        def apart():
            for key in (in_token, software):
                app.Encrypt(key_id=key, plaintext=b"x")
            return "event=hsm.token apart=1" in slow.log_text()

        wait_for(apart, 60, "a worker apart")
        wait_for(lambda: officer.GetStatus().hsm_workers_healthy == slow.workers_wanted, 60, "the workers")
        app.Encrypt(key_id=software, plaintext=b"opened there")
        for _ in range(16 * slow.workers_wanted):  # measured just now: it is slow as long as it does not answer
            app.Encrypt(key_id=in_token, plaintext=b"x")
        before = held(slow)
        (slow.dir / "shim-hold").touch()
        waiting = [app.start("Encrypt", key_id=in_token, plaintext=b"held") for _ in range(4 * slow.workers_wanted)]
        wait_for(lambda: held(slow) == before + slow.workers_wanted, 30, "each worker's call to the token")
        for i in range(20):
            blob = app.Encrypt(key_id=software, plaintext=b"%d" % i).ciphertext_blob
            assert app.Decrypt(ciphertext_blob=blob).plaintext == b"%d" % i
        status = officer.GetStatus()
        assert status.hsm_workers_healthy == status.hsm_workers_configured == slow.workers_wanted
        assert not any(call.done() for call in waiting), "the token was held all the time"
        (slow.dir / "shim-hold").unlink()
        assert all(call.result().ciphertext_blob for call in waiting)
        (slow.dir / "shim-delay-us").unlink()

        for _ in range(32):
            app.Encrypt(key_id=in_token, plaintext=b"x")

        def together():  # measured to be fast or, on a slow machine, not measured any more
            app.Decrypt(ciphertext_blob=blob)
            return "event=hsm.token apart=0" in slow.log_text()

        wait_for(together, 60, "a token that is fast again")
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"19"


def in_line(client):
    """Jobs that no worker has got yet."""
    return next(metric.samples[0].value for metric in client.GetMetrics().metrics if metric.name == "kmsd_hsm_jobs_waiting")


def test_few_calls_pass_many(tmp_path):
    """One principal fills its share of calls, and is told to try again; what another asks for takes turns with it in the line."""
    many, few, at_worker = 60, 2, 4  # KMS_POOL_DEPTH_LEAST: what a worker of a slow token gets at a time
    own = Service(
        tmp_path / "kmsd", module=SHIM, hsm={"workers": "1", "deadline": "60s"}, limits={"in_flight_per_principal": str(many)}
    )
    try:
        own.init().start()
        key, software = own.new_key(policy=key_policy(users=(APP, OTHER))), own.new_key(protection_level=LEVELS["software"])
        (own.dir / "shim-delay-us").write_text("5000\n")
        with own.client(APP) as app, own.client(OTHER) as other, own.client(OFFICER) as officer:

            def slow():
                for one in (key, software):
                    app.Encrypt(key_id=one, plaintext=b"x")
                return "event=hsm.token apart=1" in own.log_text()

            wait_for(slow, 60, "a token that is slow")
            before = held(own)
            (own.dir / "shim-hold").touch()
            waiting = [app.start("Encrypt", key_id=key, plaintext=b"x") for _ in range(many)]
            wait_for(lambda: held(own) > before, 30, "the worker's call to the token")
            wait_for(lambda: in_line(officer) == many - at_worker, 30, "the others in line")
            late = [other.start("Encrypt", key_id=key, plaintext=b"y") for _ in range(few)]
            wait_for(lambda: in_line(officer) == many - at_worker + few, 30, "the other principal's calls in line")
            refused = failure(app.Encrypt, key_id=key, plaintext=b"x")
            assert (refused.code, refused.reason, refused.retry_seconds) == ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED", 0.1)
            assert "limits.in_flight_per_principal" in refused.message
            assert not any(call.done() for call in waiting + late)
            (own.dir / "shim-hold").unlink()
            assert all(call.result().ciphertext_blob for call in waiting + late)
        order = [r["principal"] for r in own.records(operation="Encrypt", outcome="OK")][-(many + few) :]
        assert order.count(OTHER) == few
        assert max(i for i, who in enumerate(order) if who == OTHER) < many // 2, order
    finally:
        (own.dir / "shim-hold").unlink(missing_ok=True)
        own.stop(expect=None)
