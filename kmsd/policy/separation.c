/*
 * What a document could give to whom, whatever a request looks like: separation of administration from usage,
 * and whether one document's users are among another's.
 *
 * An Allow is taken at its widest: conditions (but one, see kms_through_service) and resources are put aside,
 * NotAction is every action (NotPrincipal goes with Deny only). A Deny is taken at its narrowest: it counts
 * only when nothing but principal and action decides it.
 */
#include "kmsd/policy/compiled.h"
#include "kmsd/policy/complain.h"
#include "kmsd/policy/grant.h"
#include "kmsd/policy/match.h"

/* Somebody: a principal that a document names, or anybody else ({NULL, 0}). */
struct somebody {
    struct kms_bytes name;
    uint64_t hash;
};

static struct kms_shown show_somebody(const struct somebody *who)
{
    return who->name.ptr != NULL ? kms_show(who->name) : kms_show(kms_bytes_text("*"));
}

static bool covers(const struct kms_statement *statement, const struct somebody *who)
{
    return kms_statement_covers(statement, who->name, who->hash);
}

static const struct kms_statement *denies_of(const kms_policy *policy, const struct kms_statement **ret_end)
{
    *ret_end = policy->statements + policy->deny_count;
    return policy->statements;
}

static const struct kms_statement *allows_of(const kms_policy *policy, const struct kms_statement **ret_end)
{
    *ret_end = policy->statements + policy->statement_count;
    return policy->statements + policy->deny_count;
}

/* The actions that an Allow could give to somebody. */
static kms_actions widest(const kms_policy *policy, const struct kms_statement *allow,
                          const struct somebody *who)
{
    if (!covers(allow, who)) return 0;
    return allow->not_action ? policy->every : allow->actions;
}

/* The actions that somebody can never have. */
static kms_actions always_denied(const kms_policy *policy, const struct somebody *who)
{
    kms_actions denied = 0;
    const struct kms_statement *end, *deny = denies_of(policy, &end);
    for (; deny < end; deny++)
        if (deny->condition_count == 0 && deny->any_resource && covers(deny, who)) denied |= deny->actions;
    return denied;
}

/*
 * A condition wants kms:ViaService to be there, which kmsd sets when SecretService opens or seals a value
 * for a caller, and never for one who calls himself. Such an Allow is no usage: what comes of it is the
 * value of a secret, and whether the principal may have that is up to the secret's policy, where
 * administration and usage are separated again. So the policy of a default key can let everybody use it
 * that way, its administrators included. Operators that hold without the key (negated, IfExists,
 * ForAllValues) want nothing.
 */
bool kms_through_service(const kms_policy *policy, const struct kms_statement *allow)
{
    for (size_t i = 0; policy->kind == KMS_POLICY_KEY && i < allow->condition_count; i++) {
        const struct kms_condition *c = &allow->conditions[i];
        const struct kms_operator_row *row = &kms_operator_rows[c->operator_id];
        if (c->key == KMS_CONDITION_ON_VIA_SERVICE && row->family == KMS_FAMILY_TEXT && !row->negated &&
            !c->if_exists && c->quantifier != KMS_FOR_ALL_VALUES)
            return true;
    }
    return false;
}

/* The first Allow that could give somebody one of the wanted actions, and the action most telling. */
static const struct kms_statement *first_allow(const kms_policy *policy, const struct somebody *who,
                                               kms_actions wanted, enum kms_action *ret_action)
{
    const kms_actions put_policy = kms_action_bit(kms_kind_row(policy->kind)->written_by);
    const struct kms_statement *end, *allow = allows_of(policy, &end);
    for (; allow < end; allow++) {
        kms_actions given = widest(policy, allow, who) & wanted;
        if (given != 0 && kms_through_service(policy, allow))
            given &= ~kms_action_class_bits(KMS_CLASS_USAGE);
        if (given == 0) continue;
        if ((given & put_policy) != 0) given &= put_policy;
        *ret_action = kms_action_first(given);
        return allow;
    }
    return NULL;
}

