"""tests/bench/run ends, and what it writes has the form that it promises. Never how fast anything is."""
import json
import re
import subprocess

import pytest

from harness import APP, BUILD, ROOT

MEMBERS = {
    "operation",
    "level",
    "transport",
    "connections",
    "in_flight",
    "calls_per_s",
    "p50_us",
    "p99_us",
    "p999_us",
    "server_cpu_us",
    "ratio_to_empty",
    "cpu_ratio_to_empty",
}
STATIONS = ["rpc", "authn", "gather", "decide", "plan", "hsm", "finish", "audit", "reply"]
pytestmark = pytest.mark.skipif(
    not (BUILD / "bench/kms-load").exists(), reason="the bench programs are not built (BUILD_TESTING=OFF)"
)


def bench(tmp_path, *options):
    out = tmp_path / "rows.json"
    command = [
        ROOT / "tests/bench/run",
        "--build",
        BUILD,
        "--dir",
        tmp_path,
        "--json",
        out,
        "--rounds",
        "2",
        "--slice-ms",
        "10",
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(out.read_text())
    for row in rows:
        assert MEMBERS <= set(row)
        assert all(row[name] > 0 for name in MEMBERS - {"operation", "level", "transport", "in_flight"}), row
        assert row["errors"] == 0
    return [
        (row["operation"], row["level"], row["transport"], row["connections"], row["in_flight"])
        for row in rows
    ], done.stdout


def test_secrets(tmp_path):
    rows, printed = bench(tmp_path, "--secrets")
    wanted = [(operation, level) for level in ("SOFTWARE", "HSM") for operation in ("Decrypt", "GetSecretValue")]
    assert rows == [("Empty", "none", "mtls", 4, 8)] + [(*one, "mtls", 4, 8) for one in wanted]
    assert printed.count("GetSecretValue, ") >= 2 and "of the empty RPC's calls/s, bar 0.5" in printed


def test_what_the_audit_log_costs(tmp_path):
    rows, printed = bench(tmp_path, "--audit")
    levels = [level + suffix for level in ("SOFTWARE", "HSM") for suffix in ("", ", os", ", log off")]
    assert rows == [("Empty", "none", "mtls", 4, 8)] + [("Encrypt", level, "mtls", 4, 8) for level in levels]
    for what in ("SOFTWARE, durable", "HSM, durable", "SOFTWARE, without waiting for the disk", "HSM, without waiting for the disk"):
        assert f"audit log, {what}: " in printed
    assert printed.count(" us of CPU a call (") == 4
    words = b"calls were not recorded"  # in the bench's daemon only
    assert words in (BUILD / "bench/kmsd-no-audit").read_bytes() and words not in (BUILD / "bin/kmsd").read_bytes()


def test_batches_by_the_item(tmp_path):
    rows, printed = bench(tmp_path, "--batch")
    whats = [(operation, level) for level in ("SOFTWARE", "HSM") for operation in ("Encrypt", "EncryptBatch")]
    assert rows == [(*what, "mtls", 4, 8) for what in [("Empty", "none"), *whats]]
    assert printed.count("batches of 32, ") == 2 and printed.count(" us of server CPU an item, ") == 2


def test_quick_has_the_rows_of_the_bars(tmp_path):
    rows, printed = bench(tmp_path, "--quick")
    assert rows == [
        ("Empty", "none", "mtls", 4, 8),
        ("Encrypt", "SOFTWARE", "mtls", 4, 8),
        ("Encrypt", "HSM", "mtls", 4, 8),
    ]
    assert printed.count(">= ") == 8
    shares = re.search(r"where kmsd's [0-9,]+ calls spent their time: (.*)", printed)[1].split(", ")
    assert [share.split()[0] for share in shares] == STATIONS


def test_every_operation_on_a_unix_socket(tmp_path):
    rows, _ = bench(tmp_path, "--rows", "unix,1x8")
    operations = ("Encrypt", "Decrypt", "GenerateDataKey")
    assert rows == [("Empty", "none", "unix", 1, 8)] + [
        (operation, level, "unix", 1, 8) for operation in operations for level in ("SOFTWARE", "HSM")
    ]


def test_calls_that_fail_are_counted_and_not_measured(service):
    name = service.certs.dir / service.certs.client(APP)
    target = f"name=refused,operation=Encrypt,address=tls:127.0.0.1:{service.port},pids={service.process.pid},key=alias/nobody"
    done = subprocess.run(
        [
            BUILD / "bench/kms-load",
            "--ca",
            service.certs.dir / "ca.pem",
            "--cert",
            f"{name}.pem",
            "--key",
            f"{name}.key",
            "--in-flight",
            "4",
            "--rounds",
            "2",
            "--slice-ms",
            "10",
            target,
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)[0]
    assert told["calls"] == 0 and told["errors"] > 0 and told["first_error"] == 7  # PERMISSION_DENIED


def test_policy_decisions_of_three_sizes(tmp_path):
    out = tmp_path / "rows.json"
    command = [ROOT / "tests/bench/run", "--build", BUILD, "--policy", "--json", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(out.read_text())
    assert [row["statements"] for row in rows] == [1, 10, 100] * 2
    assert all(row["allowed_ns"] > 0 and row["denied_ns"] > 0 for row in rows)
    assert "policy decision, 100 statements:" in done.stdout


def test_verify_is_measured(tmp_path):
    """Only that it ends: under a sanitizer it measures nothing."""
    out = tmp_path / "rows.json"
    command = [ROOT / "tests/bench/run", "--build", BUILD, "--verify", "--dir", tmp_path, "--json", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(out.read_text())) == 3 and "records/s on one core at best, bar 300,000" in done.stdout


def mode(tmp_path, *options):
    """Rows and words of a mode with rows of its own."""
    out = tmp_path / "rows.json"
    command = [ROOT / "tests/bench/run", "--build", BUILD, "--quick", "--dir", tmp_path, "--json", out, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text()), done.stdout


def test_backlog_is_caught_up_with(tmp_path):
    rows, printed = mode(tmp_path, "--backlog")
    assert [row["records"] for row in rows] == [2000] and rows[0]["tail_records"] >= 2000 and rows[0]["shipped_per_s"] > 0
    assert printed.count("bar 100,000: ") == 2


def test_many_keys(tmp_path):
    """Keys that kms-fill put into the keystore are found, listed and used as any."""
    rows, printed = mode(tmp_path, "--scale")
    assert [(row["keys"], row["aliases"]) for row in rows] == [(500, 50), (2000, 200)]
    for name in ("start_s", "resident_mb", "page_ms", "describe_per_s", "one_per_s", "random_per_s", "alias_per_s"):
        assert all(row[name] > 0 for row in rows), name
    assert "2,000 keys: resident, MB:" in printed


def test_many_connections(tmp_path):
    rows, printed = mode(tmp_path, "--connections", "--rounds", "2", "--slice-ms", "10")
    assert [(row["kind"], row["connections"]) for row in rows] == [("idle", 20), ("idle", 100), ("active", 4), ("active", 40)]
    assert all(row["calls_per_s"] > 0 for row in rows) and "| idle connections |" in printed


def test_a_slow_token(tmp_path):
    rows, printed = mode(tmp_path, "--slow-hsm")
    assert [(row["delay_ms"], row["workers"]) for row in rows] == [(5, 1), (5, 2)]
    for name in ("calls_per_s", "single_calls_per_s", "p50_ms", "p99_ms", "alone_p50_us", "beside_p50_us"):
        assert all(row[name] > 0 for row in rows), name
    assert printed.count("| 5 ms |") == 2


def test_fairness(tmp_path):
    rows, printed = mode(tmp_path, "--fairness")
    assert [row["heavy"] for row in rows] == [False, True, True] * 3 and all(row["calls"] > 0 for row in rows)
    assert printed.count("rate_per_principal") == 3
