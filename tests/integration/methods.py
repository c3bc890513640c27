"""One successful request of each method of kmsd, in an order in which each can succeed."""
import uuid

import approval_world
import importing
from callers import ADMIN2, secret_policy
from harness import ADMIN, APP, key_policy

ECDSA_SHA_256, DECRYPT = 7, 1
GRANTEE = "spiffe://example.org/grantee-of-methods"
# Roots change the token that all tests share: test_root.py has its own. Everybody may list what he may retire.
# Records of batches list items: test_batch.py; a stream has two: test_audit_stream.py.
# Rotating takes a rotator of the configuration: test_secret_rotation.py.
# Those of leases need a database: test_leases.py.
LEASES = {"PutDatabaseRole", "DescribeDatabaseRole", "ListDatabaseRoles", "DeleteDatabaseRole", "GenerateCredentials", "RenewLease",
          "RevokeLease", "RevokePrefix", "ListLeases", "SweepLeases"}
ELSEWHERE = LEASES | {"RotateSecret", "CancelRotateSecret",
             "RotateRoot", "GetRootStatus", "DestroyRoot", "ListRetirableGrants", "StreamAuditRecords"} | {
    f"{one}Batch" for one in ("Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey")
}
PLAINTEXT = b"plaintext-" + uuid.uuid4().hex.encode()
CONTEXT = {"tenant": 'Müller & Co "x"\n', "purpose": "test"}


def full(action):
    """An action as records name it."""
    return action if ":" in action else "kms:" + action


def of_users(client, method):
    """Who administers does not call it."""
    return client.method(method)[0].split("/")[1] == "kms.v1.CryptoService" or method == "GetSecretValue"


