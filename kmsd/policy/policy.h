/*
 * The policy engine: AWS's key policy grammar, compiled once when a document is written, decided in less
 * than a microsecond. A compiled document is immutable and reference-counted; decide is a pure function,
 * thread-safe. Semantics: AWS IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements
 * reference".
 */
#ifndef KMS_POLICY_POLICY_H
#define KMS_POLICY_POLICY_H

#include "base/bytes.h"

/* What a document is attached to. It decides which actions may stand in it and which its wildcards cover
 * (action.def), and what its Resource names. */
enum kms_policy_kind {
    KMS_POLICY_KEY,           /* a key: actions kms:... */
    KMS_POLICY_SERVICE,       /* the service: what concerns no single key, secret or role */
    KMS_POLICY_SECRET,        /* a secret: actions secretsmanager:... about secrets */
    KMS_POLICY_DATABASE_ROLE, /* a database role: actions secretsmanager:... about roles and leases */
    KMS_POLICY_KIND_COUNT
};
/* "a key policy", "the service policy", "the resource policy of a secret", "the policy of a database role" */
const char *kms_policy_kind_text(enum kms_policy_kind kind);
/* An ARN for a request about a key, secret or role where none in particular is meant; "" of the service. */
const char *kms_policy_kind_arn(enum kms_policy_kind kind);
/* "key", "service", "secret", "role". False: there is none. */
bool kms_policy_kind_find(const char *name, enum kms_policy_kind *ret_kind);
/* The kind that the actions of a document tell: key, secret or role; key when they leave it open, and when it
 * cannot be read. */
enum kms_policy_kind kms_policy_kind_told(struct kms_bytes document);

/* Rows of action.def: KMS_ACTION(symbol, "kms:Name", class, documents). */
enum kms_action_class { KMS_CLASS_ADMIN = 1, KMS_CLASS_USAGE, KMS_CLASS_READ };
enum kms_action {
#define KMS_ACTION(symbol, name, class, documents) KMS_ACT_##symbol,
#include "kmsd/policy/action.def"
#undef KMS_ACTION
    KMS_ACT_COUNT
};
const char *kms_action_name(enum kms_action action);
enum kms_action_class kms_action_class_of(enum kms_action action);
bool kms_action_of_keys(enum kms_action action); /* "kms:..." */
/* "kms:Decrypt", or "Decrypt" for short; "secretsmanager:GetSecretValue" has no short form. False: there is
 * none. */
bool kms_action_find(const char *name, enum kms_action *ret_action);

enum {
    KMS_POLICY_BYTES = 32768, /* longest document (AWS's limit) */
    KMS_POLICY_STATEMENTS = 512,
    KMS_CONTEXT_PAIRS = 64, /* longest encryption context */
};

struct kms_pair {
    struct kms_bytes name, value; /* UTF-8 without NUL, borrowed */
};

/* What only some operations have, for the condition keys of the same names. All borrowed; zero: not there. */
struct kms_operation_inputs {
    struct kms_bytes signing_algorithm, mac_algorithm; /* "RSASSA_PSS_SHA_256", "HMAC_SHA_256" */
    struct kms_bytes oaep_label;                       /* of RSA keys: "prod/mail" */
    struct kms_bytes message_type;                     /* "RAW", "DIGEST"; say the default, too */
    struct kms_bytes data_key_pair_spec;               /* "ECC_NIST_P256" */
    struct kms_bytes grantee_principal, retiring_principal;
    struct kms_bytes grant_constraint_type;   /* "EncryptionContextEquals", "EncryptionContextSubset" */
    const struct kms_bytes *grant_operations; /* "Decrypt", without "kms:" */
    size_t grant_operation_count;
    struct kms_bytes expiration_model; /* "KEY_MATERIAL_EXPIRES" */
    struct kms_bytes wrapping_algorithm, wrapping_key_spec;
    uint64_t valid_to_us;                               /* wall clock */
    uint32_t rotation_period_days, pending_window_days; /* say the default, too */
    const struct kms_pair *request_tags;                /* of CreateKey and TagResource */
    size_t request_tag_count;
    const struct kms_bytes *removed_tag_keys; /* of UntagResource */
    size_t removed_tag_key_count;
    /* Of secrets: CreateSecret and UpdateSecret; GetSecretValue and UpdateSecretVersionStage ("AWSCURRENT"
     * when the request names neither); DeleteSecret; RotateSecret. */
    struct kms_bytes secret_name, secret_kms_key_id, secret_kms_key_arn;
    struct kms_bytes secret_version_id, secret_version_stage;
    uint32_t recovery_window_days; /* say the default, too; 0 with force_delete */
    bool force_delete_known, force_delete;
    bool modify_rotation_rules_known, modify_rotation_rules;
    bool rotate_immediately_known, rotate_immediately;
    const struct kms_pair
        *foreign; /* condition keys that no request has here, in simulations: aws:SourceVpc */
    size_t foreign_count;
};

