/* kmsctl sealing-key: RSA keys for SealedSecrets and their certificates. A key has one version, so a new
 * one is another key: the alias moves to it, and a tag keeps the old ones together. */
#include <stdio.h>
#include <string.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/policy_document.h"
#include "client/kmsctl/sealed/keys.h"

/* With "alias/", and without. */
struct alias {
    char memory[CTL_ALIAS_BYTES];
    const char *name, *tag;
};

static void read_alias(struct ctl *ctl, struct alias *ret_alias)
{
    static const char prefix[] = "alias/";
    const char *given = ctl->arguments[0] != NULL ? ctl->arguments[0] : CTL_SEALING_ALIAS;
    ret_alias->name = ctl_alias_name(given, ret_alias->memory);
    ret_alias->tag = ret_alias->name + sizeof prefix - 1;
    if (ctl->timeout == NULL) ctl->timeout = "1m"; /* making an RSA key takes seconds */
}

static json_t *text_or_none(const char *text)
{
    return json_string(text != NULL ? text : "");
}

static const char *protection_of(const struct ctl *ctl)
{
    return ctl->protection != NULL && strcmp(ctl->protection, "software") == 0 ? "SOFTWARE" : "HSM";
}

/* named: it gets the alias at once. */
static bool create(struct ctl *ctl, const struct alias *alias, bool named, const char *policy,
                   json_t **ret_key)
{
    char token[KMS_ID_TEXT];
    json_t *reply;
    if (!ctl_new_token(ctl, token)) return false;
    json_t *request = json_pack(
        "{s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:b, s:[{s:s, s:s}]}", "policy", policy, "description",
        text_or_none(ctl->description != NULL ? ctl->description : "SealedSecrets"), "key_spec", "RSA_4096",
        "key_usage", "ENCRYPT_DECRYPT", "protection_level", protection_of(ctl), "alias_name",
        named ? alias->name : "", "client_request_token", token, "bypass_policy_lockout_safety_check",
        (int)ctl->bypass, "tags", "tag_key", CTL_SEALING_TAG, "tag_value", alias->tag);
    if (!ctl_call(ctl, "KeyService/CreateKey", request, &reply)) return false;
    *ret_key = json_incref(json_object_get(reply, "key_metadata"));
    json_decref(reply);
    return true;
}

/* PEM, so that it can be a file at once; with -o json all about it. */
static bool print_certificate(struct ctl *ctl, const char *key, const struct alias *alias)
{
    json_t *reply,
        *request = json_pack("{s:s, s:I, s:s}", "key_id", key, "validity_days", (json_int_t)ctl->days,
                             "common_name", strlen(alias->tag) <= 64 ? alias->tag : "");
    if (!ctl_call(ctl, "CryptoService/GetKeyCertificate", request, &reply)) return false;
    json_object_del(reply, "certificate");
    json_object_set_new(reply, "alias", json_string(alias->name));
    if (ctl_wants_json(ctl)) return ctl_print(ctl, reply);
    const char *pem = json_string_value(json_object_get(reply, "certificate_pem"));
    bool ok = pem != NULL ? ctl_write(ctl, kms_bytes_text(pem)) : ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    json_decref(reply);
    return ok;
}

/* The key stays when its certificate cannot be had: then this says how to get it. */
static bool certify(struct ctl *ctl, json_t *key, const struct alias *alias)
{
    const char *id = json_string_value(json_object_get(key, "key_id"));
    fprintf(stderr, "kmsctl: %s is key %s\n", alias->name, id);
    bool ok = print_certificate(ctl, id, alias);
    if (!ok) fprintf(stderr, "kmsctl: the key is there: kmsctl sealing-key certificate %s\n", alias->tag);
    json_decref(key);
    return ok;
}

bool ctl_sealing_key_create(struct ctl *ctl)
{
    struct alias alias;
    json_t *key;
    KMS_OWN_BUF policy = {0};
    read_alias(ctl, &alias);
    if (!ctl_policy_given(ctl, &policy)) return false;
    return create(ctl, &alias, true, policy.len > 0 ? (const char *)policy.data : "", &key) &&
           certify(ctl, key, &alias);
}

/* The policy of the key that is renewed, when the command line has none. */
static bool same_policy(struct ctl *ctl, const struct alias *alias, kms_buf *policy)
{
    json_t *reply;
    if (!ctl_policy_given(ctl, policy)) return false;
    if (policy->len > 0) return true;
    if (!ctl_call(ctl, "KeyService/GetKeyPolicy", json_pack("{s:s}", "key_id", alias->name), &reply))
        return false;
    const char *text = json_string_value(json_object_get(reply, "policy"));
    kms_err err = text != NULL ? kms_buf_append(policy, text, strlen(text)) : KMS_FAIL(INTERNAL);
    json_decref(reply);
    return kms_failed(err) ? ctl_fail(ctl, err, NULL) : true;
}

/* By its tag the old key is found when the alias has moved. */
static bool tag_old(struct ctl *ctl, const struct alias *alias)
{
    json_t *reply, *request = json_pack("{s:s, s:[{s:s, s:s}]}", "key_id", alias->name, "tags", "tag_key",
                                        CTL_SEALING_TAG, "tag_value", alias->tag);
    if (!ctl_call(ctl, "KeyService/TagResource", request, &reply)) return false;
    json_decref(reply);
    return true;
}

static bool move_alias(struct ctl *ctl, const struct alias *alias, const json_t *key)
{
    const char *id = json_string_value(json_object_get(key, "key_id"));
    kms_client *client = ctl_client(ctl);
    if (client != NULL && kms_client_update_alias(client, alias->name, id, NULL, &ctl->error)) return true;
    fprintf(stderr, "kmsctl: the new key is %s, the alias is not its own yet: kmsctl alias update %s %s\n",
            id, alias->tag, id);
    return false;
}

bool ctl_sealing_key_renew(struct ctl *ctl)
{
    struct alias alias;
    json_t *key;
    KMS_OWN_BUF policy = {0};
    read_alias(ctl, &alias);
    if (!same_policy(ctl, &alias, &policy) || !tag_old(ctl, &alias) ||
        !create(ctl, &alias, false, (const char *)policy.data, &key))
        return false;
    if (move_alias(ctl, &alias, key)) return certify(ctl, key, &alias);
    json_decref(key);
    return false;
}

bool ctl_sealing_key_list(struct ctl *ctl)
{
    struct alias alias;
    json_t *rows;
    read_alias(ctl, &alias);
    return ctl_sealing_keys_list(ctl, alias.tag, &rows) && ctl_print(ctl, rows);
}

bool ctl_sealing_key_certificate(struct ctl *ctl)
{
    struct alias alias;
    read_alias(ctl, &alias);
    return print_certificate(ctl, alias.name, &alias);
}