/* Why the statement counts although it does not name the principal or the action. */
static const char *reach(const struct kms_statement *allow)
{
    if (allow->any_principal) return " to everybody";
    return allow->not_action ? ", NotAction counting as every action" : "";
}

static kms_err separate(const kms_policy *policy, const struct somebody *who, struct kms_why *why)
{
    enum kms_action admin_action, usage_action;
    kms_actions possible = ~always_denied(policy, who);
    const struct kms_statement *admin =
        first_allow(policy, who, kms_action_class_bits(KMS_CLASS_ADMIN) & possible, &admin_action);
    const struct kms_statement *usage =
        first_allow(policy, who, kms_action_class_bits(KMS_CLASS_USAGE) & possible, &usage_action);
    if (admin == NULL || usage == NULL) return KMS_OK;
    kms_why_set(
        why,
        "principal \"%s\": statement \"%s\" allows %s (administration)%s and statement \"%s\" allows %s "
        "(usage)%s; give them to different principals or remove one",
        show_somebody(who).text, kms_show_short(kms_bytes_text(admin->name)).text,
        kms_action_name(admin_action), reach(admin), kms_show_short(kms_bytes_text(usage->name)).text,
        kms_action_name(usage_action), reach(usage));
    return KMS_FAIL(POLICY_NOT_SEPARATED);
}

kms_err kms_policy_check_separation(const kms_policy *policy, struct kms_why *why)
{
    for (size_t i = 0; policy != NULL && i < policy->statement_count; i++) {
        const struct kms_statement *statement = &policy->statements[i];
        for (size_t j = 0; j < statement->principal_count; j++) {
            const struct kms_principal *principal = &statement->principals[j];
            KMS_TRY(separate(policy, &(struct somebody){principal->name, principal->hash}, why));
        }
    }
    if (policy == NULL) return KMS_OK;
    return separate(policy, &(struct somebody){kms_bytes_of(NULL, 0), 0}, why);
}

static bool same_value(enum kms_family family, const struct kms_value *a, const struct kms_value *b)
{
    if (a->has_variables != b->has_variables) return false;
    bool text = family == KMS_FAMILY_TEXT || family == KMS_FAMILY_ARN || family == KMS_FAMILY_BINARY;
    if (text || a->has_variables) return kms_bytes_equal(a->text, b->text);
    if (family != KMS_FAMILY_ADDRESS) return a->number == b->number;
    return a->network.len == b->network.len && a->network.prefix_bits == b->network.prefix_bits &&
           kms_network_contains(&a->network, &b->network);
}

static bool same_condition(const struct kms_condition *a, const struct kms_condition *b)
{
    if (a->operator_id != b->operator_id || a->key != b->key || a->quantifier != b->quantifier) return false;
    if (a->if_exists != b->if_exists || a->value_count != b->value_count) return false;
    if (!kms_folded_equal(a->name, b->name)) return false;
    enum kms_family family = kms_operator_rows[a->operator_id].family;
    for (size_t i = 0; i < a->value_count; i++)
        if (!same_value(family, &a->values[i], &b->values[i])) return false;
    return true;
}

/* What differs between two keys, whoever asks. */
static bool about_the_key(uint8_t about)
{
    return (about & (KMS_ABOUT_KEY | KMS_ABOUT_USE)) != 0;
}

/* Do the conditions of `weaker`, on one key, hold whenever those of `stronger`, on another key, do? True only
 * when each of them stands in `stronger` too. */
static bool implied(const struct kms_statement *weaker, const struct kms_statement *stronger)
{
    if (!weaker->any_resource) return false;
    for (size_t i = 0; i < weaker->condition_count; i++) {
        bool found = false;
        for (size_t j = 0; j < stronger->condition_count && !found; j++)
            found = same_condition(&weaker->conditions[i], &stronger->conditions[j]);
        if (!found || about_the_key(weaker->conditions[i].about)) return false;
    }
    return true;
}

