"""What key administrators do: create, list, alias, policy; what is refused, and why."""
import json
import uuid

import pytest

from harness import ADMIN, APP, OFFICER, OTHER, failure, key_policy

ADMIN2 = "spiffe://example.org/admin2"


def unique(name):
    return f"alias/{name}-{uuid.uuid4().hex[:8]}"


def test_create_with_alias_and_description(admin):
    alias = unique("made")
    meta = admin.CreateKey(
        policy=key_policy(), alias_name=alias, description="für Müller", protection_level=2
    ).key_metadata
    assert meta.aliases == [alias] and meta.description == "für Müller" and meta.current_version == 1
    assert meta.protection_level == 2 and meta.material_exposure == "in the memory of kms-hsm"
    for name in (meta.key_id, meta.arn, alias, "arn:aws:kms:us-east-1:000000000000:" + alias):
        assert admin.DescribeKey(key_id=name).key_metadata.key_id == meta.key_id


def test_default_policy_lets_the_creator_administer_only(service, admin):
    key = admin.CreateKey().key_metadata.key_id
    assert json.loads(admin.GetKeyPolicy(key_id=key).policy)["Statement"][0]["Principal"]["AWS"] == ADMIN
    assert failure(admin.Encrypt, key_id=key, plaintext=b"x").reason == "ACCESS_DENIED"
    admin.PutKeyPolicy(key_id=key, policy=key_policy())
    with service.client(APP) as app:
        app.Encrypt(key_id=key, plaintext=b"x")


def test_only_who_may_creates(service):
    with service.client(APP) as app:
        error = failure(app.CreateKey, policy=key_policy())
    assert error.reason == "ACCESS_DENIED" and "kms:CreateKey" in error.message


def test_token_makes_one_key(admin):
    token = uuid.uuid4().hex
    first = admin.CreateKey(policy=key_policy(), client_request_token=token).key_metadata.key_id
    assert admin.CreateKey(policy=key_policy(), client_request_token=token).key_metadata.key_id == first
    assert (
        failure(admin.CreateKey, policy=key_policy(), description="other", client_request_token=token).reason
        == "CONFLICT"
    )
    rotate = uuid.uuid4().hex
    assert admin.RotateKeyOnDemand(key_id=first, client_request_token=rotate).current_version == 2
    assert admin.RotateKeyOnDemand(key_id=first, client_request_token=rotate).current_version == 2
    assert admin.DescribeKey(key_id=first).key_metadata.current_version == 2


def test_issue_document_loads_unchanged(service):
    """The policy of AWS's documentation, with opaque principals; its kms-admin writes it."""
    kms_admin, role = "arn:aws:iam::123456789:role/kms-admin", "arn:aws:iam::123456789:role/app-role"
    document = (
        '{"Statement":[{"Sid":"AdminKey","Effect":"Allow","Principal":{"AWS":"%s"},"Action":["kms:Create*","kms:Delete*","kms:Put*"],'
        '"Resource":"*"},\n {"Sid":"AppUsage","Effect":"Allow","Principal":{"AWS":"%s"},'
        '"Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*"}]}' % (kms_admin, role)
    )
    key = service.new_key(policy=key_policy(admins=(ADMIN, kms_admin), users=()))
    with service.client(kms_admin) as client, service.client(role) as app:
        client.PutKeyPolicy(key_id=key, policy=document)
        made = app.GenerateDataKey(key_id=key, key_spec=2)
        assert app.Decrypt(ciphertext_blob=made.ciphertext_blob).plaintext == made.plaintext
        assert failure(app.Encrypt, key_id=key, plaintext=b"x").reason == "ACCESS_DENIED"
        assert failure(client.Decrypt, ciphertext_blob=made.ciphertext_blob).reason == "ACCESS_DENIED"


CONSOLE_DEFAULT = {
    "Version": "2012-10-17",
    "Id": "key-consolepolicy-3",
    "Statement": [
        {
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": {"AWS": ADMIN},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Sid": "Allow use of the key",
            "Effect": "Allow",
            "Principal": {"AWS": APP},
            "Action": ["kms:Encrypt", "kms:Decrypt"],
            "Resource": "*",
        },
    ],
}


def test_console_default_is_refused(admin):
    error = failure(admin.CreateKey, policy=json.dumps(CONSOLE_DEFAULT))
    assert error.reason == "POLICY_NOT_SEPARATED" and error.message.count("Enable IAM User Permissions") == 2


def test_separation_warn_lets_it_in_and_says_so(fresh):
    fresh.write_config(policy={"separation": "warn"})
    fresh.init().start()
    with fresh.client(ADMIN) as admin:
        admin.CreateKey(policy=json.dumps(CONSOLE_DEFAULT))
        status = admin.GetStatus()
    assert status.policy_separation == "warn" and any("separation" in w for w in status.warnings)
    assert "separation" in json.dumps(fresh.records(operation="CreateKey", kind="outcome")[0])


