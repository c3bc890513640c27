"""Metrics: what is counted when calls, workers, rotations and leases do well or badly, and who may see it."""
import json
import os
import re
import signal

import pytest

import measured
from harness import ADMIN, APP, OFFICER, Service, failure, wait_for
from lease_world import World
from measured import asked, risen
from postgres import Postgres
from test_secret_rotation import CURRENT, PENDING, PROGRAM, described, ended, make, stages

STEP_FAILURES, FAILING = ("kmsd_secret_rotation_step_failures_total",), ("kmsd_secrets_rotation_failing",)
ROTATIONS, GIVEN_UP = ("kmsd_secret_rotations_total",), ("kmsd_secret_rotations_given_up_total",)


def calls(method, outcome="OK"):
    return ("kmsd_calls_total", f"method={method}", f"outcome={outcome}")


def act(name, outcome):
    return ("kmsd_acts_total", f"act={name}", f"outcome={outcome}")


def leases(state):
    return ("kmsd_leases", f"state={state}")


@pytest.fixture(scope="module")
def officer(service):
    with service.client(OFFICER) as client:
        yield client


def test_calls_are_counted_by_method_and_outcome(service, officer, app):
    key, before = service.new_key(), asked(officer)
    for _ in range(3):
        app.Encrypt(key_id=key, plaintext=b"x")
    assert failure(officer.Encrypt, key_id=key, plaintext=b"x").reason == "ACCESS_DENIED"
    assert failure(app.raw, "/kms.v1.CryptoService/Nothing", b"").code == "UNIMPLEMENTED"
    assert failure(app.raw, "/kms.v1.CryptoService/Encrypt", b"\xff").code == "INVALID_ARGUMENT"
    after = risen(before, asked(officer))
    assert after[calls("Encrypt")] == 3 and after[calls("Encrypt", "ACCESS_DENIED")] == 1
    assert after[calls("Encrypt", "INVALID_ARGUMENT")] == 1
    assert after[calls("GetMetrics")] == 1  # the one before; this one has not ended
    assert after[("kmsd_unknown_method_calls_total",)] == 1
    assert after[("kmsd_audit_records_total",)] >= 6
    assert ("kmsd_audit_write_failures_total",) not in after and ("kmsd_keystore_failures_total",) not in after


def test_what_is_looked_up(service, officer, admin):
    wait_for(lambda: asked(officer)[("kmsd_hsm_workers_healthy",)] == 2, 60, "both workers")
    before = asked(officer)
    assert before[("kmsd_hsm_workers_configured",)] == 2
    assert before[("kmsd_start_time_seconds",)] == officer.GetStatus().start_time_us // 1000000
    assert before[("kmsd_build_info", f"version={officer.GetStatus().version}")] == 1
    assert before[("kmsd_clock_doubted",)] == 0
    service.new_key()
    admin.CreateSecret(name="counted", value={"secret_string": "v"})
    after = risen(before, asked(officer))
    assert after[("kmsd_keys",)] == 2 and after[("kmsd_secrets",)] == 1


def stations(client):
    """How many calls were at each station, once all that were answered are counted: that is a moment after the answer has left."""
    found = {}

    def settled():
        now = asked(client)
        found.update({name[1].partition("=")[2]: value for name, value in now.items() if name[0] == "kmsd_station_seconds"})
        answered = [value for name, value in now.items() if name[0] == "kmsd_calls_total" and "Stream" not in name[1]]
        return {found[station] for station in ("rpc", "audit", "reply")} == {sum(answered)}

    wait_for(settled, 60, "all answered calls to be counted")
    return found


def test_where_the_time_of_calls_goes(service, officer, app):
    key = service.new_key(protection_level=2)  # no budget, for which calls would wait
    before = stations(officer)
    for _ in range(3):
        app.Encrypt(key_id=key, plaintext=b"x")
    after = risen(before, stations(officer))
    asking = after["act"]  # the calls that asked for metrics
    assert asking >= 1 and after == {
        "rpc": asking + 3, "authn": asking + 3, "wait": asking, "gather": asking + 3, "decide": asking + 3, "plan": 3, "hsm": 3,
        "act": asking, "finish": asking + 3, "audit": asking + 3, "reply": asking + 3}
    before = stations(officer)
    assert failure(officer.Encrypt, key_id=key, plaintext=b"x").reason == "ACCESS_DENIED"
    after = risen(before, stations(officer))
    assert after["decide"] == after["act"] + 1 and "plan" not in after and "hsm" not in after


