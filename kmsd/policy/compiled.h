/*
 * A compiled document as the files of this room see it. Nothing here changes after kms_policy_parse, so
 * everything that reads it is thread-safe.
 */
#ifndef KMS_POLICY_COMPILED_H
#define KMS_POLICY_COMPILED_H

#include <stdatomic.h>

#include "kmsd/policy/policy.h"
#include "kmsd/policy/pool.h"
#include "kmsd/policy/value.h"

enum kms_condition_key {
#define KMS_CONDITION_KEY(symbol, name, takes, holds, about, longest) KMS_CONDITION_ON_##symbol,
#include "kmsd/policy/condition_key.def"
#undef KMS_CONDITION_KEY
    KMS_CONDITION_KEY_COUNT
};

enum kms_holds { KMS_HOLDS_ONE, KMS_HOLDS_NAMED, KMS_HOLDS_LIST };

/* On what the value of a condition key depends; bits of a set. */
enum kms_about {
    KMS_ABOUT_NOTHING = 0,
    KMS_ABOUT_CALLER = 1 << 0,  /* who asks */
    KMS_ABOUT_REQUEST = 1 << 1, /* what the caller chose */
    KMS_ABOUT_KEY = 1 << 2,     /* the key or secret, whatever is done to it */
    KMS_ABOUT_USE = 1 << 3,     /* how a key is used: what goes with one key need not go with another */
    KMS_ABOUT_WORLD = 1 << 4,   /* time and place */
};

struct kms_condition_key_row {
    const char *name;
    uint16_t takes; /* bit per enum kms_family */
    uint8_t holds;  /* enum kms_holds */
    uint8_t about;  /* enum kms_about */
    uint16_t longest;
};
extern const struct kms_condition_key_row kms_condition_key_rows[KMS_CONDITION_KEY_COUNT];
/* The key that a document calls so, and what follows a prefix; KMS_CONDITION_KEY_COUNT: there is none. */
enum kms_condition_key kms_condition_key_called(struct kms_bytes text, struct kms_bytes *ret_name);

enum kms_operator {
#define KMS_OPERATOR(symbol, name, family, relation, negated) KMS_OPERATOR_##symbol,
#include "kmsd/policy/operator.def"
#undef KMS_OPERATOR
    KMS_OPERATOR_COUNT
};

/* How the values of an operator are read. */
enum kms_family {
    KMS_FAMILY_TEXT,
    KMS_FAMILY_NUMBER,
    KMS_FAMILY_DATE,
    KMS_FAMILY_FLAG,
    KMS_FAMILY_ADDRESS,
    KMS_FAMILY_ARN,
    KMS_FAMILY_BINARY,
    KMS_FAMILY_ABSENCE, /* Null */
};

enum kms_relation {
    KMS_RELATION_EQUAL,
    KMS_RELATION_EQUAL_FOLDED,
    KMS_RELATION_LIKE,
    KMS_RELATION_LESS,
    KMS_RELATION_LESS_EQUAL,
    KMS_RELATION_GREATER,
    KMS_RELATION_GREATER_EQUAL,
};

struct kms_operator_row {
    const char *name;
    enum kms_family family;
    enum kms_relation relation;
    bool negated;
};
extern const struct kms_operator_row kms_operator_rows[KMS_OPERATOR_COUNT];

/* One value that the document gives, read once: which member holds follows from the operator's family. */
struct kms_value {
    union {
        struct kms_bytes text;      /* TEXT, ARN: a pattern (match.h) under LIKE; BINARY: decoded */
        int64_t number;             /* NUMBER, DATE: millionths; FLAG, ABSENCE: 0 or 1 */
        struct kms_network network; /* ADDRESS */
    };
    bool has_variables; /* then it is text whatever the family, to be resolved (variable.h) */
};

enum kms_quantifier { KMS_ONE_VALUE, KMS_FOR_ALL_VALUES, KMS_FOR_ANY_VALUE };

struct kms_condition {
    uint8_t operator_id; /* enum kms_operator */
    uint8_t key;         /* enum kms_condition_key */
    uint8_t quantifier;  /* enum kms_quantifier */
    bool if_exists, deny;
    uint8_t about; /* enum kms_about of its key and of the variables in its values */
    uint8_t slot;  /* conditions of a document on the same key and name share it; KMS_KEY_SLOTS: none left */
    uint16_t value_count;
    struct kms_bytes name; /* of the pair, after kms:EncryptionContext: */
    const struct kms_value *values;
};

/* Values of the first so many different keys of a document are looked up once in a decision. */
enum { KMS_KEY_SLOTS = 8 };

struct kms_principal {
    uint64_t hash; /* kms_principal_hash(name) */
    struct kms_bytes name;
};

