/* Grants as pure functions: does one permit it, is one within another, is one well formed. */
#include "kmsd/policy/grant.h"

#include <stdlib.h>
#include <string.h>

#include "kmsd/policy/complain.h"

enum { ACTION_PREFIX_BYTES = sizeof "kms:" - 1 };

#define KIND(name) (1U << KMS_GRANT_KIND_##name)
enum kinds {
    SYMMETRIC = KIND(SYMMETRIC),
    SIGNING = KIND(SIGNING),
    MAC = KIND(MAC),
    ENCRYPTS = KIND(SYMMETRIC) | KIND(ASYMMETRIC),
    PUBLIC = KIND(ASYMMETRIC) | KIND(SIGNING),
    ANY = ENCRYPTS | PUBLIC | KIND(MAC),
};

/* By operation number; kinds 0: none. */
static const struct {
    enum kms_action action;
    unsigned kinds;
    bool bound;
} operations[KMS_GRANT_OPERATIONS] = {
#define KMS_GRANT_OPERATION(symbol, number, of, binds)                                                       \
    [number] = {.action = KMS_ACT_##symbol, .kinds = (of), .bound = (binds)},
#include "kmsd/policy/grant_operation.def"
#undef KMS_GRANT_OPERATION
};

/* By action, so that a decision needs no search. */
static const uint8_t numbers[KMS_ACT_COUNT] = {
#define KMS_GRANT_OPERATION(symbol, number, of, binds) [KMS_ACT_##symbol] = (number),
#include "kmsd/policy/grant_operation.def"
#undef KMS_GRANT_OPERATION
};

uint32_t kms_grant_bit(enum kms_action action)
{
    uint8_t number = action < KMS_ACT_COUNT ? numbers[action] : 0;
    return number != 0 ? UINT32_C(1) << number : 0;
}

bool kms_grant_action(uint32_t number, enum kms_action *ret_action)
{
    if (number >= KMS_GRANT_OPERATIONS || operations[number].kinds == 0) return false;
    *ret_action = operations[number].action;
    return true;
}

uint32_t kms_grant_operations_for(enum kms_grant_kind kind)
{
    uint32_t bits = 0;
    for (uint32_t number = 0; number < KMS_GRANT_OPERATIONS; number++)
        if ((operations[number].kinds & (1U << kind)) != 0) bits |= UINT32_C(1) << number;
    return bits;
}

uint32_t kms_grant_usage_bits(void)
{
    uint32_t bits = 0;
    for (uint32_t number = 0; number < KMS_GRANT_OPERATIONS; number++)
        if (operations[number].kinds != 0 &&
            kms_action_class_of(operations[number].action) == KMS_CLASS_USAGE)
            bits |= UINT32_C(1) << number;
    return bits;
}

const char *kms_grant_operation_name(enum kms_action action)
{
    return kms_action_name(action) + ACTION_PREFIX_BYTES;
}

bool kms_grant_expired(const struct kms_grant *grant, uint64_t now_us)
{
    return grant->expires_us != 0 && grant->expires_us <= now_us;
}

static int by_name(const void *a, const void *b)
{
    const struct kms_bytes *left = &((const struct kms_pair *)a)->name;
    const struct kms_bytes *right = &((const struct kms_pair *)b)->name;
    size_t len = left->len < right->len ? left->len : right->len;
    int order = len > 0 ? memcmp(left->ptr, right->ptr, len) : 0;
    return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

void kms_grant_sort_pairs(struct kms_pair *pairs, size_t count)
{
    if (count > 1) qsort(pairs, count, sizeof *pairs, by_name);
}

/* Is each of `few` among `all`? At most 8 pairs against at most 64. */
static bool pairs_within(const struct kms_pair *few, size_t few_count, const struct kms_pair *all,
                         size_t all_count)
{
    for (size_t i = 0; i < few_count; i++) {
        bool found = false;
        for (size_t j = 0; j < all_count && !found; j++)
            found = kms_bytes_equal(few[i].name, all[j].name) && kms_bytes_equal(few[i].value, all[j].value);
        if (!found) return false;
    }
    return true;
}

/* Names are unique on both sides, so that equal means as many, and each among the others. */
static bool pairs_equal(const struct kms_pair *a, size_t a_count, const struct kms_pair *b, size_t b_count)
{
    return a_count == b_count && pairs_within(a, a_count, b, b_count);
}

static bool context_satisfies(const struct kms_grant *grant, const struct kms_pair *context, size_t count)
{
    switch (grant->constraint) {
    case KMS_GRANT_ANY_CONTEXT:
        return true;
    case KMS_GRANT_CONTEXT_EQUALS:
        return pairs_equal(grant->pairs, grant->pair_count, context, count);
    case KMS_GRANT_CONTEXT_SUBSET:
        return pairs_within(grant->pairs, grant->pair_count, context, count);
    }
    return false;
}

/* Who may retire it: the one whom it names for that, and its grantee when it permits RetireGrant. */
static bool may_retire(const struct kms_grant *grant, const struct kms_grant_question *question)
{
    if (question->retired == NULL || !kms_id_equal(&grant->id, question->retired)) return false;
    if (grant->retiring.len > 0 && kms_bytes_equal(grant->retiring, question->principal)) return true;
    return (grant->operations & kms_grant_bit(KMS_ACT_RETIRE_GRANT)) != 0 &&
           kms_bytes_equal(grant->grantee, question->principal);
}

bool kms_grant_allows(const struct kms_grant *grant, const struct kms_grant_question *question)
{
    uint32_t bit = kms_grant_bit(question->action);
    /* A question without a principal is somebody's mistake. */
    if (bit == 0 || question->principal.len == 0 || kms_grant_expired(grant, question->now_us)) return false;
    if (question->action == KMS_ACT_RETIRE_GRANT) return may_retire(grant, question);
    if ((grant->operations & bit) == 0 || !kms_bytes_equal(grant->grantee, question->principal)) return false;
    if (question->action == KMS_ACT_CREATE_GRANT)
        return question->wanted != NULL && kms_grant_within(question->wanted, grant);
    return !operations[numbers[question->action]].bound ||
           context_satisfies(grant, question->context, question->context_count);
}

/* Does every context that satisfies `inner` satisfy `outer`? */
static bool constraint_within(const struct kms_grant *inner, const struct kms_grant *outer)
{
    if (outer->constraint == KMS_GRANT_ANY_CONTEXT) return true;
    if (inner->constraint == KMS_GRANT_ANY_CONTEXT) return false;
    if (outer->constraint == KMS_GRANT_CONTEXT_EQUALS && inner->constraint != KMS_GRANT_CONTEXT_EQUALS)
        return false;
    return context_satisfies(outer, inner->pairs, inner->pair_count);
}

bool kms_grant_within(const struct kms_grant *inner, const struct kms_grant *outer)
{
    if ((inner->operations & ~outer->operations) != 0) return false;
    if (outer->expires_us != 0 && (inner->expires_us == 0 || inner->expires_us > outer->expires_us))
        return false;
    return constraint_within(inner, outer);
}

bool kms_grant_same(const struct kms_grant *a, const struct kms_grant *b)
{
    return kms_bytes_equal(a->grantee, b->grantee) && kms_bytes_equal(a->retiring, b->retiring) &&
           kms_bytes_equal(a->name, b->name) && a->operations == b->operations &&
           a->constraint == b->constraint && a->expires_us == b->expires_us &&
           pairs_equal(a->pairs, a->pair_count, b->pairs, b->pair_count);
}

static kms_err bad(struct kms_why *why, const char *what)
{
    kms_why_set(why, "%s", what);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* A caller's name as authentication can make it: nothing that looks like a pattern. */
static kms_err check_principal(const char *field, struct kms_bytes name, struct kms_why *why)
{
    bool odd = name.len > KMS_GRANT_PRINCIPAL_BYTES;
    for (size_t i = 0; i < name.len && !odd; i++)
        odd = name.ptr[i] < ' ' || name.ptr[i] == 0x7f || name.ptr[i] == '*' || name.ptr[i] == '?';
    if (!odd) return KMS_OK;
    kms_why_set(why, "%s: '%s' is not the name of one principal (at most %d bytes, no wildcard)", field,
                kms_show(name).text, KMS_GRANT_PRINCIPAL_BYTES);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err check_name(struct kms_bytes name, struct kms_why *why)
{
    bool odd = name.len > KMS_GRANT_NAME_BYTES;
    for (size_t i = 0; i < name.len && !odd; i++) {
        uint8_t c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        odd = !letter && memchr(":/_-", c, 4) == NULL;
    }
    return odd ? bad(why, "name: at most 256 of a-z A-Z 0-9 : / _ -") : KMS_OK;
}

static kms_err check_constraint(const struct kms_grant *grant, struct kms_why *why)
{
    if (grant->constraint == KMS_GRANT_ANY_CONTEXT) return KMS_OK;
    if (grant->pair_count < 1 || grant->pair_count > KMS_GRANT_PAIRS)
        return bad(why, "constraints: 1 to 8 pairs");
    for (size_t i = 0; i < grant->pair_count; i++) {
        const struct kms_pair *pair = &grant->pairs[i];
        if (pair->name.len < 1 || pair->name.len > KMS_GRANT_PAIR_BYTES ||
            pair->value.len > KMS_GRANT_PAIR_BYTES)
            return bad(why, "constraints: a name of 1 to 384 bytes, a value of at most 384");
        if (i > 0 && kms_bytes_equal(pair->name, grant->pairs[i - 1].name))
            return bad(why, "constraints: a name stands there twice");
    }
    return KMS_OK;
}

kms_err kms_grant_check(const struct kms_grant *grant, struct kms_why *why)
{
    if (grant->grantee.len == 0) return bad(why, "grantee_principal is required");
    KMS_TRY(check_principal("grantee_principal", grant->grantee, why));
    KMS_TRY(check_principal("retiring_principal", grant->retiring, why));
    KMS_TRY(check_name(grant->name, why));
    if (grant->operations == 0) return bad(why, "operations: at least one");
    if (grant->expires_us != 0 && grant->expires_us <= grant->created_us)
        return bad(why, "expiration_time_us: not in the future");
    return check_constraint(grant, why);
}

kms_err kms_grant_check_kind(const struct kms_grant *grant, enum kms_grant_kind kind, struct kms_why *why)
{
    uint32_t excess = grant->operations & ~kms_grant_operations_for(kind);
    enum kms_action action;
    if (excess != 0 && kms_grant_action((uint32_t)__builtin_ctz(excess), &action)) {
        kms_why_set(why, "operations: %s is not for a key of this kind", kms_grant_operation_name(action));
        return KMS_FAIL(INVALID_KEY_USAGE);
    }
    if (excess != 0) return bad(why, "operations: a number that is none");
    if (grant->constraint != KMS_GRANT_ANY_CONTEXT && kind != KMS_GRANT_KIND_SYMMETRIC)
        return bad(why, "constraints: only a symmetric key takes an encryption context");
    return KMS_OK;
}