def test_a_histogram_over_the_api(officer):
    told = next(metric for metric in officer.GetMetrics().metrics if metric.name == "kmsd_station_seconds")
    assert [sample.labels["station"] for sample in told.samples] == [
        "rpc", "authn", "wait", "gather", "decide", "plan", "hsm", "act", "finish", "audit", "reply"]
    for sample in told.samples:
        bounds = [bucket.up_to_ns or 2**63 for bucket in sample.times.buckets]
        assert bounds == sorted(set(bounds)) and all(bucket.count > 0 for bucket in sample.times.buckets)
        assert sum(bucket.count for bucket in sample.times.buckets) == sample.value
        assert (sample.times.sum_ns > 0) == (sample.value > 0)


def test_kmsctl(service, officer):
    def kmsctl(*arguments, **options):
        return service.kmsctl(OFFICER, "metrics", *arguments, **options)

    text = measured.of_text(kmsctl("--prometheus").stdout)
    listed = json.loads(kmsctl("-o", "json").stdout)
    assert {metric["name"] for metric in listed} >= {name for name, *_ in text}
    assert all(metric["help"] and metric["type"] in ("COUNTER", "GAUGE", "HISTOGRAM") for metric in listed)
    assert [m["samples"] for m in listed if m["name"] == "kmsd_hsm_workers_configured"] == [[{"labels": {}, "value": 2}]]
    table = kmsctl().stdout
    assert table.startswith("METRIC ") and "method=Encrypt outcome=OK" in table
    times = r"[1-9][0-9]* times, mean [0-9.]+ us, p50 <= [0-9]+ us, p99 <= [0-9]+ us\n"
    assert re.search("kmsd_station_seconds +station=rpc +" + times, table)
    both = kmsctl("--prometheus", "-o", "json", check=False)
    assert both.returncode == 2 and "not both" in both.stderr
    assert set(measured.asked(officer)) >= set(text)


def test_every_metric_is_told(officer):
    """Names in the order of the table; labels are known before, none is the name of anything that is stored."""
    reply = officer.GetMetrics()
    assert len({metric.name for metric in reply.metrics}) == len(reply.metrics) > 20 and reply.text == ""
    assert all(metric.samples and metric.type in (1, 2, 3) for metric in reply.metrics)
    assert {label for metric in reply.metrics for sample in metric.samples for label in sample.labels} == {
        "version", "method", "outcome", "act", "trouble", "state", "station"}
    text = officer.GetMetrics(as_text=True)
    assert not text.metrics and set(measured.of_text(text.text)) >= set(measured.of_list(reply))
    assert [m.name for m in reply.metrics] == [line.split()[2] for line in text.text.splitlines() if line.startswith("# TYPE")]


def test_who_may_not_see_them(service, officer, app):
    before = asked(officer)
    assert failure(app.GetMetrics).reason == "ACCESS_DENIED"
    assert risen(before, asked(officer))[calls("GetMetrics", "ACCESS_DENIED")] == 1
    record = [r for r in service.records(operation="GetMetrics") if r["outcome"] != "OK"][-1]
    assert record["principal"] == APP and record["access"][0]["action"] == "kms:GetMetrics"
    assert record["access"][0]["decision"] == "no-match"


def test_a_worker_that_dies(service, officer):
    before = asked(officer)[("kmsd_hsm_workers_replaced_total",)]
    os.kill(service.workers()[0], signal.SIGKILL)
    wait_for(lambda: asked(officer)[("kmsd_hsm_workers_replaced_total",)] > before, 60, "the death to be counted")
    wait_for(lambda: asked(officer)[("kmsd_hsm_workers_healthy",)] == 2, 60, "its successor")


