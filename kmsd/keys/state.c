/* States and what they allow. */
#include "kmsd/keys/state.h"

static const char *const names[KMS_STATE_COUNT] = {
    [KMS_STATE_ENABLED] = "Enabled",
    [KMS_STATE_DISABLED] = "Disabled",
    [KMS_STATE_PENDING_DELETION] = "PendingDeletion",
    [KMS_STATE_PENDING_IMPORT] = "PendingImport",
    [KMS_STATE_UNAVAILABLE] = "Unavailable",
    [KMS_STATE_DELETED] = "deleted",
};

/* 0 is no answer at all, so that an action without a row fails closed. */
enum answer { yes = 1, dis, bad, una };

static const uint8_t answers[KMS_ACT_COUNT][KMS_STATE_DELETED] = {
#define KMS_STATE(action, enabled, disabled, deletion, import, unavailable)                                  \
    [KMS_ACT_##action] = {0, enabled, disabled, deletion, import, unavailable},
#include "kmsd/keys/state.def"
#undef KMS_STATE
};

const char *kms_key_state_name(enum kms_key_state state)
{
    return names[state];
}

enum kms_key_state kms_key_state_at(const struct kms_key *key, uint64_t now_us)
{
    bool can_expire = key->origin == KMS_ORIGIN_EXTERNAL &&
                      (key->state == KMS_STATE_ENABLED || key->state == KMS_STATE_DISABLED);
    for (uint32_t i = 0; can_expire && i < key->version_count; i++) {
        uint64_t expires_us = key->versions[i].expires_us;
        if (expires_us != 0 && now_us >= expires_us) return KMS_STATE_PENDING_IMPORT;
    }
    return key->state;
}

kms_err kms_state_answer(enum kms_key_state state, enum kms_action action)
{
    if (state == KMS_STATE_DELETED)
        return action == KMS_ACT_CREATE_ALIAS ? KMS_OK : KMS_FAIL(INVALID_KEY_STATE);
    switch ((enum answer)answers[action][state]) {
    case yes:
        return KMS_OK;
    case dis:
        return KMS_FAIL(KEY_DISABLED);
    case bad:
        return KMS_FAIL(INVALID_KEY_STATE);
    case una:
        return KMS_FAIL(KEY_UNAVAILABLE);
    }
    return KMS_FAIL(INTERNAL);
}

kms_err kms_key_state_check(const struct kms_key *key, enum kms_key_state state, enum kms_action action,
                            struct kms_why *why)
{
    kms_err err = kms_state_answer(state, action);
    if (kms_is(err, KMS_E_KEY_DISABLED))
        kms_why_set(why, "key %s: kmsctl key enable", key->id_text);
    else if (kms_failed(err))
        kms_why_set(why, "key %s is %s, which does not allow %s", key->id_text, names[state],
                    kms_action_name(action));
    return err;
}
