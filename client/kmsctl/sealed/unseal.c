/* Opens SealedSecrets: session keys by the service, values here. */
#include "client/kmsctl/sealed/unseal.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/sealed/manifest.h"
#include "client/kmsctl/sealed/scope.h"
#include "client/kmsctl/sealed/value.h"

struct unsealing {
    struct ctl_sealing_keys *keys;
    const char *namespace, *name;
    char label[CTL_LABEL_BYTES];
};

static bool at_member(const struct unsealing *u, const char *member)
{
    return ctl_fail_at(u->keys->ctl, "%s/%s, %s: ", u->namespace != NULL ? u->namespace : "", u->name,
                       member);
}

static bool invalid(const struct unsealing *u, kms_err err, const char *what)
{
    struct kms_why why;
    kms_why_set(&why, "%s", what);
    return ctl_fail(u->keys->ctl, err, &why);
}

static bool open_sealed(const struct unsealing *u, const struct ctl_sealed *sealed, json_t **ret_text)
{
    CTL_OWN_DATA plaintext = {0};
    struct kms_decrypt_result *session;
    if (!ctl_sealing_keys_open(u->keys, sealed->session, u->label, &session)) return false;
    const struct kms_bytes key = {kms_plaintext_data(session->plaintext),
                                  kms_plaintext_len(session->plaintext)};
    kms_err err = ctl_sealed_open(sealed, key, &plaintext);
    kms_decrypt_result_free(session);
    if (kms_is(err, KMS_E_INVALID_CIPHERTEXT)) return invalid(u, err, "its contents were changed");
    if (kms_failed(err)) return ctl_fail(u->keys->ctl, err, NULL);
    *ret_text = ctl_json_base64(plaintext.bytes.ptr, plaintext.bytes.len);
    return *ret_text != NULL || ctl_fail(u->keys->ctl, KMS_FAIL(NO_MEMORY), NULL);
}

/* Bytes of a text in base64; the caller frees them. NULL: none. */
static uint8_t *bytes_of(const json_t *value, size_t *ret_len)
{
    const char *text = json_string_value(value);
    const size_t len = json_string_length(value);
    uint8_t *data = text != NULL ? malloc(len + 1) : NULL;
    if (data != NULL && (len == 0 || kms_unbase64(kms_bytes_of(text, len), data, ret_len))) return data;
    free(data);
    return NULL;
}

static bool open_member(const struct unsealing *u, const json_t *value, json_t **ret_text)
{
    struct kms_why why = {{0}};
    struct ctl_sealed sealed;
    size_t len = 0;
    uint8_t *data = bytes_of(value, &len);
    if (data == NULL) return invalid(u, KMS_FAIL(INVALID_CIPHERTEXT), "it is no base64");
    kms_err err = ctl_sealed_split(kms_bytes_of(data, len), &sealed, &why);
    bool ok = kms_failed(err) ? ctl_fail(u->keys->ctl, err, &why) : open_sealed(u, &sealed, ret_text);
    free(data);
    return ok;
}

static bool open_all(const struct unsealing *u, const json_t *spec, json_t *data)
{
    const char *member;
    json_t *value, *text = NULL;
    const json_t *sealed = json_object_get(spec, "encryptedData");
    if (json_object_get(spec, "data") != NULL)
        return invalid(u, KMS_FAIL(UNSUPPORTED), "spec.data is the form of old releases: seal it again");
    if (json_object_size(sealed) == 0)
        return invalid(u, KMS_FAIL(INVALID_ARGUMENT), "there is nothing in spec.encryptedData");
    json_object_foreach((json_t *)(uintptr_t)sealed, member, value)
    {
        if (!open_member(u, value, &text)) return at_member(u, member);
        json_object_set_new(data, member, text);
    }
    return true;
}

/* Values that stand in the template itself. The controller executes those with {{ as programs. */
static bool copy_literals(const struct unsealing *u, const json_t *spec_template, json_t *data)
{
    const char *member;
    json_t *value;
    json_object_foreach(json_object_get(spec_template, "data"), member, value)
    {
        const char *text = json_string_value(value);
        if (text == NULL || strstr(text, "{{") != NULL) {
            invalid(u, KMS_FAIL(UNSUPPORTED), "templates with {{ are for the controller: not executed here");
            return at_member(u, member);
        }
        json_object_set_new(data, member, ctl_json_base64(text, json_string_length(value)));
    }
    return true;
}

static json_t *compose(const struct unsealing *u, const json_t *spec_template, json_t *data)
{
    static const char *const told[] = {"type", "immutable"};
    json_t *metadata = json_deep_copy(json_object_get(spec_template, "metadata"));
    if (!json_is_object(metadata)) {
        json_decref(metadata);
        metadata = json_object();
    }
    json_object_del(metadata, "creationTimestamp"); /* kubeseal writes null */
    json_object_set_new(metadata, "name", json_string(u->name));
    if (u->namespace != NULL) json_object_set_new(metadata, "namespace", json_string(u->namespace));
    json_t *secret = json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", "v1", "kind", "Secret", "metadata",
                               metadata, "data", data);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        json_t *value = json_object_get(spec_template, told[i]);
        if (value != NULL && !json_is_null(value)) json_object_set(secret, told[i], value);
    }
    return secret;
}

static bool is_sealed(const json_t *document)
{
    static const char group[] = "bitnami.com/";
    const char *kind = ctl_manifest_text(document, "kind"),
               *version = ctl_manifest_text(document, "apiVersion");
    return kind != NULL && strcmp(kind, "SealedSecret") == 0 && version != NULL &&
           strncmp(version, group, sizeof group - 1) == 0;
}

static bool begin(struct unsealing *u, const json_t *sealed, const char *namespace)
{
    struct kms_why why = {{0}};
    if (!is_sealed(sealed))
        return invalid(u, KMS_FAIL(INVALID_ARGUMENT), "not a SealedSecret of bitnami.com");
    enum ctl_scope scope = ctl_scope_of(json_object_get(sealed, "metadata"));
    u->name = ctl_manifest_text(sealed, "metadata.name");
    u->namespace = ctl_manifest_text(sealed, "metadata.namespace");
    if (u->namespace == NULL) u->namespace = namespace;
    if (u->namespace == NULL && scope != CTL_SCOPE_CLUSTER) u->namespace = "default";
    if (u->name == NULL)
        return invalid(u, KMS_FAIL(INVALID_ARGUMENT), "the SealedSecret has no metadata.name");
    kms_err err = ctl_scope_label(scope, u->namespace, u->name, u->label, &why);
    return kms_failed(err) ? ctl_fail(u->keys->ctl, err, &why) : true;
}

bool ctl_unseal_secret(struct ctl_sealing_keys *keys, const json_t *sealed, const char *namespace,
                       json_t **ret_secret)
{
    struct unsealing u = {.keys = keys};
    if (!begin(&u, sealed, namespace)) return false;
    const json_t *spec = json_object_get(sealed, "spec"), *spec_template = json_object_get(spec, "template");
    json_t *data = json_object();
    if (!open_all(&u, spec, data) || !copy_literals(&u, spec_template, data)) {
        json_decref(data);
        return false;
    }
    *ret_secret = compose(&u, spec_template, data);
    return *ret_secret != NULL || ctl_fail(keys->ctl, KMS_FAIL(NO_MEMORY), NULL);
}
