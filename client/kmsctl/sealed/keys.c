/* Finds the key that opens a sealed value. */
#include "client/kmsctl/sealed/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/call.h"

void ctl_sealing_keys_begin(struct ctl *ctl, struct ctl_sealing_keys *ret_keys)
{
    *ret_keys = (struct ctl_sealing_keys){.ctl = ctl};
    for (size_t i = 0; i < ctl->sealing_keys.count && i < CTL_SEALING_KEYS; i++)
        ret_keys->names[ret_keys->count++] = ctl->sealing_keys.items[i];
    if (ret_keys->count == 0) ret_keys->names[ret_keys->count++] = "alias/" CTL_SEALING_ALIAS;
}

/* Who may not describe a key may be let use it: then it stands behind the others, by the name that was
 * given. */
static json_t *described(struct ctl *ctl, const char *key_id)
{
    json_t *reply, *row = json_pack("{s:s}", "key_id", key_id);
    if (ctl_call(ctl, "KeyService/DescribeKey", json_pack("{s:s}", "key_id", key_id), &reply)) {
        const json_t *key = json_object_get(reply, "key_metadata");
        json_object_set(row, "key_id", json_object_get(key, "key_id"));
        json_object_set(row, "creation_time", json_object_get(key, "creation_time"));
        json_object_set(row, "state", json_object_get(key, "key_state"));
        json_decref(reply);
    }
    return row;
}

static const char *time_of(const json_t *row)
{
    const char *time = json_string_value(json_object_get(row, "creation_time"));
    return time != NULL ? time : "";
}

static void insert(json_t *rows, json_t *row)
{
    size_t at = 0;
    while (at < json_array_size(rows) && strcmp(time_of(json_array_get(rows, at)), time_of(row)) >= 0) at++;
    json_array_insert_new(rows, at, row);
}

bool ctl_sealing_keys_list(struct ctl *ctl, const char *alias, json_t **ret_keys)
{
    json_t *reply, *request = json_pack("{s:s, s:s, s:i}", "tag_key", CTL_SEALING_TAG, "tag_value", alias,
                                        "limit", CTL_SEALING_KEYS);
    if (!ctl_call(ctl, "KeyService/ListKeys", request, &reply)) return false;
    const json_t *keys = json_object_get(reply, "keys");
    *ret_keys = json_array();
    for (size_t i = 0; i < json_array_size(keys); i++)
        insert(*ret_keys,
               described(ctl, json_string_value(json_object_get(json_array_get(keys, i), "key_id"))));
    json_decref(reply);
    return true;
}

static void hold(struct ctl_sealing_keys *keys)
{
    if (keys->held.code == 0) keys->held = keys->ctl->error;
}

/* But for the one that the alias stands for now. */
static void add_found(struct ctl_sealing_keys *keys, const char *alias, const json_t *rows)
{
    json_t *named = described(keys->ctl, alias);
    for (size_t i = 0; i < json_array_size(rows) && keys->count < CTL_SEALING_KEYS; i++) {
        json_t *id = json_object_get(json_array_get(rows, i), "key_id");
        if (json_equal(id, json_object_get(named, "key_id"))) continue;
        char *own = keys->found[keys->count];
        snprintf(own, KMS_ID_TEXT, "%s", json_string_value(id));
        keys->names[keys->count++] = own;
    }
    json_decref(named);
}

static void look_for(struct ctl_sealing_keys *keys, const char *name)
{
    static const char alias[] = "alias/";
    json_t *rows;
    if (strncmp(name, alias, sizeof alias - 1) != 0) return;
    keys->blind |= !ctl_sealing_keys_list(keys->ctl, name + sizeof alias - 1, &rows);
    if (keys->blind) return;
    add_found(keys, name, rows);
    json_decref(rows);
}

/* Calls of administration free what jansson gave with free(3), so locked memory is not its own meanwhile. */
static void look(struct ctl_sealing_keys *keys)
{
    const size_t named = keys->count;
    json_malloc_t locked;
    json_free_t locked_free;
    json_get_alloc_funcs(&locked, &locked_free);
    json_set_alloc_funcs(malloc, free);
    keys->looked = true;
    for (size_t i = 0; i < named; i++) look_for(keys, keys->names[i]);
    json_set_alloc_funcs(locked, locked_free);
}

enum answer { OPENED, NOT_FOR_IT, BROKEN };

/* What another key may do better; all else ends the search. */
static bool of_this_key(const struct kms_error *error)
{
    static const char *const reasons[] = {"INVALID_CIPHERTEXT", "ACCESS_DENIED",     "NOT_FOUND",
                                          "KEY_DISABLED",       "INVALID_KEY_STATE", "INVALID_KEY_USAGE",
                                          "KEY_UNAVAILABLE",    "INVALID_ALIAS_NAME"};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strcmp(error->reason, reasons[i]) == 0) return true;
    return false;
}

static enum answer ask(struct ctl_sealing_keys *keys, size_t which, struct kms_bytes session,
                       const char *label, struct kms_decrypt_result **ret_result)
{
    struct ctl *ctl = keys->ctl;
    const struct kms_decrypt_request request = {
        .ciphertext = {.data = session.ptr, .len = session.len},
        .key_id = keys->names[which],
        .encryption_algorithm = KMS_ENCRYPTION_RSAES_OAEP_SHA_256,
        .oaep_label = {.data = (const uint8_t *)label, .len = strlen(label)}};
    struct kms_call_options options = ctl_call_options(ctl);
    kms_client *client = ctl_client(ctl);
    if (client == NULL) return BROKEN;
    if (kms_client_decrypt(client, &request, &options, ret_result, &ctl->error)) {
        keys->first = which;
        return OPENED;
    }
    if (!of_this_key(&ctl->error)) return BROKEN;
    if (strcmp(ctl->error.reason, "INVALID_CIPHERTEXT") != 0) hold(keys);
    return NOT_FOR_IT;
}

static bool none_opens(struct ctl_sealing_keys *keys)
{
    struct kms_why why;
    if (keys->held.code != 0) {
        keys->ctl->error = keys->held;
        return false;
    }
    kms_why_set(
        &why,
        "none of %zu sealing keys opens it: it was sealed for another name, namespace or scope, or with "
        "another certificate, or was changed%s",
        keys->count,
        keys->blind ? "; to look for older keys you need kms:ListKeys, or name them with --key" : "");
    return ctl_fail(keys->ctl, KMS_FAIL(INVALID_CIPHERTEXT), &why);
}

bool ctl_sealing_keys_open(struct ctl_sealing_keys *keys, struct kms_bytes session, const char *label,
                           struct kms_decrypt_result **ret_result)
{
    enum answer answer = ask(keys, keys->first, session, label, ret_result);
    const size_t asked = keys->first;
    for (size_t i = 0; answer == NOT_FOR_IT; i++) {
        if (i == keys->count && !keys->looked) look(keys);
        if (i == keys->count) return none_opens(keys);
        if (i != asked) answer = ask(keys, i, session, label, ret_result);
    }
    return answer == OPENED;
}
