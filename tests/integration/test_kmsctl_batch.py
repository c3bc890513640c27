"""kmsctl batch: lines of JSON through the batch calls."""
import base64
import json
import os

import pytest

from harness import ADMIN, APP

# As in test_kmsctl.py.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", KMSCTL_CONFIG="")


@pytest.fixture(scope="module")
def key(service):
    return service.new_key()


@pytest.fixture(scope="module")
def batch(service):
    """batch(arguments..., lines=[...], status=0): the lines of the answer, and standard error."""

    def call(*arguments, lines, status=0, who=APP):
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        done = service.kmsctl(who, "batch", *arguments, check=False, env=ENVIRONMENT, input=text)
        assert done.returncode == status, (done.stdout[-2000:], done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return call


def b64(text):
    return base64.b64encode(text.encode()).decode()


def test_there_and_back_in_more_than_one_call(service, batch, key):
    """600 lines are three calls, and three records."""
    before = len(service.records(operation="EncryptBatch"))
    lines = [{"plaintext": b64(f"value {i}"), "context": {"n": str(i)}} for i in range(600)]
    sealed, _ = batch("encrypt", "--key", key, lines=lines)
    assert len(sealed) == 600 and all(item["key_version"] == 1 for item in sealed)
    assert len(service.records(operation="EncryptBatch")) == before + 3
    back, _ = batch(
        "decrypt",
        lines=[{"ciphertext": item["ciphertext"], "context": {"n": str(i)}} for i, item in enumerate(sealed)],
    )
    assert [item["plaintext"] for item in back] == [line["plaintext"] for line in lines]


def test_large_values_are_shared_out_over_calls(batch, key):
    """1 MiB of plaintext is the bound of a call: 40 values of 60 KiB need three."""
    big = base64.b64encode(os.urandom(60 * 1024)).decode()
    sealed, _ = batch("encrypt", "--key", key, lines=[{"plaintext": big}] * 40)
    back, _ = batch("decrypt", lines=[{"ciphertext": item["ciphertext"]} for item in sealed])
    assert [item["plaintext"] for item in back] == [big] * 40


def test_a_bad_line_fails_alone(batch, key):
    """Each with its reason, in its place; nothing of a line is repeated in the words."""
    good = {"plaintext": b64("x")}
    lines = [
        good,
        "not json, and secret",
        {"plaintext": "!secret!"},
        {"plaintext": b64("x"), "context": {"a": 1}},
        {"context": {}},
        {"plaintext": b64("x"), "colour": "blue"},
        {"plaintext": b64("x"), "key": "alias/nobody-made-this"},
        good,
    ]
    answers, said = batch("encrypt", "--key", key, lines=lines, status=1)
    assert ["error" in answer for answer in answers] == [False] + [True] * 6 + [False]
    reasons = [answer["error"]["reason"] for answer in answers[1:7]]
    assert reasons == ["INVALID_ARGUMENT"] * 5 + ["ACCESS_DENIED"]
    messages = [answer["error"]["message"] for answer in answers[1:7]]
    assert messages[0].startswith("not a JSON object on one line (column ")
    assert messages[1:5] == [
        "plaintext is not base64",
        "a context is an object of at most 64 texts",
        "plaintext is missing",
        "a member that this batch does not have: colour",
    ]
    assert "secret" not in json.dumps(messages) + said
    assert said.startswith("kmsctl: INVALID_ARGUMENT: line 2: not a JSON object") and "(6 of 8 items failed)" in said


def test_a_line_that_is_too_long(batch, key):
    answers, said = batch("encrypt", "--key", key, lines=["x" * 200_000, {"plaintext": b64("x")}], status=1)
    assert answers[0]["error"]["message"] == "longer than 196608 bytes" and "ciphertext" in answers[1]


def test_re_encrypt_and_data_keys(batch, key, service):
    other = service.new_key()
    sealed, _ = batch("encrypt", "--key", key, "--context", "app=web", lines=[{"plaintext": b64("x")}] * 3)
    moved, _ = batch(
        "re-encrypt",
        "--context",
        "app=web",
        "--to",
        other,
        lines=[
            {"ciphertext": sealed[0]["ciphertext"]},
            {"ciphertext": sealed[1]["ciphertext"], "to_context": {"app": "shop"}},
            {"ciphertext": sealed[2]["ciphertext"], "to_context": {}},
        ],
    )
    assert all(other in item["key_arn"] and key in item["source_key_arn"] for item in moved)
    back, _ = batch(
        "decrypt",
        lines=[
            {"ciphertext": moved[0]["ciphertext"], "context": {"app": "web"}},
            {"ciphertext": moved[1]["ciphertext"], "context": {"app": "shop"}},
            {"ciphertext": moved[2]["ciphertext"]},
        ],
    )
    assert [item["plaintext"] for item in back] == [b64("x")] * 3
    keys, _ = batch("data-key", "--key", key, lines=[{}, {"bytes": 17}, {"bytes": 0}], status=1)
    assert [len(base64.b64decode(item["plaintext"])) for item in keys[:2]] == [32, 17]
    assert keys[2]["error"] == {"reason": "INVALID_ARGUMENT", "message": "bytes: 1 to 1024"}


def test_who_may_not_hears_it_once_for_each(batch, key):
    answers, said = batch("encrypt", "--key", key, lines=[{"plaintext": b64("x")}] * 2, status=3, who=ADMIN)
    assert [answer["error"]["reason"] for answer in answers] == ["ACCESS_DENIED"] * 2
    assert said.startswith("kmsctl: ACCESS_DENIED: line 1: ")


def test_a_missing_file_and_no_lines(service, batch, key):
    done = service.kmsctl(APP, "batch", "encrypt", "--key", key, "--in", "/nonexistent", check=False, env=ENVIRONMENT)
    assert done.returncode == 1 and done.stderr.startswith("kmsctl: IO: /nonexistent: No such file")
    assert batch("encrypt", "--key", key, lines=[]) == ([], "")
