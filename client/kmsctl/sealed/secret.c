/* Seals Secrets: each value by itself; what else the Secret says becomes the template. */
#include "client/kmsctl/sealed/secret.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/text.h"
#include "client/kmsctl/sealed/manifest.h"
#include "client/kmsctl/sealed/scope.h"
#include "client/kmsctl/sealed/value.h"

kms_err ctl_data_read(const json_t *value, struct ctl_data *ret_data)
{
    const char *text = json_string_value(value);
    const size_t len = json_string_length(value);
    if (text == NULL && !json_is_null(value)) return KMS_FAIL(INVALID_ARGUMENT);
    KMS_TRY(ctl_data_new(2 * len + 1, ret_data));
    char *folded = ret_data->memory;
    size_t kept = 0, data_len = 0;
    for (size_t i = 0; i < len; i++)
        if (text[i] != '\n' && text[i] != '\r') folded[kept++] = text[i];
    uint8_t *data = (uint8_t *)folded + len;
    bool ok = kept == 0 || kms_unbase64(kms_bytes_of(folded, kept), data, &data_len);
    ret_data->bytes = kms_bytes_of(data, data_len);
    if (ok) return KMS_OK;
    ctl_data_free(ret_data);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err wrong(struct kms_why *why, const char *what)
{
    kms_why_set(why, "%s", what);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* What only the cluster knows of an object that was read from it, and copies of the values (kubectl
 * apply). */
static void forget_cluster(json_t *metadata)
{
    static const char *const fields[] = {"selfLink",
                                         "uid",
                                         "resourceVersion",
                                         "generation",
                                         "creationTimestamp",
                                         "deletionTimestamp",
                                         "deletionGracePeriodSeconds",
                                         "ownerReferences",
                                         "managedFields"};
    static const char *const copies[] = {"kubectl.kubernetes.io/last-applied-configuration",
                                         "kubecfg.ksonnet.io/last-applied-configuration"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) json_object_del(metadata, fields[i]);
    json_t *annotations = json_object_get(metadata, "annotations");
    for (size_t i = 0; i < sizeof copies / sizeof copies[0]; i++) json_object_del(annotations, copies[i]);
}

static kms_err put_name(json_t *metadata, const char *member, const char *given, const char *otherwise,
                        struct kms_why *why)
{
    const char *has = json_string_value(json_object_get(metadata, member));
    if (has != NULL && has[0] == '\0') has = NULL;
    if (given != NULL && has != NULL && strcmp(given, has) != 0) {
        kms_why_set(why, "the manifest says %s %s, the command line %s", member, has, given);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    const char *wanted = given != NULL ? given : has != NULL ? has : otherwise;
    if (wanted == NULL) return KMS_OK;
    return json_object_set_new(metadata, member, json_string(wanted)) == 0 ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

/* The metadata of the Secret that is to come out again. */
static kms_err prepare(const struct ctl_sealing *sealing, json_t *metadata, char label[CTL_LABEL_BYTES],
                       struct kms_why *why)
{
    enum ctl_scope scope = sealing->scope != NULL ? ctl_scope_named(sealing->scope) : ctl_scope_of(metadata);
    forget_cluster(metadata);
    KMS_TRY(put_name(metadata, "name", sealing->name, NULL, why));
    if (json_object_get(metadata, "name") == NULL) return wrong(why, "the Secret has no metadata.name");
    KMS_TRY(put_name(metadata, "namespace", sealing->namespace, scope == CTL_SCOPE_CLUSTER ? NULL : "default",
                     why));
    KMS_TRY(ctl_scope_note(metadata, scope));
    return ctl_scope_label(scope, ctl_manifest_text(metadata, "namespace"),
                           ctl_manifest_text(metadata, "name"), label, why);
}

static kms_err seal_base64(EVP_PKEY *to, const char *label, struct kms_bytes plaintext, kms_buf *out)
{
    KMS_OWN_BUF sealed = {0};
    KMS_TRY(ctl_sealed_make(to, kms_bytes_text(label), plaintext, &sealed));
    char *text = malloc(kms_base64_len(sealed.len) + 1);
    if (text == NULL) return KMS_FAIL(NO_MEMORY);
    kms_base64(kms_buf_view(&sealed), text);
    kms_err err = kms_buf_append(out, text, strlen(text));
    free(text);
    return err;
}

static kms_err seal_member(const struct ctl_sealing *sealing, const char *label, struct kms_bytes plaintext,
                           const char *name, json_t *encrypted)
{
    KMS_OWN_BUF text = {0};
    KMS_TRY(seal_base64(sealing->to, label, plaintext, &text));
    json_t *value = json_stringn((const char *)text.data, text.len);
    return json_object_set_new(encrypted, name, value) == 0 ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err seal_data(const struct ctl_sealing *sealing, const char *label, const json_t *secret,
                         json_t *encrypted, struct kms_why *why)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(secret, "data"), name, value)
    {
        CTL_OWN_DATA data = {0};
        kms_err err = ctl_data_read(value, &data);
        if (kms_is(err, KMS_E_INVALID_ARGUMENT)) kms_why_set(why, "data.%s is not base64", name);
        KMS_TRY(err);
        KMS_TRY(seal_member(sealing, label, data.bytes, name, encrypted));
    }
    json_object_foreach(json_object_get(secret, "stringData"), name, value)
    {
        if (!json_is_string(value)) {
            kms_why_set(why, "stringData.%s is not text: write it in quotes", name);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        KMS_TRY(seal_member(sealing, label, kms_bytes_of(json_string_value(value), json_string_length(value)),
                            name, encrypted));
    }
    if (json_object_size(encrypted) == 0) return wrong(why, "the Secret has no data to seal");
    return KMS_OK;
}

static bool is_secret(const json_t *secret)
{
    const char *kind = ctl_manifest_text(secret, "kind"), *version = ctl_manifest_text(secret, "apiVersion");
    return kind != NULL && strcmp(kind, "Secret") == 0 && version != NULL && strcmp(version, "v1") == 0;
}

/* The outer metadata has name, namespace and scope; the template all. Takes metadata and encrypted. */
static json_t *compose(const json_t *secret, json_t *metadata, json_t *encrypted)
{
    json_t *outer = json_object(), *spec_template = json_object();
    static const char *const kept[] = {"name", "namespace"}, *const told[] = {"type", "immutable"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (json_object_get(metadata, kept[i]) != NULL)
            json_object_set(outer, kept[i], json_object_get(metadata, kept[i]));
    if (kms_failed(ctl_scope_note(outer, ctl_scope_of(metadata)))) json_object_clear(outer);
    json_object_set_new(spec_template, "metadata", metadata);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        if (json_object_get(secret, told[i]) != NULL)
            json_object_set(spec_template, told[i], json_object_get(secret, told[i]));
    return json_pack("{s:s, s:s, s:o, s:{s:o, s:o}}", "apiVersion", "bitnami.com/v1alpha1", "kind",
                     "SealedSecret", "metadata", outer, "spec", "encryptedData", encrypted, "template",
                     spec_template);
}

kms_err ctl_seal_secret(const struct ctl_sealing *sealing, const json_t *secret, json_t **ret_sealed,
                        struct kms_why *why)
{
    char label[CTL_LABEL_BYTES];
    if (!is_secret(secret)) return wrong(why, "not a Secret of apiVersion v1");
    json_t *metadata = json_deep_copy(json_object_get(secret, "metadata")), *encrypted = json_object();
    if (metadata == NULL) metadata = json_object();
    kms_err err = json_is_object(metadata) ? prepare(sealing, metadata, label, why)
                                           : wrong(why, "metadata is no mapping");
    if (!kms_failed(err)) err = seal_data(sealing, label, secret, encrypted, why);
    if (kms_failed(err)) {
        json_decref(metadata);
        json_decref(encrypted);
        return err;
    }
    *ret_sealed = compose(secret, metadata, encrypted);
    return *ret_sealed != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err ctl_seal_value(const struct ctl_sealing *sealing, struct kms_bytes plaintext, kms_buf *out,
                       struct kms_why *why)
{
    char label[CTL_LABEL_BYTES];
    KMS_TRY(ctl_scope_label(ctl_scope_named(sealing->scope), sealing->namespace, sealing->name, label, why));
    return seal_base64(sealing->to, label, plaintext, out);
}