/* The actions that `outer` could deny somebody where `inner` does not. */
static kms_actions denied_more(const kms_policy *inner, const kms_policy *outer, const struct somebody *who)
{
    kms_actions denied = 0;
    const struct kms_statement *outer_end, *inner_end, *deny = denies_of(outer, &outer_end);
    for (; deny < outer_end; deny++) {
        bool in_account = who->name.ptr == NULL && deny->accounts; /* anybody else may be of it */
        if (!in_account && !covers(deny, who)) continue;
        kms_actions more = deny->actions;
        for (const struct kms_statement *other = denies_of(inner, &inner_end); other < inner_end; other++)
            if (covers(other, who) && implied(other, deny)) more &= ~other->actions;
        denied |= more;
    }
    return denied;
}

/* The actions that `outer` surely gives somebody whenever the conditions of `allow` hold, denials aside. */
static kms_actions surely_allowed(const kms_policy *outer, const struct somebody *who,
                                  const struct kms_statement *allow)
{
    kms_actions allowed = 0;
    const struct kms_statement *end, *other = allows_of(outer, &end);
    for (; other < end; other++)
        if (covers(other, who) && implied(other, allow)) allowed |= other->actions;
    return allowed;
}

static kms_err somebody_within(const kms_policy *inner, const kms_policy *outer, const struct somebody *who,
                               struct kms_why *why)
{
    const struct kms_statement *end, *allow = allows_of(inner, &end);
    kms_actions possible = kms_action_class_bits(KMS_CLASS_USAGE) & ~always_denied(inner, who);
    kms_actions refused = denied_more(inner, outer, who);
    for (; allow < end; allow++) {
        kms_actions given = widest(inner, allow, who) & possible;
        if (given != 0) given &= ~(surely_allowed(outer, who, allow) & ~refused);
        if (given == 0) continue;
        kms_why_set(why, "principal \"%s\" would newly be allowed %s, by statement \"%s\"%s",
                    show_somebody(who).text, kms_action_name(kms_action_first(given)),
                    kms_show_short(kms_bytes_text(allow->name)).text, reach(allow));
        return KMS_FAIL(APPROVAL_NEEDED);
    }
    return KMS_OK;
}

static kms_err named_within(const kms_policy *inner, const kms_policy *outer, const kms_policy *names,
                            struct kms_why *why)
{
    for (size_t i = 0; i < names->statement_count; i++)
        for (size_t j = 0; j < names->statements[i].principal_count; j++) {
            const struct kms_principal *principal = &names->statements[i].principals[j];
            KMS_TRY(somebody_within(inner, outer, &(struct somebody){principal->name, principal->hash}, why));
        }
    return KMS_OK;
}

kms_err kms_policy_check_users_within(const kms_policy *inner, const kms_policy *outer, struct kms_why *why)
{
    static struct kms_statement none;
    static const kms_policy nobody = {.statements = &none}; /* of which it has 0 */
    if (inner == NULL) return KMS_OK;
    if (outer == NULL) outer = &nobody;
    KMS_TRY(named_within(inner, outer, inner, why));
    KMS_TRY(named_within(inner, outer, outer, why));
    return somebody_within(inner, outer, &(struct somebody){kms_bytes_of(NULL, 0), 0}, why);
}

static struct somebody named(struct kms_bytes name)
{
    return (struct somebody){name, kms_principal_hash(name)};
}

kms_err kms_policy_check_no_admin(const kms_policy *policy, struct kms_bytes principal, struct kms_why *why)
{
    const struct somebody who = named(principal);
    enum kms_action action;
    if (policy == NULL) return KMS_OK;
    kms_actions wanted = kms_action_class_bits(KMS_CLASS_ADMIN) & ~always_denied(policy, &who);
    const struct kms_statement *admin = first_allow(policy, &who, wanted, &action);
    if (admin == NULL) return KMS_OK;
    kms_why_set(why, "principal \"%s\" administers the %s: statement \"%s\" allows %s%s",
                kms_show(principal).text, kms_kind_row(policy->kind)->subject,
                kms_show_short(kms_bytes_text(admin->name)).text, kms_action_name(action), reach(admin));
    return KMS_FAIL(POLICY_NOT_SEPARATED);
}

