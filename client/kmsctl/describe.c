/* Results of libkms as JSON values. */
#include "client/kmsctl/describe.h"

#include <string.h>

#include "client/kmsctl/output.h"

static const char *state_name(enum kms_key_state state)
{
    static const char *const names[] = {[KMS_KEY_ENABLED] = "ENABLED",
                                        [KMS_KEY_DISABLED] = "DISABLED",
                                        [KMS_KEY_PENDING_DELETION] = "PENDING_DELETION",
                                        [KMS_KEY_PENDING_IMPORT] = "PENDING_IMPORT",
                                        [KMS_KEY_UNAVAILABLE] = "UNAVAILABLE"};
    bool known = state >= KMS_KEY_ENABLED && (size_t)state < sizeof names / sizeof names[0];
    return known ? names[state] : "UNKNOWN";
}

static const char *level_name(enum kms_protection_level level)
{
    return level == KMS_PROTECTION_HSM ? "HSM" : level == KMS_PROTECTION_SOFTWARE ? "SOFTWARE" : "UNKNOWN";
}

static json_t *texts(const char *const *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, ctl_json_text(items[i]));
    return list;
}

json_t *ctl_describe_key(const struct kms_key_metadata *key)
{
    json_t *versions = json_array();
    for (size_t i = 0; i < key->version_count; i++)
        json_array_append_new(versions,
                              json_pack("{s:I, s:o, s:I}", "version", (json_int_t)key->versions[i].version,
                                        "creation_time", ctl_json_time(key->versions[i].creation_time_us),
                                        "root_id", (json_int_t)key->versions[i].root_id));
    return json_pack("{s:o, s:o, s:s, s:o, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "key_id",
                     ctl_json_text(key->key_id), "arn", ctl_json_text(key->arn), "state",
                     state_name(key->state), "description", ctl_json_text(key->description), "key_spec",
                     key->key_spec, "key_usage", key->key_usage, "protection_level",
                     level_name(key->protection_level), "current_version", (json_int_t)key->current_version,
                     "creation_time", ctl_json_time(key->creation_time_us), "material_exposure",
                     ctl_json_text(key->material_exposure), "aliases", texts(key->aliases, key->alias_count),
                     "versions", versions);
}

json_t *ctl_describe_alias(const struct kms_alias_entry *alias)
{
    return json_pack("{s:o, s:o, s:o}", "alias", ctl_json_text(alias->alias), "target_key_id",
                     ctl_json_text(alias->target_key_id), "arn", ctl_json_text(alias->arn));
}

json_t *ctl_describe_data_key(const struct kms_data_key_result *key)
{
    json_t *value =
        json_pack("{s:o, s:I, s:o}", "key_arn", ctl_json_text(key->key_arn), "key_version",
                  (json_int_t)key->key_version, "ciphertext_blob", ctl_json_ciphertext(&key->ciphertext));
    if (value == NULL || key->plaintext == NULL) return value;
    json_t *plaintext =
        ctl_json_base64(kms_plaintext_data(key->plaintext), kms_plaintext_len(key->plaintext));
    if (json_object_set_new(value, "plaintext", plaintext) == 0) return value;
    json_decref(value);
    return NULL;
}

json_t *ctl_describe_context(const struct kmsctl_context *context)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", ctl_json_text(context->name), "endpoint",
                     ctl_json_text(context->endpoint), "ca", ctl_json_text(context->ca), "cert",
                     ctl_json_text(context->cert), "key", ctl_json_text(context->key), "server_name",
                     ctl_json_text(context->server_name), "audit_dir", ctl_json_text(context->audit_dir));
}

static json_t *capabilities(const struct kms_status *status)
{
    json_t *list = json_array();
    for (size_t i = 0; i < status->hsm_capability_count; i++) {
        const struct kms_capability *c = &status->hsm_capabilities[i];
        json_array_append_new(list, json_pack("{s:o, s:b, s:o}", "name", ctl_json_text(c->name), "available",
                                              (int)c->available, "reason", ctl_json_text(c->reason)));
    }
    return list;
}

static json_t *listeners(const struct kms_status *status)
{
    json_t *list = json_array();
    for (size_t i = 0; i < status->listener_count; i++) {
        const struct kms_status_listener *l = &status->listeners[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "address", ctl_json_text(l->address),
                                              "transport", ctl_json_text(l->transport), "protocol",
                                              ctl_json_text(l->protocol), "default_principal",
                                              ctl_json_text(l->default_principal)));
    }
    return list;
}

json_t *ctl_describe_status(const struct kms_status *status)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:o, s:b, s:o, s:o, s:o, "
        "s:o}",
        "version", ctl_json_text(status->version), "start_time", ctl_json_time(status->start_time_us),
        "instance_id", ctl_json_text(status->instance_id), "policy_separation",
        ctl_json_text(status->policy_separation), "service_policy_sha256",
        ctl_json_text(status->service_policy_sha256), "hsm_workers_healthy",
        (json_int_t)status->hsm_workers_healthy, "hsm_workers_configured",
        (json_int_t)status->hsm_workers_configured, "hsm_token", ctl_json_text(status->hsm_token), "root_id",
        (json_int_t)status->root_id, "keystore_revision", (json_int_t)status->keystore_revision,
        "keystore_digest", ctl_json_text(status->keystore_digest), "keys", (json_int_t)status->keys,
        "aliases", (json_int_t)status->aliases, "audit_sequence", (json_int_t)status->audit_sequence,
        "audit_head", ctl_json_text(status->audit_head), "audit_writable", (int)status->audit_writable,
        "audit_troubles", texts(status->audit_troubles, status->audit_trouble_count), "warnings",
        texts(status->warnings, status->warning_count), "hsm_capabilities", capabilities(status), "listeners",
        listeners(status));
}
