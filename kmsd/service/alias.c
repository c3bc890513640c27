/* CreateAlias, UpdateAlias, DeleteAlias: names for keys, which move only where their users lose and gain
 * nothing. */
#include "kmsd/service/alias.h"

#include <stdio.h>
#include <string.h>

#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/change.h"
#include "kmsd/service/grant_check.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

/* Everybody who may use the new key must have been allowed the same on the old one: else an administrator
 * could point an application at a key that somebody else reads. from NULL: it is gone. to NULL: it does not
 * exist yet, has no grants, and gets this policy. Others who administer the old key may agree to it, while it
 * lives. */
static kms_err check_move(struct kms_call *call, const struct kms_key *from, const kms_policy *policy,
                          const struct kms_key *to, const char *name)
{
    enum { WHO_COULD_AGREE = 2 };
    static const struct kms_key gone;
    if (from == NULL) from = &gone;
    KMS_OWN_KEY living = kms_keyring_find(call->core->keys, &from->id);
    call->alias_left = from->id;
    call->alias_leaves = living != NULL;
    kms_err err = kms_policy_check_users_within(policy, from->policy, &call->why);
    if (!kms_failed(err) && to != NULL) err = kms_grants_check_move(from, to, call->started_us, &call->why);
    if (!kms_failed(err)) return KMS_OK;
    struct kms_why words = call->why;
    bool could_agree = living != NULL && from->rule != NULL && from->rule->count >= WHO_COULD_AGREE;
    if (!could_agree || !kms_is(err, KMS_E_APPROVAL_NEEDED))
        return kms_call_fail(call, err, "%s names or named another key: %.300s", name, words.text);
    call->why.text[0] = '\0';
    call->alias_gains =
        kms_arena_print(&call->arena, "%s names or named another key: %.300s", name, words.text);
    return call->alias_gains != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

/* A name that was another key's: that key is asked as well. */
static kms_err gather_tombstone(struct kms_call *call, const char *name)
{
    struct kms_alias alias;
    struct kms_access *old;
    if (!kms_keyring_alias(call->core->keys, kms_bytes_text(name), &alias) || !alias.deleted) return KMS_OK;
    KMS_TRY(kms_access_id(call, KMS_ACT_CREATE_ALIAS, &alias.key_id, &old));
    if (old->key == NULL) old->key = kms_keyring_find_buried(call->core->keys, &alias.key_id);
    return KMS_OK;
}

kms_err kms_alias_gather_new(struct kms_call *call, const char *name, struct kms_access **ret_access)
{
    KMS_TRY(gather_tombstone(call, name));
    if (call->access_count == KMS_CALL_ACCESSES) return KMS_FAIL(INTERNAL);
    *ret_access = &call->access[call->access_count++];
    **ret_access = (struct kms_access){.action = KMS_ACT_CREATE_ALIAS, .alias = kms_bytes_text(name)};
    return KMS_OK;
}

/* Whether policy has been asked about the key of a tombstone. */
static bool asked(const struct kms_call *call, const struct kms_id *id)
{
    for (size_t i = 0; i < call->access_count; i++) {
        const struct kms_access *access = &call->access[i];
        if (access->action == KMS_ACT_CREATE_ALIAS && access->key != NULL &&
            kms_id_equal(&access->key->id, id))
            return true;
    }
    return false;
}

kms_err kms_alias_check_new(struct kms_call *call, const char *name, const kms_policy *users,
                            const struct kms_key *to, struct kms_alias *ret_alias)
{
    struct kms_alias alias = {.revision = 0};
    snprintf(alias.name, sizeof alias.name, "%s", name);
    bool known = kms_keyring_alias(call->core->keys, kms_bytes_text(name), &alias);
    if (known && !alias.deleted) return kms_call_fail(call, KMS_FAIL(ALREADY_EXISTS), "%s", name);
    if (known && !asked(call, &alias.key_id))
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "%s was moved or deleted meanwhile", name);
    if (known && (to == NULL || !kms_id_equal(&to->id, &alias.key_id))) {
        KMS_OWN_KEY old = kms_keyring_find(call->core->keys, &alias.key_id);
        if (old == NULL) old = kms_keyring_find_buried(call->core->keys, &alias.key_id);
        KMS_TRY(check_move(call, old, users, to, name));
    }
    alias.deleted = false;
    *ret_alias = alias;
    return KMS_OK;
}

/* Stores the alias, then shows it. */
static kms_err store(struct kms_call *call, struct kms_alias *alias)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_change_alias(&changes, alias));
    KMS_TRY(kms_change_apply(&changes, call));
    KMS_TRY(kms_keyring_put_alias(call->core->keys, alias));
    return kms_new_reply(call) != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_create_alias_gather(struct kms_call *call)
{
    const Kms__V1__CreateAliasRequest *request = (const void *)call->request;
    struct kms_access *target;
    KMS_TRY(kms_alias_name_check(kms_bytes_text(request->alias_name), &call->why));
    KMS_TRY(kms_access_named(call, KMS_ACT_CREATE_ALIAS, request->target_key_id, &target));
    return gather_tombstone(call, request->alias_name);
}

kms_err kms_create_alias_act(struct kms_call *call)
{
    const Kms__V1__CreateAliasRequest *request = (const void *)call->request;
    const struct kms_key *key = call->access[0].key;
    struct kms_alias alias;
    KMS_TRY(kms_alias_check_new(call, request->alias_name, key->policy, key, &alias));
    alias.key_id = key->id;
    return store(call, &alias);
}

/* The alias as it stands: it must be live by now, policy has allowed the access to its key. */
static kms_err current(struct kms_call *call, const char *name, struct kms_alias *ret_alias)
{
    if (kms_keyring_alias(call->core->keys, kms_bytes_text(name), ret_alias) && !ret_alias->deleted &&
        kms_id_equal(&ret_alias->key_id, &call->access[0].key->id))
        return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(CONFLICT), "%s was moved or deleted meanwhile", name);
}

kms_err kms_update_alias_gather(struct kms_call *call)
{
    const Kms__V1__UpdateAliasRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_alias_name_check(kms_bytes_text(request->alias_name), &call->why));
    KMS_TRY(kms_access_named(call, KMS_ACT_UPDATE_ALIAS, request->alias_name, &access));
    return kms_access_named(call, KMS_ACT_UPDATE_ALIAS, request->target_key_id, &access);
}

kms_err kms_update_alias_act(struct kms_call *call)
{
    const Kms__V1__UpdateAliasRequest *request = (const void *)call->request;
    const struct kms_key *from = call->access[0].key, *to = call->access[1].key;
    struct kms_alias alias;
    KMS_TRY(current(call, request->alias_name, &alias));
    if (!kms_id_equal(&from->id, &to->id))
        KMS_TRY(check_move(call, from, to->policy, to, request->alias_name));
    alias.key_id = to->id;
    return store(call, &alias);
}

kms_err kms_delete_alias_gather(struct kms_call *call)
{
    const Kms__V1__DeleteAliasRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_alias_name_check(kms_bytes_text(request->alias_name), &call->why));
    return kms_access_named(call, KMS_ACT_DELETE_ALIAS, request->alias_name, &access);
}

kms_err kms_delete_alias_act(struct kms_call *call)
{
    const Kms__V1__DeleteAliasRequest *request = (const void *)call->request;
    struct kms_alias alias;
    KMS_TRY(current(call, request->alias_name, &alias));
    alias.deleted = true; /* the tombstone remembers the key */
    return store(call, &alias);
}
