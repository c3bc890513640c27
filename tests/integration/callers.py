"""Who calls in the tests, and what they may."""
import json

ADMIN, APP, OTHER, OFFICER, KEEPER = (
    f"spiffe://example.org/{name}" for name in ("admin", "app", "other", "officer", "keeper")
)
LEVELS = {"hsm": 1, "software": 2}  # of protection, as proto/ has them

ADMIN2 = "spiffe://example.org/admin2"

SERVICE_POLICY = {
    "Statement": [
        {
            "Sid": "Administrators",
            "Effect": "Allow",
            "Principal": {"AWS": [ADMIN, ADMIN2]},
            "Action": ["kms:CreateKey", "kms:ListKeys", "kms:ListAliases", "kms:GetStatus", "kms:GetMetrics", "kms:GetAudit*",
                       "kms:ListAuditRecords", "secretsmanager:CreateSecret", "secretsmanager:ListSecrets",
                       "secretsmanager:GetRandomPassword"],
            "Resource": "*",
        },
        {
            "Sid": "Random",
            "Effect": "Allow",
            "Principal": {"AWS": [APP, OTHER]},
            "Action": "kms:GenerateRandom",
            "Resource": "*",
        },
        {
            "Sid": "Officer",
            "Effect": "Allow",
            "Principal": {"AWS": OFFICER},
            "Action": ["kms:GetStatus", "kms:GetMetrics", "kms:SimulatePolicy", "kms:GetAudit*", "kms:ListAuditRecords"],
            "Resource": "*",
        },
        {
            "Sid": "RootKeys",
            "Effect": "Allow",
            "Principal": {"AWS": KEEPER},
            "Action": ["kms:RotateRoot", "kms:GetRootStatus", "kms:DestroyRoot"],
            "Resource": "*",
        },
    ]
}

ADMIN_ACTIONS = [
    "kms:Create*",
    "kms:Update*",
    "kms:Delete*",
    "kms:Put*",
    "kms:Enable*",
    "kms:Disable*",
    "kms:RotateKeyOnDemand",
    "kms:RetireKeyVersion",
    "kms:ScheduleKeyDeletion",
    "kms:CancelKeyDeletion",
    "kms:RevokeGrant",
    "kms:Import*",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:Describe*",
    "kms:Get*",
    "kms:List*",
    "kms:SimulatePolicy",
]
USE_ACTIONS = """kms:Encrypt kms:Decrypt kms:ReEncrypt* kms:GenerateDataKey* kms:Sign kms:Verify kms:*Mac kms:GetPublicKey
kms:GetKeyCertificate kms:DescribeKey""".split()


SECRET_ADMIN_ACTIONS = """PutSecretValue UpdateSecret* DeleteSecret RestoreSecret RotateSecret CancelRotateSecret RewrapSecret
TagResource UntagResource PutResourcePolicy DeleteResourcePolicy GetResourcePolicy DescribeSecret ListSecretVersionIds""".split()


def secret_policy(admins=(ADMIN,), users=(APP,)):
    """The policy of a secret: some administer it, others read it."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Sid": "Admin", "Effect": "Allow", "Principal": {"AWS": list(admins)}, "Resource": "*",
                 "Action": [f"secretsmanager:{action}" for action in SECRET_ADMIN_ACTIONS]},
                {"Sid": "Use", "Effect": "Allow", "Principal": {"AWS": list(users)}, "Resource": "*",
                 "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]},
            ],
        }
    )


def key_policy(admins=(ADMIN,), users=(APP,)):
    statements = [
        {
            "Sid": "Admin",
            "Effect": "Allow",
            "Principal": {"AWS": list(admins)},
            "Action": ADMIN_ACTIONS,
            "Resource": "*",
        }
    ]
    if users:
        statements.append(
            {
                "Sid": "Use",
                "Effect": "Allow",
                "Principal": {"AWS": list(users)},
                "Action": USE_ACTIONS,
                "Resource": "*",
            }
        )
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
