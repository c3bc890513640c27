"""Health when a part of kmsd really fails, and streams of strangers that are left open: who leaves, when, and who does not notice."""
import contextlib
import fcntl
import os
import struct
import subprocess

import pytest

import http2
from harness import APP, Failure, wait_for
from test_citizens import HEALTH, NOT_SERVING, PARTS, SERVING, Reflection, Watch, asked, check
from test_crash import wait_healthy
from test_listeners import doors


def well(client):
    """The parts that are."""
    return {name for name in PARTS if check(client, name) == SERVING}


def test_the_keystore_cannot_be_read(fresh):
    """Somebody holds the locks that SQLite's readers need (its file format, section 4.3: bytes of the -shm file)."""
    fresh.init().start()
    wait_healthy(fresh)
    with fresh.client(APP) as app, open(fresh.dir / "state" / "keystore.db-shm", "r+b") as index:
        watch = Watch(app, "keystore")
        assert watch.next() == SERVING

        def locked():
            try:
                fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 123)
                return True
            except OSError:
                return False  # it is reading now

        wait_for(locked, 60, "the locks")
        assert watch.next() == NOT_SERVING
        assert well(app) == {"hsm", "audit"}
        fcntl.lockf(index, fcntl.LOCK_UN, 5, 123)
        assert watch.next() == SERVING
        assert check(app) == SERVING


def test_the_audit_log_cannot_be_written(fresh):
    """Its disk is full, until it is not."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(fresh.dir / "audit")]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        fresh.write_config(audit={"segment": "1MiB", "warn_free": "0", "refuse_free": "0", "head_interval": "1h"},
                           jobs={"usage_checkpoint": "1h"})  # no small record finds room meanwhile
        fresh.init().start()
        wait_healthy(fresh)
        key, filler = fresh.new_key(), fresh.dir / "audit" / "filler"
        with fresh.client(APP) as app:
            watch = Watch(app, "audit")
            assert watch.next() == SERVING
            with pytest.raises(OSError), open(filler, "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)

            def refused():
                try:
                    app.Encrypt(key_id=key, plaintext=b"x", encryption_context={"pad": "p" * 4000})
                    return False
                except Failure as caught:
                    return caught.reason == "AUDIT_UNAVAILABLE"

            wait_for(refused, 120, "a record that has no room")
            assert watch.next() == NOT_SERVING
            assert well(app) == {"hsm", "keystore"}
            filler.unlink()
            wait_for(lambda: not refused(), 60, "room")
            assert watch.next() == SERVING
            assert check(app) == SERVING
        fresh.stop()
    finally:
        subprocess.run(["umount", "-l", fresh.dir / "audit"], check=False)


def place(client, version=None):
    """A stream that was let in; None: there was no room."""
    stream = Watch(client) if version is None else Reflection(client, version)
    try:
        assert stream.next() == SERVING if version is None else stream.services()
        return stream
    except Failure as caught:
        assert (caught.code, caught.reason, caught.retry_seconds) == ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED", 0.1)
        return None


@pytest.mark.parametrize("version", [None, "v1", "v1alpha"])
def test_old_streams_give_way_to_new_ones(fresh, version):
    """Whoever holds all places does not do so for good; nobody is asked to leave while there is room."""
    fresh.write_config(limits={"health_watches": "3", "reflection_streams": "3", "stream_age": "1s"})
    fresh.init().start()
    with fresh.client(APP) as app, fresh.client(APP) as other:
        old = [place(app, version) for _ in range(3)]
        assert all(old)
        new = wait_for(lambda: place(other, version), 60, "a place")
        wait_for(lambda: any(one.call.done() for one in old), 60, "one that left")
        for one in old:
            if one.call.done():
                with pytest.raises(one.grpc.RpcError) as ended:
                    next(one.call)
                ended = Failure(ended.value)
                assert (ended.code, ended.reason, ended.retry_seconds) == ("UNAVAILABLE", "STREAM_CROWDED_OUT", 1)
        assert not new.call.done() and check(app) == SERVING


def test_who_does_not_read_leaves_a_place(fresh):
    """Its connection lives, and its window stays shut: the first answer is never written."""
    fresh.write_config(
        unix=doors(fresh.dir, ("door", "0600", APP, {})), limits={"health_watches": "2", "stream_age": "1s"})
    fresh.init().start()
    shut = struct.pack(">HI", http2.INITIAL_WINDOW_SIZE, 0)
    with fresh.client(APP) as app, contextlib.ExitStack() as open_ones:
        for _ in range(2):
            gone = open_ones.enter_context(http2.Connection(fresh.dir / "door", shut))
            gone.begin(HEALTH + "Watch", http2.message(asked("")))
            while not gone.answer.headers:  # of the answer: it was let in
                gone.read()
        assert wait_for(lambda: place(app), 60, "a place")
        assert check(app) == SERVING
        fresh.stop()


def test_who_vanished_leaves_a_place(fresh):
    """Its connection is up, but nobody answers HTTP/2's pings any more."""
    fresh.write_config(
        unix=doors(fresh.dir, ("door", "0600", APP, {})),
        limits={"health_watches": "2"},
        rpc={"keepalive": "1s", "keepalive_timeout": "10s"},
    )
    fresh.init().start()
    path = fresh.dir / "door"
    with http2.Connection(path) as gone, fresh.client(APP) as app, fresh.client(None, unix=path) as here:
        watch = place(here)
        gone.begin(HEALTH + "Watch", http2.message(asked("")))
        while not gone.answer.data:
            gone.read()
        assert gone.answer.reply == SERVING
        assert wait_for(lambda: place(app), 60, "its place")
        assert not watch.call.done()  # its library answers
