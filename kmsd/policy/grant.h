/*
 * Grants: what is permitted beside the key policy. A grant is about one key and one grantee, names
 * operations, and may be bound to an encryption context and to a time; it only ever allows. Here they are
 * plain data for pure functions: thread-safe. Semantics: AWS KMS developer guide, "Grants in AWS KMS"; the
 * expiry is ours.
 *
 * The operation CreateGrant of a grant is delegation, not administration: its holder can only hand on what
 * he has, or less (kms_grant_within), and to nobody who administers the key.
 */
#ifndef KMS_POLICY_GRANT_H
#define KMS_POLICY_GRANT_H

#include "base/id.h"
#include "kmsd/policy/policy.h"

enum {
    KMS_GRANT_OPERATIONS = 32,       /* numbers of operations are less */
    KMS_GRANT_PAIRS = 8,             /* of a constraint (AWS's limit) */
    KMS_GRANT_PAIR_BYTES = 384,      /* of a name or a value in it */
    KMS_GRANT_NAME_BYTES = 256,      /* of the grant's name */
    KMS_GRANT_PRINCIPAL_BYTES = 511, /* what a caller's name can have at most */
    KMS_GRANT_CHECK_BYTES = 16,      /* random: makes a grant token unguessable */
};

/* Stored: append only. */
enum kms_grant_constraint {
    KMS_GRANT_ANY_CONTEXT = 0,
    KMS_GRANT_CONTEXT_EQUALS = 1, /* these pairs and no others */
    KMS_GRANT_CONTEXT_SUBSET = 2, /* these pairs and perhaps others */
};

/* What a key is for, as far as grants care. */
enum kms_grant_kind {
    KMS_GRANT_KIND_SYMMETRIC = 1,
    KMS_GRANT_KIND_ASYMMETRIC, /* encrypts with a public key */
    KMS_GRANT_KIND_SIGNING,
    KMS_GRANT_KIND_MAC,
};

/* All borrowed; absent texts are empty. Compared byte by byte. */
struct kms_grant {
    struct kms_id id;
    struct kms_bytes grantee, retiring, name, creator;
    uint32_t operations; /* bit N for operation number N */
    enum kms_grant_constraint constraint;
    const struct kms_pair *pairs; /* of the constraint, sorted by name */
    size_t pair_count;
    uint64_t created_us, expires_us; /* expires_us 0: never */
    uint8_t check[KMS_GRANT_CHECK_BYTES];
};

/* What is asked of a grant. All borrowed. */
struct kms_grant_question {
    struct kms_bytes principal;
    enum kms_action action;
    const struct kms_pair *context; /* encryption context, sorted by name */
    size_t context_count;
    uint64_t now_us;
    const struct kms_grant *wanted; /* kms:CreateGrant: the grant that shall be made */
    const struct kms_id *retired;   /* kms:RetireGrant: the grant that shall go */
};

/* The bit of an action among operations; 0: no grant can permit it. */
uint32_t kms_grant_bit(enum kms_action action);
/* The action of an operation number; false: there is no such operation. */
bool kms_grant_action(uint32_t number, enum kms_action *ret_action);
uint32_t kms_grant_operations_for(enum kms_grant_kind kind);
uint32_t kms_grant_usage_bits(void); /* those that use key material */
/* "Decrypt", without the prefix of the action. */
const char *kms_grant_operation_name(enum kms_action action);

bool kms_grant_expired(const struct kms_grant *grant, uint64_t now_us);
/* Does this grant alone permit it? */
bool kms_grant_allows(const struct kms_grant *grant, const struct kms_grant_question *question);
/* Does `inner` permit nothing that `outer` does not: operations, contexts, time? Whoever they are for. */
bool kms_grant_within(const struct kms_grant *inner, const struct kms_grant *outer);
/* Would making `a` again be the same as having `b`? Everything but id, creator, time of creation and
 * check. */
bool kms_grant_same(const struct kms_grant *a, const struct kms_grant *b);
/* Sorts pairs as a grant has them. */
void kms_grant_sort_pairs(struct kms_pair *pairs, size_t count);
/* The form of a grant, whatever its key. INVALID_ARGUMENT; why says which field. */
KMS_MUST_USE kms_err kms_grant_check(const struct kms_grant *grant, struct kms_why *why);
/* Does it go with a key of that kind? INVALID_KEY_USAGE (an operation that the key cannot do),
 * INVALID_ARGUMENT (a constraint where there is no encryption context). */
KMS_MUST_USE kms_err kms_grant_check_kind(const struct kms_grant *grant, enum kms_grant_kind kind,
                                          struct kms_why *why);

/* Separation of the grants of a key from its policy: could the document make this principal an administrator?
 * Read as kms_policy_check_separation reads it. POLICY_NOT_SEPARATED; why names principal and statement. */
KMS_MUST_USE kms_err kms_policy_check_no_admin(const kms_policy *policy, struct kms_bytes principal,
                                               struct kms_why *why);
/* Separation over time: could the document let its own writer use the key? He may administer it today and be
 * taken off by the same document, and be its user tomorrow. POLICY_NOT_SEPARATED, as above. */
KMS_MUST_USE kms_err kms_policy_check_writer(const kms_policy *policy, struct kms_bytes writer,
                                             struct kms_why *why);
/* Separation of two documents: might somebody whom one of them names, or anybody else, be allowed `written`
 * by `writers` and usage by `users`? NULL: nobody is allowed anything. Read as kms_policy_check_separation
 * reads it. POLICY_NOT_SEPARATED; why names the principal and both statements. */
KMS_MUST_USE kms_err kms_policy_check_apart(const kms_policy *users, const kms_policy *writers,
                                            enum kms_action written, struct kms_why *why);
/* The operations that the document surely permits a principal, whatever the request: of the key whose alias
 * moves. */
uint32_t kms_policy_sure_operations(const kms_policy *policy, struct kms_bytes principal);

#endif