@pytest.mark.parametrize(
    "policy, word",
    [
        ("{", ""),
        ("[]", ""),
        ('{"Statement":[]}', "Statement"),
        (key_policy().replace("Effect", "Efect"), "Efect"),
        (key_policy().replace('"Resource"', '"Resourse"'), "Resourse"),
    ],
)
def test_malformed_policy_names_the_place(admin, policy, word):
    error = failure(admin.CreateKey, policy=policy)
    assert error.reason == "MALFORMED_POLICY" and word in error.message, error


def test_lockout_is_refused_unless_bypassed(service, admin):
    locked = key_policy(admins=(ADMIN2,))
    assert failure(admin.CreateKey, policy=locked).reason == "POLICY_LOCKOUT"
    key = service.new_key()
    assert failure(admin.PutKeyPolicy, key_id=key, policy=locked).reason == "POLICY_LOCKOUT"
    admin.PutKeyPolicy(key_id=key, policy=locked, bypass_policy_lockout_safety_check=True)
    assert failure(admin.GetKeyPolicy, key_id=key).reason == "ACCESS_DENIED"
    record = service.records(operation="PutKeyPolicy", kind="outcome", outcome="OK")[-1]
    assert "bypass_policy_lockout" in json.dumps(record)


def test_policy_comes_back_as_written(service, admin):
    text = key_policy() + "\n\n"
    key = service.new_key(policy=text)
    assert admin.GetKeyPolicy(key_id=key).policy == text


def test_list_keys_pages(service, admin):
    made = {service.new_key() for _ in range(5)}
    seen, marker, pages = [], "", 0
    while True:
        page = admin.ListKeys(limit=2, marker=marker)
        seen += [k.key_id for k in page.keys]
        pages += 1
        if not page.truncated:
            break
        marker = page.next_marker
    assert made <= set(seen) and len(seen) == len(set(seen)) and seen == sorted(seen) and pages >= 3
    assert failure(admin.ListKeys, marker="nonsense").reason == "INVALID_MARKER"
    assert failure(admin.ListKeys, limit=1001).reason == "INVALID_ARGUMENT"
    with service.client(OTHER) as other:
        assert failure(other.ListKeys).reason == "ACCESS_DENIED"


def test_aliases_of_one_key_page_by_page(service, admin):
    """Also more than a hundred of them, and after the name of one that is gone; those of other keys are not among them."""
    key, other, prefix = service.new_key(), service.new_key(), unique("many") + "/"
    names = [f"{prefix}{i:03}" for i in range(120)]
    for i, name in enumerate(reversed(names)):
        admin.CreateAlias(alias_name=name, target_key_id=other if i % 40 == 7 else key)
    mine = [name for i, name in enumerate(reversed(names)) if i % 40 != 7][::-1]
    found, marker, pages = [], "", 0
    while True:
        page = admin.ListAliases(key_id=key, limit=39, marker=marker)
        found += [a.alias_name for a in page.aliases]
        pages += 1
        if not page.truncated:
            break
        marker = page.next_marker
        if pages == 1:
            admin.DeleteAlias(alias_name=marker)
    assert found == mine and pages == 3  # 39 in each
    assert key in [k.key_id for k in admin.ListKeys(limit=1000, alias_prefix=names[-1]).keys]
    assert [k.key_id for k in admin.ListKeys(limit=1000, alias_prefix=names[-8]).keys] == [other]


def test_aliases(service, admin):
    key, alias = service.new_key(), unique("one")
    admin.CreateAlias(alias_name=alias, target_key_id=key)
    assert failure(admin.CreateAlias, alias_name=alias, target_key_id=key).reason == "ALREADY_EXISTS"
    listed = admin.ListAliases(key_id=key).aliases
    assert [(a.alias_name, a.target_key_id) for a in listed] == [(alias, key)]
    with service.client(APP) as app:
        blob = app.Encrypt(key_id=alias, plaintext=b"x").ciphertext_blob
        assert app.Decrypt(ciphertext_blob=blob, key_id=alias).plaintext == b"x"
        assert failure(app.CreateAlias, alias_name=unique("no"), target_key_id=key).reason == "ACCESS_DENIED"
    admin.DeleteAlias(alias_name=alias)
    assert not admin.ListAliases(key_id=key).aliases
    admin.CreateAlias(alias_name=alias, target_key_id=key)  # back to the same key: nothing moves
    for bad in ("alias/aws/x", "x", "alias/a b", "alias/" + "x" * 251):
        assert failure(admin.CreateAlias, alias_name=bad, target_key_id=key).reason == "INVALID_ALIAS_NAME"


