"""Imported material is in plain while a worker checks it and brings it in; afterwards no process holds a piece of it."""
import os

import pytest

from harness import ADMIN, Service
from importing import EXTERNAL, HSM, RSA_AES, SOFTWARE, Pair, put
from test_memory import readable, scan

PIECE = 24  # bytes, from the middle of a secret
OPTIONS = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0:detect_leaks=0"


def pieces(secret):
    """As it is written, and as OpenSSL keeps numbers."""
    middle = len(secret) // 2
    piece = secret[middle - PIECE // 2:middle + PIECE // 2]
    return [piece, piece[::-1]]


@pytest.mark.parametrize("level", [HSM, SOFTWARE])
def test_no_copy_stays(tmp_path, level):
    service = Service(tmp_path / "home", environment={"ASAN_OPTIONS": OPTIONS}).init().start()
    try:
        if not all(readable(pid, str(service.pin_file).encode()) for pid in service.workers()):
            pytest.skip("this user may not look into processes that are not dumpable (needs CAP_SYS_PTRACE)")
        pkcs8 = Pair(tmp_path, "-algorithm", "RSA", "-pkeyopt", "bits:2048").pkcs8
        exponent = pkcs8[310:550]  # of the private exponent, which stands behind 256 bytes of modulus
        aes, mac = os.urandom(32), os.urandom(64)
        with service.client(ADMIN) as admin:
            for spec, usage, material in ((1, 1, aes), (11, 3, mac), (2, 2, pkcs8)):
                key = service.new_key(origin=EXTERNAL, key_spec=spec, key_usage=usage, protection_level=level)
                put(admin, key, material, RSA_AES)
        needles = [piece for secret in (aes, mac, exponent) for piece in pieces(secret)]
        assert [dict(scan(pid, needles)) for pid in service.workers()] == [{}] * len(service.workers())
        assert dict(scan(service.process.pid, needles)) == {}
    finally:
        service.stop(expect=None)