/* A set of actions: bit per kms_action. */
__extension__ typedef unsigned __int128 kms_actions;
_Static_assert(KMS_ACT_COUNT < 128, "actions are bits of one kms_actions");

/* Fits one cache line; the first two members settle most statements of a decision. */
struct kms_statement {
    kms_actions actions;       /* NotAction is complemented already */
    uint64_t principal_filter; /* bit hash >> 58 of each name: a zero bit means that it is not there */
    const struct kms_principal *principals; /* by hash */
    const struct kms_bytes *resources;      /* patterns of ARNs */
    const struct kms_condition *conditions;
    const char *name; /* Sid or "#N" */
    uint16_t principal_count, resource_count, condition_count;
    bool deny : 1, any_principal : 1, not_principal : 1, not_action : 1, any_resource : 1, not_resource : 1;
    bool accounts : 1;           /* a Deny that names an account, and so everybody in it */
    bool resource_variables : 1; /* resources are to be resolved (variable.h) */
    uint8_t resource_about;      /* enum kms_about of those variables */
};
_Static_assert(sizeof(struct kms_statement) <= 64, "one cache line");

struct kms_policy {
    kms_actions every; /* what a wildcard covers here */
    enum kms_policy_kind kind;
    atomic_uint references;
    uint16_t statement_count, deny_count;
    struct kms_bytes source;          /* the document as it was written */
    struct kms_statement *statements; /* every Deny, then every Allow, each in the order of the document */
    struct kms_pool pool;             /* owns all of it but this struct */
};

/* A value that a request has for a condition key (actual.h). */
struct kms_actual {
    enum { KMS_ACTUAL_TEXT, KMS_ACTUAL_NUMBER, KMS_ACTUAL_FLAG } kind;
    struct kms_bytes text;
    int64_t number; /* NUMBER: millionths (of a second, for a time); FLAG: 0 or 1 */
};

/* A request on its way through the statements; what is dear to compute is computed once. */
struct kms_evaluation {
    const struct kms_access_request *request;
    uint64_t principal_hash;
    struct kms_first {
        bool read, present, more;
        size_t cursor; /* of the value after it, if there are more */
        struct kms_actual actual;
    } first[KMS_KEY_SLOTS];
    bool address_read, address_valid;
    struct kms_network address;
};

static inline kms_actions kms_action_bit(enum kms_action action)
{
    return (kms_actions)1 << action;
}
/* The first of a set that is not empty, and how many there are. */
static inline enum kms_action kms_action_first(kms_actions actions)
{
    uint64_t low = (uint64_t)actions, high = (uint64_t)(actions >> 64);
    return (enum kms_action)(low != 0 ? __builtin_ctzll(low) : 64 + __builtin_ctzll(high));
}
static inline size_t kms_action_count(kms_actions actions)
{
    return (size_t)(__builtin_popcountll((uint64_t)actions) +
                    __builtin_popcountll((uint64_t)(actions >> 64)));
}
#define KMS_ALL_ACTIONS ((~(kms_actions)0) >> (128 - KMS_ACT_COUNT))
kms_actions kms_action_class_bits(enum kms_action_class class);
/* The actions that a document of this kind is about; the service policy may name others, too. */
kms_actions kms_action_kind_bits(enum kms_policy_kind kind);
/* The actions that a pattern like "kms:Generate*" names, in any case; 0 when none. */
kms_actions kms_action_pattern_bits(struct kms_bytes pattern);

/* What there is to know of a kind of document. */
struct kms_kind_row {
    const char *name, *text;       /* "key", "a key policy" */
    const char *subject, *service; /* what it is attached to: "key", and "kms" in its ARN */
    const char *any_arn;           /* where none in particular is meant */
    enum kms_action written_by;    /* KMS_ACT_COUNT: by none */
};
const struct kms_kind_row *kms_kind_row(enum kms_policy_kind kind);

uint64_t kms_principal_hash(struct kms_bytes name);
/* Does the statement name this principal in Principal or NotPrincipal? */
bool kms_statement_names(const struct kms_statement *statement, struct kms_bytes name, uint64_t hash);
/* The account of a principal that is an ARN of IAM or STS, and what follows it. */
bool kms_principal_split(struct kms_bytes name, struct kms_bytes *ret_account, struct kms_bytes *ret_rest);
/* Does its Principal element apply to this one? {NULL, 0} with hash 0 is somebody whom no document names. */
bool kms_statement_covers(const struct kms_statement *statement, struct kms_bytes name, uint64_t hash);
bool kms_statement_resource_matches(const struct kms_statement *statement,
                                    const struct kms_access_request *request);
/* Does an Allow of a key policy let a service use the key for its principals, and not the principals
 * themselves? */
bool kms_through_service(const kms_policy *policy, const struct kms_statement *allow);
bool kms_condition_holds(const struct kms_condition *condition, struct kms_evaluation *evaluation);

#endif