class Methods:
    """One successful request of each method, in an order in which each can succeed."""

    def __init__(self, service):
        self.service = service
        self.key, self.other, self.doomed = service.new_key(), service.new_key(), service.new_key()
        self.alias = "alias/audit-" + uuid.uuid4().hex[:8]
        with service.client(ADMIN) as admin:
            admin.RotateKeyOnDemand(key_id=self.doomed)
            self.grant = {"grantee_principal": GRANTEE, "retiring_principal": ADMIN, "operations": [DECRYPT]}
            self.granted = [admin.CreateGrant(key_id=self.key, **self.grant).grant_id for _ in range(2)]
        self.signer = service.new_key(key_spec=5)  # ECC_NIST_P256, and HMAC_256 below
        self.signed = {"key_id": self.signer, "message": b"m", "message_type": 1, "signing_algorithm": ECDSA_SHA_256}
        self.authenticated = {"key_id": service.new_key(key_spec=9), "message": b"m", "mac_algorithm": 1}
        self.sealer = service.new_key(key_spec=2, key_usage=1)  # RSA_2048, ENCRYPT_DECRYPT
        self.imported = service.new_key(origin=2)
        self.ruled, self.rule = service.new_key(policy=approval_world.policy()), approval_world.rule(1, ADMIN)
        self.shared, self.approval = approval_world.waiting(service)
        with service.client(APP) as app:
            self.signature = app.Sign(**self.signed).signature
            self.mac = app.GenerateMac(**self.authenticated).mac
            self.blob = app.Encrypt(
                key_id=self.key, plaintext=PLAINTEXT, encryption_context=CONTEXT
            ).ciphertext_blob

        self.secret = "secret/" + uuid.uuid4().hex[:8]
        self.secret_key = service.new_key(admin=ADMIN2, policy=key_policy(admins=(ADMIN2,), users=(ADMIN, APP)))
        value = {"secret_binary": PLAINTEXT}
        self.new_secret = {"value": value, "kms_key_id": self.secret_key, "resource_policy": secret_policy()}
        with service.client(ADMIN) as admin, service.client(ADMIN2) as keeper:
            self.version = admin.CreateSecret(name=self.secret, **self.new_secret).version_id
            keeper.RotateKeyOnDemand(key_id=self.secret_key)

    def rows(self):
        """(method, fields, actions that the record names, class)"""
        key, named = {"key_id": self.key}, {"key_id": self.key, "encryption_context": CONTEXT}
        return [
            ("Encrypt", dict(named, plaintext=PLAINTEXT), ["Encrypt"], "usage"),
            ("Decrypt", {"ciphertext_blob": self.blob, "encryption_context": CONTEXT}, ["Decrypt"], "usage"),
            (
                "ReEncrypt",
                {
                    "ciphertext_blob": self.blob,
                    "source_encryption_context": CONTEXT,
                    "destination_key_id": self.other,
                },
                ["ReEncryptFrom", "ReEncryptTo"],
                "usage",
            ),
            ("GenerateDataKey", dict(named, key_spec=2), ["GenerateDataKey"], "usage"),
            (
                "GenerateDataKeyWithoutPlaintext",
                dict(named, key_spec=2),
                ["GenerateDataKeyWithoutPlaintext"],
                "usage",
            ),
            ("Sign", dict(self.signed), ["Sign"], "usage"),
            ("Verify", dict(self.signed, signature=self.signature), ["Verify"], "usage"),
            ("GenerateMac", dict(self.authenticated), ["GenerateMac"], "usage"),
            ("VerifyMac", dict(self.authenticated, mac=self.mac), ["VerifyMac"], "usage"),
            ("GetPublicKey", {"key_id": self.signer}, ["GetPublicKey"], "read"),
            ("GetKeyCertificate", {"key_id": self.sealer}, ["GetKeyCertificate"], "read"),
            ("GenerateDataKeyPair", dict(named, key_pair_spec=5), ["GenerateDataKeyPair"], "usage"),
            (
                "GenerateDataKeyPairWithoutPlaintext",
                dict(named, key_pair_spec=5),
                ["GenerateDataKeyPairWithoutPlaintext"],
                "usage",
            ),
            ("GenerateRandom", {"number_of_bytes": 32}, ["GenerateRandom"], "read"),  # of no key
            ("CreateKey", {"policy": key_policy()}, ["CreateKey"], "admin"),
            ("DescribeKey", key, ["DescribeKey"], "read"),
            ("ListKeys", {}, ["ListKeys"], "read"),
            ("DisableKey", key, ["DisableKey"], "admin"),
            ("EnableKey", key, ["EnableKey"], "admin"),
            ("RotateKeyOnDemand", key, ["RotateKeyOnDemand"], "admin"),
            ("CreateAlias", {"alias_name": self.alias, "target_key_id": self.key}, ["CreateAlias"], "admin"),
            (
                "UpdateAlias",
                {"alias_name": self.alias, "target_key_id": self.other},
                ["UpdateAlias", "UpdateAlias"],
                "admin",
            ),
            ("ListAliases", {}, ["ListAliases"], "read"),
            ("DeleteAlias", {"alias_name": self.alias}, ["DeleteAlias"], "admin"),
            ("EnableKeyRotation", key, ["EnableKeyRotation"], "admin"),
            ("GetKeyRotationStatus", key, ["GetKeyRotationStatus"], "read"),
            ("ListKeyRotations", key, ["ListKeyRotations"], "read"),
            ("DisableKeyRotation", key, ["DisableKeyRotation"], "admin"),
            ("RetireKeyVersion", {"key_id": self.doomed, "version": 1, "force": True}, ["RetireKeyVersion"], "admin"),
            ("GetKeyUsage", key, ["GetKeyUsage"], "read"),
            ("UpdateKeyDescription", dict(key, description="new"), ["UpdateKeyDescription"], "admin"),
            ("TagResource", dict(key, tags=[{"tag_key": "team", "tag_value": "web"}]), ["TagResource"], "admin"),
            ("ListResourceTags", key, ["ListResourceTags"], "read"),
            ("UntagResource", dict(key, tag_keys=["team"]), ["UntagResource"], "admin"),
            ("ScheduleKeyDeletion", {"key_id": self.doomed}, ["ScheduleKeyDeletion"], "admin"),
            ("CancelKeyDeletion", {"key_id": self.doomed}, ["CancelKeyDeletion"], "admin"),
            ("CreateGrant", dict(key, **self.grant), ["CreateGrant"], "admin"),
            ("ListGrants", key, ["ListGrants"], "read"),
            ("RevokeGrant", dict(key, grant_id=self.granted[0]), ["RevokeGrant"], "admin"),
            ("RetireGrant", dict(key, grant_id=self.granted[1]), ["RetireGrant"], "admin"),
            ("PutKeyPolicy", dict(key, policy=key_policy()), ["PutKeyPolicy"], "admin"),
            ("GetKeyPolicy", key, ["GetKeyPolicy"], "read"),
            (
                "SimulatePolicy",
                dict(key, requests=[{"principal": APP, "action": "Decrypt"}]),
                ["SimulatePolicy"],
                "read",
            ),
            *self.imports(),
            *self.secrets(),
            ("PutApprovalRule", {"key_id": self.ruled, "approval_rule": self.rule}, ["PutApprovalRule"], "admin"),
            ("GetApprovalRule", {"key_id": self.shared}, ["GetApprovalRule"], "read"),
            ("ListApprovals", {"key_id": self.shared}, ["ListApprovals"], "read"),
            ("DescribeApproval", {"approval_id": self.approval}, ["DescribeApproval"], "read"),
            ("ApproveRequest", {"approval_id": self.approval}, ["ApproveRequest"], "admin"),
            ("RejectRequest", {"approval_id": self.approval}, ["RejectRequest"], "admin"),
            ("GetStatus", {}, ["GetStatus"], "read"),
            ("GetMetrics", {}, ["GetMetrics"], "read"),
            ("GetAuditHead", {}, ["GetAuditHead"], "read"),
            ("GetAuditKey", {}, ["GetAuditKey"], "read"),
            ("ListAuditRecords", {"limit": 1}, ["ListAuditRecords"], "read"),
        ]

    def secrets(self):
        secret, prefix = {"secret_id": self.secret}, "secretsmanager:"
        sealing, label = "kms:GenerateDataKey", dict(secret, version_stage="label")
        return [
            ("CreateSecret", dict(self.new_secret, name=self.secret + uuid.uuid4().hex), [prefix + "CreateSecret", sealing], "admin"),
            ("RewrapSecret", secret, [prefix + "RewrapSecret"], "admin"),
            ("GetSecretValue", secret, [prefix + "GetSecretValue", "kms:Decrypt"], "usage"),
            ("PutSecretValue", dict(secret, value={"secret_binary": PLAINTEXT + b"2"}), [prefix + "PutSecretValue", sealing], "admin"),
            ("UpdateSecret", dict(secret, description="new"), [prefix + "UpdateSecret"], "admin"),
            ("UpdateSecretVersionStage", dict(label, move_to_version_id=self.version),
             [prefix + "UpdateSecretVersionStage"], "admin"),
            ("DescribeSecret", secret, [prefix + "DescribeSecret"], "read"),
            ("ListSecrets", {}, [prefix + "ListSecrets"], "read"),
            ("ListSecretVersionIds", secret, [prefix + "ListSecretVersionIds"], "read"),
            ("TagSecret", dict(secret, tags=[{"tag_key": "team", "tag_value": "web"}]), [prefix + "TagResource"], "admin"),
            ("UntagSecret", dict(secret, tag_keys=["team"]), [prefix + "UntagResource"], "admin"),
            ("GetRandomPassword", {}, [prefix + "GetRandomPassword"], "read"),
            ("DeleteSecret", secret, [prefix + "DeleteSecret"], "admin"),
            ("RestoreSecret", secret, [prefix + "RestoreSecret"], "admin"),
            ("PutResourcePolicy", dict(secret, resource_policy=secret_policy()), [prefix + "PutResourcePolicy"], "admin"),
            ("GetResourcePolicy", secret, [prefix + "GetResourcePolicy"], "read"),
            ("DeleteResourcePolicy", secret, [prefix + "DeleteResourcePolicy"], "admin"),
        ]

    def imports(self):
        with self.service.client(ADMIN) as admin:
            parameters = admin.GetParametersForImport(key_id=self.imported)
        material = importing.oaep(parameters.public_key, PLAINTEXT[-32:])
        key = {"key_id": self.imported}
        fields = dict(key, import_token=parameters.import_token, encrypted_key_material=material, expiration_model=2)
        return [
            ("ImportKeyMaterial", fields, ["ImportKeyMaterial"], "admin"),
            ("DeleteImportedKeyMaterial", key, ["DeleteImportedKeyMaterial"], "admin"),
            ("GetParametersForImport", key, ["GetParametersForImport"], "admin"),
        ]
