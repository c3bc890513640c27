/* Conditions against the requests that can come: which of them have a key at all, who chooses its value. */
#include <stdio.h>
#include <string.h>

#include "kmsd/policy/complain.h"
#include "kmsd/policy/lint_internal.h"

enum { NAMED = 4 /* actions that a finding names */ };

#define SEALING "kms:Encrypt kms:Decrypt kms:ReEncrypt* kms:GenerateDataKey*"

/* Requests for these actions alone have the key; what is not here, all requests about a key have, or all
 * about a secret. */
static const struct {
    enum kms_condition_key key;
    const char *actions; /* patterns */
} carriers[] = {
    {KMS_CONDITION_ON_ENCRYPTION_CONTEXT, SEALING},
    {KMS_CONDITION_ON_ENCRYPTION_CONTEXT_KEYS, SEALING},
    {KMS_CONDITION_ON_ENCRYPTION_ALGORITHM, SEALING},
    {KMS_CONDITION_ON_SIGNING_ALGORITHM, "kms:Sign kms:Verify"},
    {KMS_CONDITION_ON_MESSAGE_TYPE, "kms:Sign kms:Verify"},
    {KMS_CONDITION_ON_MAC_ALGORITHM, "kms:GenerateMac kms:VerifyMac"},
    {KMS_CONDITION_ON_DATA_KEY_PAIR_SPEC, "kms:GenerateDataKeyPair*"},
    {KMS_CONDITION_ON_REENCRYPT_ON_SAME_KEY, "kms:ReEncrypt*"},
    {KMS_CONDITION_ON_VIA_SERVICE, SEALING},
    {KMS_CONDITION_ON_BYPASS_LOCKOUT,
     "kms:CreateKey kms:PutKeyPolicy secretsmanager:CreateSecret secretsmanager:PutResourcePolicy"},
    {KMS_CONDITION_ON_GRANT_OPERATIONS, "kms:CreateGrant"},
    {KMS_CONDITION_ON_GRANTEE_PRINCIPAL, "kms:CreateGrant"},
    {KMS_CONDITION_ON_RETIRING_PRINCIPAL, "kms:CreateGrant"},
    {KMS_CONDITION_ON_GRANT_CONSTRAINT_TYPE, "kms:CreateGrant"},
    {KMS_CONDITION_ON_EXPIRATION_MODEL, "kms:ImportKeyMaterial"},
    {KMS_CONDITION_ON_VALID_TO, "kms:ImportKeyMaterial"},
    {KMS_CONDITION_ON_WRAPPING_ALGORITHM, "kms:GetParametersForImport"},
    {KMS_CONDITION_ON_WRAPPING_KEY_SPEC, "kms:GetParametersForImport"},
    {KMS_CONDITION_ON_ROTATION_PERIOD, "kms:EnableKeyRotation"},
    {KMS_CONDITION_ON_PENDING_WINDOW, "kms:ScheduleKeyDeletion"},
    {KMS_CONDITION_ON_REQUEST_TAG,
     "kms:CreateKey kms:TagResource secretsmanager:CreateSecret secretsmanager:TagResource"},
    {KMS_CONDITION_ON_TAG_KEYS, "kms:CreateKey kms:TagResource kms:UntagResource secretsmanager:CreateSecret "
                                "secretsmanager:TagResource secretsmanager:UntagResource"},
    {KMS_CONDITION_ON_SECRET_NAME, "secretsmanager:CreateSecret"},
    {KMS_CONDITION_ON_SECRET_KMS_KEY_ID, "secretsmanager:CreateSecret secretsmanager:UpdateSecret"},
    {KMS_CONDITION_ON_SECRET_KMS_KEY_ARN, "secretsmanager:CreateSecret secretsmanager:UpdateSecret"},
    {KMS_CONDITION_ON_VERSION_ID, "secretsmanager:GetSecretValue"},
    {KMS_CONDITION_ON_VERSION_STAGE, "secretsmanager:GetSecretValue secretsmanager:UpdateSecretVersionStage"},
    {KMS_CONDITION_ON_RECOVERY_WINDOW, "secretsmanager:DeleteSecret"},
    {KMS_CONDITION_ON_FORCE_DELETE, "secretsmanager:DeleteSecret"},
    {KMS_CONDITION_ON_MODIFY_ROTATION_RULES, "secretsmanager:RotateSecret"},
    {KMS_CONDITION_ON_ROTATE_IMMEDIATELY, "secretsmanager:RotateSecret"},
};