def test_alias_moves_only_among_the_same_users(service, admin):
    mine, same, wider = (
        service.new_key(),
        service.new_key(),
        service.new_key(policy=key_policy(users=(APP, OTHER))),
    )
    alias = unique("moves")
    admin.CreateAlias(alias_name=alias, target_key_id=mine)
    admin.UpdateAlias(alias_name=alias, target_key_id=same)
    error = failure(admin.UpdateAlias, alias_name=alias, target_key_id=wider)
    assert error.reason == "APPROVAL_NEEDED" and OTHER in error.message
    admin.DeleteAlias(alias_name=alias)
    assert failure(admin.CreateAlias, alias_name=alias, target_key_id=wider).reason == "APPROVAL_NEEDED"
    assert (
        failure(admin.CreateKey, policy=key_policy(users=(OTHER,)), alias_name=alias).reason
        == "APPROVAL_NEEDED"
    )
    with service.client(APP) as app:
        assert (
            failure(app.Encrypt, key_id=alias, plaintext=b"x").reason == "ACCESS_DENIED"
        )  # a tombstone names no key


def test_alias_needs_permission_on_both_keys(service):
    mine = service.new_key()
    theirs = service.new_key(admin=ADMIN2, policy=key_policy(admins=(ADMIN2,)))
    alias = unique("both")
    with service.client(ADMIN) as admin, service.client(ADMIN2) as admin2:
        admin.CreateAlias(alias_name=alias, target_key_id=mine)
        assert failure(admin.UpdateAlias, alias_name=alias, target_key_id=theirs).reason == "ACCESS_DENIED"
        assert failure(admin2.UpdateAlias, alias_name=alias, target_key_id=theirs).reason == "ACCESS_DENIED"
        assert failure(admin2.DeleteAlias, alias_name=alias).reason == "ACCESS_DENIED"


def test_status(service):
    with service.client(OFFICER) as officer:
        status = officer.GetStatus()
    assert status.hsm_workers_healthy == status.hsm_workers_configured == 2
    assert (
        status.audit_writable
        and status.keys > 0
        and status.root_id == 1
        and len(status.service_policy_sha256) == 64
    )
    names = {c.name: c.available for c in status.hsm_capabilities}
    assert names["aes-256-gcm"] and names["aes-key-wrap-pad"] and names["unwrap-template"]


def test_every_change_leaves_attempt_and_outcome(service, admin):
    key = service.new_key()
    admin.DisableKey(key_id=key)
    attempts = {r["request_id"]: r for r in service.records(kind="attempt")}
    outcomes = service.records(kind="outcome")
    assert outcomes and all(o["request_id"] in attempts for o in outcomes)
    last = [o for o in outcomes if o["operation"] == "DisableKey"][-1]
    assert last["outcome"] == "OK" and last["store_revision"] > 0 and last["access"][0]["key_id"] == key
    assert attempts[last["request_id"]]["seq"] < last["seq"]


def test_every_form_of_a_name_everywhere(service, admin):
    key, alias, arn = service.new_key(), unique("all"), "arn:aws:kms:us-east-1:000000000000:"
    admin.CreateAlias(alias_name=alias, target_key_id=key)
    with service.client(APP) as app:
        for name in (key, alias, f"{arn}key/{key}", arn + alias):
            blob = app.Encrypt(key_id=name, plaintext=b"x").ciphertext_blob
            assert app.Decrypt(key_id=name, ciphertext_blob=blob).plaintext == b"x"
            app.ReEncrypt(source_key_id=name, destination_key_id=name, ciphertext_blob=blob)
            app.GenerateDataKey(key_id=name, key_spec=2)
            app.GenerateDataKeyWithoutPlaintext(key_id=name, key_spec=2)
            for method in ("DisableKey", "EnableKey", "RotateKeyOnDemand", "GetKeyPolicy"):
                getattr(admin, method)(key_id=name)
            admin.PutKeyPolicy(key_id=name, policy=key_policy())
            assert [a.alias_name for a in admin.ListAliases(key_id=name).aliases] == [alias]
            admin.UpdateAlias(alias_name=alias, target_key_id=name)


def test_account_root_loads_under_warn(fresh):
    root = "arn:aws:iam::123456789:root"
    fresh.write_config(policy={"separation": "warn"})
    fresh.init().start()
    key = fresh.new_key(policy=key_policy(admins=(ADMIN, root)))
    with fresh.client(root) as client:
        client.PutKeyPolicy(key_id=key, policy=json.dumps(CONSOLE_DEFAULT).replace(ADMIN, root))