kms_err kms_policy_check_writer(const kms_policy *policy, struct kms_bytes writer, struct kms_why *why)
{
    const struct somebody who = named(writer);
    enum kms_action action;
    if (policy == NULL) return KMS_OK;
    kms_actions wanted = kms_action_class_bits(KMS_CLASS_USAGE) & ~always_denied(policy, &who);
    const struct kms_statement *usage = first_allow(policy, &who, wanted, &action);
    if (usage == NULL) return KMS_OK;
    kms_why_set(why,
                "principal \"%s\" writes this document, and statement \"%s\" would allow it %s (usage)%s; "
                "another administrator must write it",
                kms_show(writer).text, kms_show_short(kms_bytes_text(usage->name)).text,
                kms_action_name(action), reach(usage));
    return KMS_FAIL(POLICY_NOT_SEPARATED);
}

struct pair {
    const kms_policy *users, *writers;
    enum kms_action written;
};

static kms_err somebody_apart(const struct pair *pair, const struct somebody *who, struct kms_why *why)
{
    enum kms_action action, written;
    kms_actions used = kms_action_class_bits(KMS_CLASS_USAGE) & ~always_denied(pair->users, who);
    kms_actions wanted = kms_action_bit(pair->written) & ~always_denied(pair->writers, who);
    const struct kms_statement *usage = first_allow(pair->users, who, used, &action);
    const struct kms_statement *writing = first_allow(pair->writers, who, wanted, &written);
    if (usage == NULL || writing == NULL) return KMS_OK;
    kms_why_set(
        why,
        "principal \"%s\": statement \"%s\" allows %s%s, and statement \"%s\" of %s allows %s%s; give "
        "them to different principals",
        show_somebody(who).text, kms_show_short(kms_bytes_text(usage->name)).text, kms_action_name(action),
        reach(usage), kms_show_short(kms_bytes_text(writing->name)).text,
        kms_kind_row(pair->writers->kind)->text, kms_action_name(written), reach(writing));
    return KMS_FAIL(POLICY_NOT_SEPARATED);
}

static kms_err named_apart(const struct pair *pair, const kms_policy *names, struct kms_why *why)
{
    for (size_t i = 0; i < names->statement_count; i++)
        for (size_t j = 0; j < names->statements[i].principal_count; j++) {
            const struct kms_principal *principal = &names->statements[i].principals[j];
            KMS_TRY(somebody_apart(pair, &(struct somebody){principal->name, principal->hash}, why));
        }
    return KMS_OK;
}

kms_err kms_policy_check_apart(const kms_policy *users, const kms_policy *writers, enum kms_action written,
                               struct kms_why *why)
{
    const struct pair pair = {users, writers, written};
    if (users == NULL || writers == NULL) return KMS_OK;
    KMS_TRY(named_apart(&pair, users, why));
    KMS_TRY(named_apart(&pair, writers, why));
    return somebody_apart(&pair, &(struct somebody){kms_bytes_of(NULL, 0), 0}, why);
}

uint32_t kms_policy_sure_operations(const kms_policy *policy, struct kms_bytes principal)
{
    static struct kms_statement unconditional;
    static const kms_policy nobody = {.statements = &unconditional}; /* of which it has 0 */
    const struct somebody who = named(principal);
    uint32_t operations = 0;
    if (policy == NULL) return 0;
    kms_actions sure = surely_allowed(policy, &who, &unconditional) & ~denied_more(&nobody, policy, &who);
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++)
        if ((sure & kms_action_bit(action)) != 0) operations |= kms_grant_bit(action);
    return operations;
}