static kms_actions actions_of(const char *patterns)
{
    kms_actions actions = 0;
    for (const char *at = patterns; *at != '\0'; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        actions |= kms_action_pattern_bits(kms_bytes_of(at, len));
        at += len;
    }
    return actions;
}

/* Keys of callers and services that do not exist here: no request has them. */
static bool never_there(enum kms_condition_key key)
{
    switch (key) {
    case KMS_CONDITION_ON_REQUESTED_REGION:
    case KMS_CONDITION_ON_MULTI_REGION:
    case KMS_CONDITION_ON_VIA_AWS_SERVICE:
    case KMS_CONDITION_ON_PRINCIPAL_IS_SERVICE:
    case KMS_CONDITION_ON_SECRET_PRIMARY_REGION:
        return false;
    default:
        return kms_condition_key_rows[key].about == KMS_ABOUT_NOTHING;
    }
}

static kms_actions carried_by(enum kms_condition_key key)
{
    for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++)
        if (carriers[i].key == key) return actions_of(carriers[i].actions);
    if (never_there(key)) return 0;
    const struct kms_condition_key_row *row = &kms_condition_key_rows[key];
    if (row->about == KMS_ABOUT_CALLER) return KMS_ALL_ACTIONS; /* kms:CallerAccount, too */
    const kms_actions of_keys = kms_action_kind_bits(KMS_POLICY_KEY);
    if (strncmp(row->name, "kms:", 4) == 0) return of_keys;
    return strncmp(row->name, "aws:", 4) == 0 ? KMS_ALL_ACTIONS : KMS_ALL_ACTIONS & ~of_keys;
}

/* Does the condition hold for a request without the key? */
static bool holds_without(const struct kms_condition *c)
{
    const struct kms_operator_row *row = &kms_operator_rows[c->operator_id];
    if (row->family == KMS_FAMILY_ABSENCE) return c->values[0].number != 0;
    return c->if_exists || c->quantifier == KMS_FOR_ALL_VALUES ||
           (c->quantifier == KMS_ONE_VALUE && row->negated);
}

/* The key as the document names it. */
struct key_text {
    char text[128];
};
static struct key_text text_of(const struct kms_condition *c)
{
    struct key_text key;
    snprintf(key.text, sizeof key.text, "%s%s", kms_condition_key_rows[c->key].name,
             kms_show_short(c->name).text);
    return key;
}

static void say_missing(struct kms_lint *lint, const struct kms_statement *s, const struct kms_condition *c,
                        kms_actions missing)
{
    KMS_OWN_BUF actions = {0};
    if (kms_failed(kms_words_actions(missing, NAMED, &actions))) {
        lint->err = KMS_FAIL(NO_MEMORY);
        return;
    }
    bool all = missing == s->actions, holds = holds_without(c);
    const char *operator_name = kms_operator_rows[c->operator_id].name, *names = (const char *)actions.data;
    struct key_text key = text_of(c);
    if (!holds && all)
        kms_lint_warn(lint, s, "never",
                      "never applies: no request for %s has %s, and %s does not hold without", names,
                      key.text, operator_name);
    else if (!holds)
        kms_lint_warn(lint, s, "never", "does not %s %s: requests for these have no %s",
                      s->deny ? "deny" : "allow", names, key.text);
    else if (s->deny)
        kms_lint_warn(lint, s, "always",
                      "always denies %s: requests for these have no %s, and %s holds without", names,
                      key.text, operator_name);
    else
        kms_lint_warn(lint, s, "always", "%s on %s restricts nothing for %s: such requests do not have it",
                      operator_name, key.text, names);
}

