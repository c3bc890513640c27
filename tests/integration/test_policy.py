"""Policies before they are in force: SimulatePolicy, kmsctl policy test, diff, replay and lint."""
import json

import pytest

from harness import ADMIN, APP, OFFICER, OTHER, Failure, key_policy

ALLOW, EXPLICIT_DENY, IMPLICIT_DENY = 1, 2, 3


def failure(call, **fields):
    with pytest.raises(Failure) as caught:
        call(**fields)
    return caught.value


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(sid, principal, action, effect="Allow", **more):
    return dict(
        {"Sid": sid, "Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": "*"}, **more
    )


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
def admin(service):
    with service.client(ADMIN) as client:
        yield client


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