/* Everything a document can be asked about one access. All borrowed. Absent values are {NULL, 0}. */
struct kms_access_request {
    struct kms_bytes principal;
    enum kms_action action;
    struct kms_bytes resource;      /* ARN of the key or secret; empty for service actions */
    const struct kms_pair *context; /* encryption context, sorted by name */
    size_t context_count;
    struct kms_bytes request_alias; /* kms:RequestAlias: "alias/NAME" when the caller used one */
    /* kms:ViaService: "secretsmanager.REGION.amazonaws.com" when SecretService uses the key for the caller */
    struct kms_bytes via_service;
    struct kms_bytes key_spec, key_usage, key_origin; /* "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "AWS_KMS" */
    struct kms_bytes encryption_algorithm;            /* "SYMMETRIC_DEFAULT" */
    struct kms_bytes source_ip;                       /* text; absent on a Unix socket */
    uint64_t now_us;                                  /* aws:CurrentTime, aws:EpochTime */
    bool secure_transport;                            /* aws:SecureTransport */
    bool reencrypt_on_same_key_known, reencrypt_on_same_key;
    bool bypass_lockout_known, bypass_lockout; /* kms:BypassPolicyLockoutSafetyCheck */
    const struct kms_pair *resource_tags;      /* of the key or secret: aws:ResourceTag/NAME */
    size_t resource_tag_count;
    const struct kms_operation_inputs *inputs; /* NULL: the operation has none of them */
};

enum kms_effect { KMS_DENY_IMPLICIT = 0, KMS_DENY_EXPLICIT, KMS_ALLOW };
enum { KMS_SID_BYTES = 129 };
struct kms_decision {
    enum kms_effect effect;
    const char *statement; /* Sid, or "#N" counted from 1; borrowed from the document; NULL when implicit */
};

typedef struct kms_policy kms_policy;

/*
 * Compiles a document of one kind. Errors: MALFORMED_POLICY (why: place and cause, as "line 9, column 7:
 * Statement 2 (AppUsage): Condition: unknown operator 'StringEqual', did you mean StringEquals?"), NO_MEMORY.
 * The caller owns a reference.
 *
 * Stricter than AWS where a document would silently mean something else than it says: an action, condition
 * key or element that does not exist, an action that never applies in this kind of document, a Sid that
 * stands there twice, a statement that could never apply, a Resource that is neither "*" nor the ARN of what
 * the document is attached to, a policy variable that names no condition key with one value, Allow with
 * NotPrincipal are refused. The service policy names any action, but it allows only those that action.def
 * marks so, and its Resource is "*".
 *
 * A principal is the name of one caller, taken as it is: a role's name does not stand for its sessions. There
 * is no IAM to which an account could delegate, so an Allow for an account is one for its root only; a Deny
 * for an account is for all its principals.
 */
KMS_MUST_USE kms_err kms_policy_parse(enum kms_policy_kind kind, struct kms_bytes json,
                                      kms_policy **ret_policy, struct kms_why *why);
/* Does the service policy grant it? */
bool kms_action_of_service(enum kms_action action);
enum kms_policy_kind kms_policy_kind_of(const kms_policy *policy);
const char *kms_policy_source(const kms_policy *policy); /* the document as it was written */
bool kms_policy_shared(const kms_policy *policy);        /* there is more than one reference */
kms_policy *kms_policy_ref(kms_policy *policy);
void kms_policy_unref(kms_policy *policy); /* NULL is a no-op */
void kms_policy_drop(kms_policy **policy);

/* Deny wins, then Allow, else implicit deny; a NULL policy or an empty principal denies implicitly. */
struct kms_decision kms_policy_decide(const kms_policy *policy, const struct kms_access_request *request);

/* Separation: does the document alone give one principal administration and usage of its key, secret or
 * role? Conservative: an Allow counts whatever its conditions and resources, "*" and NotAction expand to all,
 * and only a Deny without conditions and with Resource "*" subtracts. One exception: what a key policy allows
 * through a service alone (kms:ViaService) is no usage by the principal, since there the policy of the secret
 * separates. POLICY_NOT_SEPARATED; why names the principal and both statements. */
KMS_MUST_USE kms_err kms_policy_check_separation(const kms_policy *policy, struct kms_why *why);
/* Lock-out: may this principal write the next document (kms:PutKeyPolicy, secretsmanager:PutResourcePolicy,
 * secretsmanager:PutDatabaseRole, by its kind) of the key, secret or role with this ARN under this one,
 * whatever the time, the address and the properties of what it is attached to, over TLS, without alias and
 * bypass?
 * POLICY_LOCKOUT otherwise. */
KMS_MUST_USE kms_err kms_policy_check_lockout(const kms_policy *policy, struct kms_bytes principal,
                                              struct kms_bytes resource, struct kms_why *why);
/* The same of another action. */
KMS_MUST_USE kms_err kms_policy_check_allowed(const kms_policy *policy, enum kms_action action,
                                              struct kms_bytes principal, struct kms_bytes resource,
                                              struct kms_why *why);
/* Is everybody who may use keys under `inner` also allowed the same by `outer`, whichever keys they
 * belong to? For moving an alias from a key with `outer` to one with `inner`. Conservative: `inner` is
 * read as separation reads it, without its exception, and an Allow of `outer` counts only with Resource "*"
 * and conditions that stand in the `inner` one too. NULL has no users. APPROVAL_NEEDED; why names a principal
 * and action that would be new. */
KMS_MUST_USE kms_err kms_policy_check_users_within(const kms_policy *inner, const kms_policy *outer,
                                                   struct kms_why *why);

#endif
