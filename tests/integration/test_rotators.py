"""Rotators and databases in the configuration of a real kmsd: what starts, what does not, and who runs programs."""
import os
import pathlib
import subprocess

import pytest

import harness
import postgres


@pytest.fixture(scope="module")
def server():
    instance = postgres.Postgres()
    yield instance
    instance.close()


def refusal(fresh, extra):
    """What kmsd says before it ends."""
    fresh.write_config(extra=extra)
    done = subprocess.run([fresh.program, "--config", fresh.config], env=fresh.environment, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


def program(directory, mode=0o755):
    directory.chmod(0o755)
    path = directory / "rotate"
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(mode)
    return path


def runner_of(pid):
    """The process of kmsd that runs programs."""
    found = [int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and harness.comm(int(p.name)) == "kms-runner"]
    return [p for p in found if f"PPid:\t{pid}\n" in pathlib.Path(f"/proc/{p}/status").read_text()]


def test_what_is_declared_starts_and_ends_with_kmsd(fresh, server, tmp_path):
    fresh.write_config(extra=f"""
databases:
  - {server.declaration(admin_secret="db/admin")}
rotators:
  - {{name: app, type: postgresql-alternating, database: main}}
  - {{name: token}}
  - {{name: own, type: program, program: {program(tmp_path)}}}
""")
    fresh.init().start()
    kmsd = fresh.process.pid
    (runner,) = runner_of(kmsd)
    assert not [f for f in os.listdir(f"/proc/{runner}/fd") if int(f) > 4]  # its socket and its signals
    fresh.kill()
    harness.wait_for(lambda: not pathlib.Path(f"/proc/{runner}/exe").exists(), what="end of the runner")
    fresh.start()
    (runner,) = runner_of(fresh.process.pid)
    fresh.stop()
    assert not pathlib.Path(f"/proc/{runner}/exe").exists()


def test_without_a_program_nothing_runs_programs(fresh):
    fresh.write_config(extra="rotators: [{name: token}]\n")
    fresh.init().start()
    assert runner_of(fresh.process.pid) == []
    fresh.stop()


def test_what_could_not_work_does_not_start(fresh, tmp_path):
    fresh.init()
    path = program(tmp_path, 0o777)
    declared = f"rotators: [{{name: own, type: program, program: {path}}}]\n"
    assert f"option 'rotators[0].program': {path}: can be written by others" in refusal(fresh, declared)
    path.chmod(0o755)
    assert "option 'rotators[0].user': no such user" in refusal(fresh, declared.replace("}", ", user: nobody-of-that-name}"))
    assert "rotator token: the password is too short" in refusal(fresh, "rotators: [{name: token, length: 2}]\n")
    assert "option 'rotators[0].database': no such item of databases" in refusal(
        fresh, "rotators: [{name: app, type: postgresql, database: main}]\n"
    )


def test_the_server_of_the_tests(server):
    assert server.sql("SELECT 1 + 1") == "2"
    assert server.sql("SELECT 1", password="wrong", check=False) is None
    server.stop("immediate")
    assert server.sql("SELECT 1", check=False) is None
    server.start()
    assert server.sql("SELECT 1") == "1"