def test_a_disk_that_fills_up(fresh):
    fresh.write_config(audit={"warn_free": "1099511627776", "refuse_free": "0"})
    fresh.init().start()
    with fresh.client(OFFICER) as officer:
        troubles = {name[1]: value for name, value in asked(officer).items() if name[0] == "kmsd_audit_trouble"}
        assert [name for name, value in troubles.items() if value] == ["trouble=space"]
        assert set(troubles) == {f"trouble={one}" for one in ("write", "next-file", "lost-file", "space", "compress", "stream",
                                                              "syslog", "stream-gap", "syslog-gap")}


# ---- rotation ----


@pytest.fixture
def rotating(tmp_path):
    """start(attempts) gives a service whose rotator fails in testSecret while a file is there."""
    (tmp_path / "rotator").write_text(PROGRAM % {"here": tmp_path})
    (tmp_path / "rotator").chmod(0o755)
    started = []

    def start(attempts):
        extra = f"rotators:\n  - {{name: device, type: program, program: {tmp_path}/rotator}}\n"
        secrets = {"rotation_backoff": "20ms", "rotation_attempts": attempts}
        started.append(Service(tmp_path / "home", secrets=secrets, jobs={"interval": "50ms"}, extra=extra).init().start())
        (tmp_path / "fail-testSecret").touch()
        return started[0]

    start.trouble = tmp_path / "fail-testSecret"
    yield start
    for service in started:
        service.stop()


def test_a_rotation_that_fails_and_recovers(rotating):
    with rotating(1000).client(ADMIN) as admin:
        make(admin, "device", "first")
        assert asked(admin)[FAILING] == 0
        version = admin.RotateSecret(secret_id="device", rotator="device").version_id
        wait_for(lambda: asked(admin)[FAILING] == 1, 60, "a failure")
        assert asked(admin)[STEP_FAILURES] >= 1 and asked(admin)[ROTATIONS] == 0
        rotating.trouble.unlink()
        ended(admin, "device")
        wait_for(lambda: asked(admin)[act("RotateSecretStep", "OK")] == 4, 60, "the last step")  # stored, then counted
        after = asked(admin)
        assert (after[FAILING], after[ROTATIONS], after[GIVEN_UP]) == (0, 1, 0)
        assert after[act("RotateSecretStep", "ROTATOR_FAILED")] == after[STEP_FAILURES]
        assert CURRENT in stages(admin, "device")[version]


def test_a_rotation_that_is_given_up(rotating):
    with rotating(2).client(ADMIN) as admin:
        make(admin, "device", "first")
        version = admin.RotateSecret(secret_id="device", rotator="device").version_id
        ended(admin, "device")
        after = asked(admin)
        assert (after[FAILING], after[ROTATIONS], after[GIVEN_UP], after[STEP_FAILURES]) == (1, 0, 1, 2)
        assert "ROTATOR_FAILED" in described(admin, "device").last_rotation_error
        admin.UpdateSecretVersionStage(secret_id="device", version_stage=PENDING, remove_from_version_id=version)
        assert asked(admin)[FAILING] == 0  # somebody has been there


# ---- leases ----


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.close()


