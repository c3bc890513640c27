"""Policies before they are in force: SimulatePolicy and kmsctl policy test."""
import json

import pytest

from harness import ADMIN, APP, OFFICER, OTHER, Failure, failure, key_policy
from policies import ENVIRONMENT, document, kmsctl, statement

ALLOW, EXPLICIT_DENY, IMPLICIT_DENY = 1, 2, 3


SHOP = statement(
    "Shop",
    APP,
    ["kms:Encrypt", "kms:Decrypt"],
    Condition={"StringEquals": {"kms:EncryptionContext:app": "shop"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
)
FREEZE = statement(
    "Freeze", "*", "kms:Encrypt", "Deny", Condition={"DateGreaterThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}
)


@pytest.fixture(scope="module")
def officer(service):
    with service.client(OFFICER) as client:
        yield client


def request(principal=APP, action="kms:Decrypt", context=None, **inputs):
    return {
        "principal": principal,
        "action": action,
        "encryption_context": context or {},
        "inputs": [{"name": name, "value": value} for name, value in inputs.items()],
    }


SHOP_CONTEXT = {"app": "shop", "more": "x"}
INSIDE = {"aws:SourceIp": "10.1.2.3"}


def test_candidate_alone(officer):
    requests = [
        request(context=SHOP_CONTEXT, **INSIDE),
        request(action="Encrypt", context=SHOP_CONTEXT, **INSIDE),
        request(action="Encrypt", context=SHOP_CONTEXT, **INSIDE, **{"AWS:currenttime": "2031-01-01T00:00:00Z"}),
        request(context={"app": "web"}, **INSIDE),
        request(principal=OTHER, context=SHOP_CONTEXT, **INSIDE),
        request(principal=OTHER, action="Sign"),
    ]
    said = officer.SimulatePolicy(policy=document(SHOP, FREEZE), requests=requests).decisions
    assert [(d.decision, d.statement) for d in said] == [
        (ALLOW, "Shop"),
        (ALLOW, "Shop"),
        (EXPLICIT_DENY, "Freeze"),
        (IMPLICIT_DENY, ""),
        (IMPLICIT_DENY, ""),
        (IMPLICIT_DENY, ""),
    ]
    assert [d.near_misses[0].reason for d in said[3:5]] == [
        'StringEquals on kms:EncryptionContext:app does not hold: the request has "web"',
        f"Principal does not name {OTHER}",
    ]
    assert [len(d.near_misses) for d in said] == [0, 0, 0, 1, 1, 0]
    assert said[3].near_misses[0].statement == "Shop"


def test_the_policy_of_a_key_and_a_candidate_for_it(service, admin):
    key = service.new_key()
    asked = [request(), request(principal=OTHER), request(principal=ADMIN, action="PutKeyPolicy")]
    present = admin.SimulatePolicy(key_id=key, requests=asked).decisions
    assert [(d.decision, d.statement) for d in present] == [(ALLOW, "Use"), (IMPLICIT_DENY, ""), (ALLOW, "Admin")]
    candidate = key_policy(users=(OTHER,))
    then = admin.SimulatePolicy(key_id=key, policy=candidate, requests=asked).decisions
    assert [d.decision for d in then] == [IMPLICIT_DENY, ALLOW, ALLOW]
    # nothing came of it
    with service.client(APP) as app:
        app.Encrypt(key_id=key, plaintext=b"x")


def test_properties_of_the_key_are_its_own(service, admin):
    key = service.new_key()
    arn = admin.DescribeKey(key_id=key).key_metadata.arn
    mine = statement("Mine", APP, "kms:Decrypt", Resource=arn)
    usual = statement(
        "Usual",
        OTHER,
        "kms:Decrypt",
        Condition={"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}},
    )
    asked = [request(), request(principal=OTHER), request(principal=OTHER, **{"kms:KeySpec": "RSA_2048"})]
    said = admin.SimulatePolicy(key_id=key, policy=document(mine, usual), requests=asked).decisions
    assert [d.statement for d in said] == ["Mine", "Usual", ""]


def test_simulation_is_what_a_call_meets(service, admin):
    """The same question by simulation and by a call, for both answers."""
    key = service.new_key(policy=document(json.loads(key_policy(users=()))["Statement"][0], SHOP_HERE))
    with service.client(APP) as app:
        for context, decision in [({"app": "shop"}, ALLOW), ({"app": "web"}, IMPLICIT_DENY)]:
            asked = request(action="Encrypt", context=context, **{"aws:SourceIp": "127.0.0.1"})
            (said,) = admin.SimulatePolicy(key_id=key, requests=[asked]).decisions
            assert said.decision == decision
            try:
                app.Encrypt(key_id=key, plaintext=b"x", encryption_context=context)
                assert decision == ALLOW
            except Failure as error:
                assert decision != ALLOW and error.reason == "ACCESS_DENIED"


SHOP_HERE = json.loads(json.dumps(SHOP).replace("10.0.0.0/8", "127.0.0.0/8"))


def test_no_oracle(service, admin, officer):
    """Who may not simulate hears the same whether the key exists, and nothing of the candidate."""
    key = service.new_key()
    words = set()
    for key_id in (key, "00000000-0000-4000-8000-00000000dead"):
        for policy in ("", key_policy(), "not JSON"):
            error = failure(officer.SimulatePolicy, key_id=key_id, policy=policy, requests=[request()])
            assert error.reason == "ACCESS_DENIED"
            words.add(error.message.replace(key_id, "KEY"))
    assert len(words) == 1
    with service.client(APP) as app:
        assert failure(app.SimulatePolicy, key_id=key, requests=[request()]).reason == "ACCESS_DENIED"
        assert failure(app.SimulatePolicy, policy=key_policy(), requests=[request()]).reason == "ACCESS_DENIED"


@pytest.mark.parametrize(
    "fields, reason, words",
    [
        ({"policy": "{", "requests": [request()]}, "MALFORMED_POLICY", "line 1"),
        ({"requests": [request()]}, "INVALID_ARGUMENT", "give key_id, policy, or both"),
        ({"policy": key_policy(), "requests": []}, "INVALID_ARGUMENT", "requests: 1 to 256"),
        ({"policy": key_policy(), "requests": [request()] * 257}, "INVALID_ARGUMENT", "requests: 1 to 256"),
        (
            {"policy": key_policy(), "requests": [request(), request(action="kms:Fly")]},
            "INVALID_ARGUMENT",
            "requests[1]: action",
        ),
        ({"policy": key_policy(), "requests": [request(principal="")]}, "INVALID_ARGUMENT", "requests[0]: principal"),
        (
            {"policy": key_policy(), "requests": [request(**{"aws:SourceIpp": "x"})]},
            "INVALID_ARGUMENT",
            "did you mean aws:SourceIp",
        ),
        (
            {"policy": key_policy(), "requests": [request(**{"aws:CurrentTime": "noon"})]},
            "INVALID_ARGUMENT",
            "'noon' is not a time",
        ),
        (
            {"policy": key_policy(), "requests": [request(**{f"aws:RequestTag/{n}": "x" for n in range(65)})]},
            "INVALID_ARGUMENT",
            "inputs: at most 64",
        ),
    ],
)
def test_what_is_refused(officer, fields, reason, words):
    error = failure(officer.SimulatePolicy, **fields)
    assert error.reason == reason and words in error.message, error.message


def test_as_many_as_allowed(officer):
    asked = [request(principal=f"p{n}") for n in range(256)]
    said = officer.SimulatePolicy(policy=document(statement("One", "p77", "kms:Decrypt")), requests=asked).decisions
    assert [n for n, d in enumerate(said) if d.decision == ALLOW] == [77]


# -- kmsctl policy test --

@pytest.fixture(scope="module")
def online(service):
    """kmsctl as a principal of the service."""

    def call(principal, *arguments, status=0):
        done = service.kmsctl(principal, *arguments, check=False, env=ENVIRONMENT)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        if status > 1:
            return done.stderr
        return json.loads(done.stdout) if "json" in arguments else done.stdout

    return call


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.json"
    path.write_text(document(SHOP, FREEZE))
    return path


def test_one_request_from_the_command_line(shop):
    who = ["policy", "test", shop, "--principal", APP, "--action"]
    context = ["--context", "app=shop", "--input", "aws:SourceIp=10.9.9.9"]
    assert kmsctl(*who, "Decrypt", *context, "-o", "json") == {
        "decision": "allow",
        "statement": "Shop",
        "near_misses": [],
    }
    later = ["--input", "aws:CurrentTime=2031-01-01"]
    said = kmsctl(*who, "kms:Encrypt", *context, *later, "-o", "json", status=1)
    assert (said["decision"], said["statement"]) == ("explicit deny", "Freeze")
    said = kmsctl(*who, "Decrypt", "-o", "json", status=1)
    assert said["decision"] == "implicit deny" and len(said["near_misses"]) == 1
    assert "aws:SourceIp does not hold: the request has nothing" in said["near_misses"][0]["reason"]
    assert "implicit deny" in kmsctl(*who, "Decrypt", status=1)
    kmsctl(*who, "Decrypt", "--expect", "deny")
    kmsctl(*who, "Decrypt", "--expect", "allow", status=1)
    kmsctl(*who, "Decrypt", *context, "--expect", "allow")


def test_mistakes_are_no_denials(shop, tmp_path):
    """Exit status 1 is an answer; everything else that can happen is not."""
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    who = ["--principal", APP, "--action", "Decrypt"]
    assert "MALFORMED_POLICY" in kmsctl("policy", "test", broken, *who, status=2)
    assert "which policy?" in kmsctl("policy", "test", *who, status=2)
    assert "who asks" in kmsctl("policy", "test", shop, status=2)
    assert "no action kms:Fly" in kmsctl(
        "policy", "test", shop, "--principal", APP, "--action", "kms:Fly", status=2
    )
    assert "did you mean" in kmsctl("policy", "test", shop, *who, "--input", "aws:SourceIpp=1", status=2)
    assert "KEY=VALUE" in kmsctl("policy", "test", shop, *who, "--input", "aws:SourceIp", status=2)


CASES = [
    {"name": "the shop decrypts", "principal": APP, "action": "Decrypt", "context": {"app": "shop"}, "inputs": INSIDE},
    {"principal": APP, "action": "kms:Decrypt", "context": {"app": "web"}, "inputs": INSIDE, "expect": "deny"},
    {"name": "from outside", "principal": APP, "action": "kms:Decrypt", "context": {"app": "shop"}, "expect": "deny"},
    {"name": "others", "principal": OTHER, "action": "kms:Decrypt", "inputs": {"aws:TagKeys": ["a", "b"]}, "expect": "deny"},
]
CASES[0]["expect"] = "allow"


def test_cases_from_a_file(shop, tmp_path):
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": CASES}))
    report = kmsctl("policy", "test", shop, "--cases", path, "-o", "json")
    assert (report["passed"], report["failed"]) == (4, 0)
    assert [c["case"] for c in report["cases"]] == ["the shop decrypts", "#2", "from outside", "others"]
    path.write_text(json.dumps([dict(CASES[1], expect="allow"), CASES[0]]))
    report = kmsctl("policy", "test", shop, "--cases", path, "-o", "json", status=1)
    assert [(c["result"], c["decision"]) for c in report["cases"]] == [("FAIL", "implicit deny"), ("pass", "allow")]
    assert 'has "web"' in report["cases"][0]["near_miss"]
    words = kmsctl("policy", "test", shop, "--cases", path, status=1)
    assert "FAIL" in words and "pass" in words


@pytest.mark.parametrize(
    "cases, words",
    [
        ("[]", "1 to 10000"),
        ("{", "line 1"),
        ('[{"principal": "p", "action": "Decrypt"}]', "case 1: wants principal, action and expect"),
        ('[{"principal": "p", "action": "Decrypt", "expect": "maybe"}]', "case 1: expect: allow or deny, not maybe"),
        ('[{"principal": "p", "action": "Decrypt", "expect": "deny", "contxt": {}}]', "case 1: unknown member contxt"),
        ('[{"principal": "p", "action": "Decrypt", "expect": "deny", "context": {"a": 1}}]', "case 1: not an object"),
    ],
)
def test_cases_that_make_no_sense(shop, tmp_path, cases, words):
    path = tmp_path / "cases.json"
    path.write_text(cases)
    assert words in kmsctl("policy", "test", shop, "--cases", path, status=2)


def test_the_server_says_the_same(service, online, shop, tmp_path):
    key = service.new_key()
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(CASES * 100))  # more than one call
    here = kmsctl("policy", "test", shop, "--cases", path, "-o", "json")
    there = online(ADMIN, "policy", "test", shop, "--key", key, "--cases", path, "-o", "json")
    assert here == there and there["passed"] == 400
    present = ["policy", "test", "--key", key, "--principal", APP, "--action", "Decrypt"]
    assert online(ADMIN, *present, "-o", "json")["statement"] == "Use"
    assert online(ADMIN, *present[:-1], "PutKeyPolicy", "-o", "json", status=1)["decision"] == "implicit deny"
    assert "ACCESS_DENIED" in online(APP, *present, status=3)
