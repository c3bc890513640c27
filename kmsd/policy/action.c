/* The actions of action.def: names, classes, and which of them a pattern names. */
#include <string.h>
#include <strings.h>

#include "kmsd/policy/compiled.h"
#include "kmsd/policy/match.h"

/* The last column of action.def. */
#define KIND(name) (1u << KMS_POLICY_##name)
enum documents {
    KEY = KIND(KEY),
    SERVICE = KIND(SERVICE),
    SECRET = KIND(SECRET),
    ROLE = KIND(DATABASE_ROLE),
};

static const struct {
    const char *name;
    enum kms_action_class class;
    unsigned documents; /* bit per enum kms_policy_kind */
} rows[KMS_ACT_COUNT] = {
#define KMS_ACTION(symbol, n, c, d)                                                                          \
    [KMS_ACT_##symbol] = {.name = (n), .class = KMS_CLASS_##c, .documents = (d)},
#include "kmsd/policy/action.def"
#undef KMS_ACTION
};

const char *kms_action_name(enum kms_action action)
{
    return action < KMS_ACT_COUNT ? rows[action].name : NULL;
}

enum kms_action_class kms_action_class_of(enum kms_action action)
{
    return rows[action].class;
}

bool kms_action_find(const char *name, enum kms_action *ret_action)
{
    const size_t prefix = sizeof "kms:" - 1;
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++) {
        const char *row = rows[action].name;
        bool shortly = strncmp(row, "kms:", prefix) == 0 && strcmp(row + prefix, name) == 0;
        if (!shortly && strcmp(row, name) != 0) continue;
        *ret_action = action;
        return true;
    }
    return false;
}

bool kms_action_of_keys(enum kms_action action)
{
    return (rows[action].documents & KEY) != 0;
}

bool kms_action_of_service(enum kms_action action)
{
    return (rows[action].documents & SERVICE) != 0;
}

kms_actions kms_action_kind_bits(enum kms_policy_kind kind)
{
    kms_actions bits = 0;
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++)
        if ((rows[action].documents & 1u << kind) != 0) bits |= kms_action_bit(action);
    return bits;
}

kms_actions kms_action_class_bits(enum kms_action_class class)
{
    kms_actions bits = 0;
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++)
        if (rows[action].class == class) bits |= kms_action_bit(action);
    return bits;
}

enum { PATTERN_MOST_BYTES = 128 }; /* more than twice the longest name */

static struct kms_bytes lowered(struct kms_bytes text, bool wildcards, uint8_t to[PATTERN_MOST_BYTES])
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (wildcards && c == '*')
            to[i] = KMS_ANY_RUN;
        else if (wildcards && c == '?')
            to[i] = KMS_ANY_ONE;
        else
            to[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
    }
    return kms_bytes_of(to, text.len);
}

/* Bytes before the first wildcard; most names fall out by them. */
static size_t fixed_front(struct kms_bytes pattern)
{
    size_t len = 0;
    while (len < pattern.len && pattern.ptr[len] != '*' && pattern.ptr[len] != '?') len++;
    return len;
}

kms_actions kms_action_pattern_bits(struct kms_bytes pattern)
{
    uint8_t pattern_lowered[PATTERN_MOST_BYTES], name_lowered[PATTERN_MOST_BYTES];
    kms_actions bits = 0;
    size_t front = fixed_front(pattern);
    if (pattern.len > PATTERN_MOST_BYTES) return 0;
    struct kms_bytes wanted = lowered(pattern, true, pattern_lowered);
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++) {
        struct kms_bytes name = kms_bytes_text(rows[action].name);
        if (strncasecmp(rows[action].name, (const char *)pattern.ptr, front) != 0) continue;
        if (kms_pattern_match(wanted, lowered(name, false, name_lowered))) bits |= kms_action_bit(action);
    }
    return bits;
}