/* What a caller may leave out of a request that could have it. */
static bool optional(enum kms_condition_key key)
{
    return key == KMS_CONDITION_ON_ENCRYPTION_CONTEXT || key == KMS_CONDITION_ON_ENCRYPTION_CONTEXT_KEYS ||
           key == KMS_CONDITION_ON_REQUEST_ALIAS || key == KMS_CONDITION_ON_REQUEST_TAG ||
           key == KMS_CONDITION_ON_TAG_KEYS || key == KMS_CONDITION_ON_VIA_SERVICE ||
           key == KMS_CONDITION_ON_VERSION_ID || key == KMS_CONDITION_ON_VERSION_STAGE;
}

/* Another condition of the statement wants the key to be there. */
static bool wanted_elsewhere(const struct kms_statement *s, const struct kms_condition *c)
{
    for (size_t i = 0; i < s->condition_count; i++) {
        const struct kms_condition *other = &s->conditions[i];
        bool context =
            c->key == KMS_CONDITION_ON_ENCRYPTION_CONTEXT_KEYS &&
            other->key == KMS_CONDITION_ON_ENCRYPTION_CONTEXT; /* a pair of it is wanted: not empty */
        bool same = other->key == c->key && kms_bytes_equal(other->name, c->name);
        if (other != c && (same || context) && !holds_without(other)) return true;
    }
    return false;
}

static void check_optional(struct kms_lint *lint, const struct kms_statement *s,
                           const struct kms_condition *c)
{
    bool absence = kms_operator_rows[c->operator_id].family == KMS_FAMILY_ABSENCE;
    if (absence || !optional(c->key)) return;
    struct key_text key = text_of(c);
    if (!s->deny && holds_without(c) && !wanted_elsewhere(s, c))
        kms_lint_warn(
            lint, s, "optional",
            "holds also when the caller leaves %s out; add \"Null\": {\"%s\": \"false\"} to want it",
            key.text, key.text);
    if (s->deny && c->key == KMS_CONDITION_ON_REQUEST_ALIAS && !holds_without(c))
        kms_lint_warn(lint, s, "optional", "a caller who names the key by its id has no %s and is not denied",
                      key.text);
}

/* kms:ViaService with a service that uses no keys here. */
static void check_service(struct kms_lint *lint, const struct kms_statement *s, const struct kms_condition *c)
{
    static const char known[] = "secretsmanager.";
    const struct kms_operator_row *row = &kms_operator_rows[c->operator_id];
    bool plain = row->family == KMS_FAMILY_TEXT && row->relation == KMS_RELATION_EQUAL;
    for (size_t i = 0; c->key == KMS_CONDITION_ON_VIA_SERVICE && plain && i < c->value_count; i++) {
        struct kms_bytes value = c->values[i].text;
        bool ours = value.len >= sizeof known - 1 && memcmp(value.ptr, known, sizeof known - 1) == 0;
        if (ours || c->values[i].has_variables) continue;
        kms_lint_warn(
            lint, s, "service",
            "no request comes through %s: here only secretsmanager.REGION.amazonaws.com uses keys for "
            "its callers",
            kms_show_short(value).text);
    }
}

void kms_lint_conditions(struct kms_lint *lint, const struct kms_statement *statement)
{
    for (size_t i = 0; i < statement->condition_count; i++) {
        const struct kms_condition *c = &statement->conditions[i];
        kms_actions missing = statement->actions & ~carried_by(c->key);
        bool wants_absence =
            kms_operator_rows[c->operator_id].family == KMS_FAMILY_ABSENCE && holds_without(c);
        if (missing != 0 && !wants_absence) say_missing(lint, statement, c, missing);
        if (missing != statement->actions) check_optional(lint, statement, c);
        check_service(lint, statement, c);
    }
}