def test_leases(tmp_path, postgres):
    world = World(tmp_path / "home", postgres)
    role = world.role()
    with world.service.client(ADMIN) as admin, world.service.client(APP) as app:
        made = [app.GenerateCredentials(role_name=role, ttl=60) for _ in range(3)]
        app.RenewLease(lease_id=made[0].lease_id, increment=600)
        now = asked(admin)
        assert (now[leases("active")], now[leases("creating")], now[leases("revoking")]) == (3, 0, 0)
        assert (now[("kmsd_leases_generated_total",)], now[("kmsd_leases_renewed_total",)]) == (3, 1)
        app.RevokeLease(lease_id=made[0].lease_id)
        wait_for(lambda: asked(admin)[("kmsd_leases_revoked_total",)] == 1, 60, "the end of a lease")
        assert asked(admin)[leases("active")] == 2

        postgres.stop("immediate")
        try:
            app.RevokeLease(lease_id=made[1].lease_id)
            wait_for(lambda: asked(admin)[("kmsd_leases_revocation_failing",)] == 1, 60, "a revocation to fail")
            assert asked(admin)[leases("revoking")] == 1
        finally:
            postgres.start()
        wait_for(lambda: asked(admin)[("kmsd_leases_revoked_total",)] == 2, 60, "the end of a lease")
        wait_for(lambda: asked(admin)[("kmsd_leases_revocation_failing",)] == 0, 60, "nothing that fails")

        prefix = admin.DescribeDatabaseRole(role_name=role).user_prefix
        postgres.sql(f'CREATE ROLE "{prefix}orphan"; CREATE TABLE of_lease (id int)')
        postgres.sql(f'ALTER TABLE of_lease OWNER TO "{made[2].username}"')
        admin.SweepLeases(role_name=role)
        wait_for(lambda: asked(admin)[("kmsd_lease_orphans_found_total",)] >= 1, 60, "the orphan")  # or the first sweep, if it is late
        app.RevokeLease(lease_id=made[2].lease_id)  # the database refuses: it owns something
        wait_for(lambda: asked(admin)[("kmsd_lease_revocation_failures_total",)] >= 1, 60, "a refusal")
        postgres.sql("DROP TABLE of_lease")
        wait_for(lambda: asked(admin)[("kmsd_leases_revoked_total",)] == 3, 60, "the end of a lease")
        lost = app.GenerateCredentials(role_name=role, ttl=60)
        postgres.sql(f'DROP ROLE "{lost.username}"')
        admin.SweepLeases(role_name=role)
        wait_for(lambda: asked(admin)[("kmsd_leases_lost_total",)] >= 1, 60, "the lease without a user")
    world.service.stop()


# ---- the file ----


@pytest.fixture
def writing(fresh):
    """A service that writes its metrics to metrics/kmsd.prom."""
    (fresh.dir / "metrics").mkdir()
    fresh.write_config(metrics={"file": "metrics/kmsd.prom", "interval": "100ms"})
    fresh.init().start()
    return fresh


def written(service):
    path = service.dir / "metrics/kmsd.prom"
    return measured.of_text(path.read_text()) if path.exists() else None


def test_the_file(writing):
    wait_for(lambda: written(writing), 60, "the file")
    key, marker = writing.new_key(), "MARKER-of-metrics"
    with writing.client(APP) as app, writing.client(ADMIN) as admin:
        app.Encrypt(key_id=key, plaintext=b"x")
        admin.CreateSecret(name=marker, value={"secret_string": marker})
        wait_for(lambda: written(writing)[calls("CreateSecret")] == 1, 60, "the call in the file")
        now = written(writing)
        assert now[calls("Encrypt")] == 1 and now[("kmsd_secrets",)] == 1
        assert set(now) <= set(asked(admin)) and not [r for r in writing.records(operation="GetMetrics") if r["principal"] == "kmsd"]
    path = writing.dir / "metrics/kmsd.prom"
    assert path.stat().st_mode & 0o7777 == 0o644
    assert not any(word in path.read_text() for word in (marker, key, APP, ADMIN))
    assert set(os.listdir(path.parent)) <= {"kmsd.prom", "kmsd.prom.new"}
    writing.stop()
    assert os.listdir(path.parent) == []  # what it said would not be so any more


def test_a_file_that_cannot_be_written(writing):
    """Told when it begins and when it ends, however often it is tried; calls go on."""
    folder = writing.dir / "metrics"
    wait_for(lambda: written(writing), 60, "the file")
    for times in (1, 2):
        folder.rename(writing.dir / "away")
        wait_for(lambda: writing.log_text().count("event=metrics.file err=IO") == times, 60, "word of the failure")
        with writing.client(OFFICER) as officer:
            for _ in range(20):
                asked(officer)
        (writing.dir / "away").rename(folder)
        wait_for(lambda: writing.log_text().count("event=metrics.file written again") == times, 60, "word of the end")
        assert calls("GetMetrics") in written(writing)
    said = [line for line in writing.log_text().splitlines() if "event=metrics.file" in line]
    assert len(said) == 4 and "metrics/kmsd.prom" in said[0] and "No such file or directory" in said[0] and "level=warn" in said[0]


def test_options_of_the_file(fresh):
    fresh.write_config(metrics={"interval": "50ms"})
    refused = fresh.kmsd("check", check=False)
    assert refused.returncode == 1 and "metrics.interval" in refused.stderr
