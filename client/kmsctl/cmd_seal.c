/* kmsctl seal, unseal: SealedSecrets of bitnami-labs, without a cluster. */
#include <string.h>

#include "base/clock.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/sealed/certificate.h"
#include "client/kmsctl/sealed/manifest.h"
#include "client/kmsctl/sealed/secret.h"
#include "client/kmsctl/sealed/unseal.h"
#include "client/kmsctl/sealed/value.h"

static bool read_certificate(struct ctl *ctl, EVP_PKEY **ret_key)
{
    KMS_OWN_BUF pem = {0};
    struct kms_why why = {{0}}, place = {{0}};
    if (ctl->sealing_cert == NULL) return ctl_fail_usage(ctl, "seal with which certificate? --cert FILE");
    kms_err err = kms_read_file(ctl->sealing_cert, CTL_CERTIFICATE_BYTES, &pem, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    err = ctl_certificate_key(kms_buf_view(&pem), kms_now_us() / 1000000, ret_key, &why);
    if (!kms_failed(err)) return true;
    kms_why_set(&place, "%.200s: %s", ctl->sealing_cert, why.text);
    return ctl_fail(ctl, err, &place);
}

/* -f or standard input. */
static kms_err read_input(const struct ctl *ctl, struct ctl_data *ret_data, struct kms_why *why)
{
    size_t len;
    KMS_TRY(ctl_read_locked(ctl->in, CTL_MANIFEST_BYTES, &ret_data->memory, &len, why));
    ret_data->size = CTL_MANIFEST_BYTES + 1;
    ret_data->bytes = kms_bytes_of(ret_data->memory, len);
    return KMS_OK;
}

static bool read_manifest(struct ctl *ctl, json_t **ret_documents)
{
    CTL_OWN_DATA text = {0};
    struct kms_why why = {{0}};
    kms_err err = read_input(ctl, &text, &why);
    if (!kms_failed(err)) err = ctl_manifest_read(text.bytes, ret_documents, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    if (json_array_size(*ret_documents) > 0) return true;
    json_decref(*ret_documents);
    kms_why_set(&why, "there is no manifest in the input");
    return ctl_fail(ctl, KMS_FAIL(INVALID_ARGUMENT), &why);
}

/* Which of several documents an error is about. */
static bool at_document(struct ctl *ctl, const json_t *documents, size_t index)
{
    return json_array_size(documents) > 1 && ctl_fail_at(ctl, "document %zu: ", index + 1);
}

static bool seal_documents(struct ctl *ctl, const struct ctl_sealing *sealing)
{
    json_t *documents, *sealed, *all;
    if (!read_manifest(ctl, &documents)) return false;
    all = json_array();
    bool ok = true;
    for (size_t i = 0; ok && i < json_array_size(documents); i++) {
        struct kms_why why = {{0}};
        kms_err err = ctl_seal_secret(sealing, json_array_get(documents, i), &sealed, &why);
        ok = !kms_failed(err) || (ctl_fail(ctl, err, &why), at_document(ctl, documents, i));
        if (ok) json_array_append_new(all, sealed);
    }
    json_decref(documents);
    if (ok) return ctl_manifest_write(ctl, all);
    json_decref(all);
    return false;
}

/* kubeseal --raw: one value, nothing around it. */
static bool seal_raw(struct ctl *ctl, const struct ctl_sealing *sealing)
{
    CTL_OWN_DATA plaintext = {0};
    KMS_OWN_BUF text = {0};
    struct kms_why why = {{0}};
    kms_err err = read_input(ctl, &plaintext, &why);
    if (!kms_failed(err)) err = ctl_seal_value(sealing, plaintext.bytes, &text, &why);
    if (!kms_failed(err)) err = kms_buf_append(&text, "\n", 1);
    return kms_failed(err) ? ctl_fail(ctl, err, &why) : ctl_write(ctl, kms_buf_view(&text));
}

bool ctl_seal(struct ctl *ctl)
{
    EVP_PKEY *key = NULL;
    if (!ctl_manifest_guard(ctl) || !read_certificate(ctl, &key)) return false;
    const struct ctl_sealing sealing = {
        .to = key, .scope = ctl->scope, .namespace = ctl->namespace, .name = ctl->name};
    bool ok = ctl->raw ? seal_raw(ctl, &sealing) : seal_documents(ctl, &sealing);
    EVP_PKEY_free(key);
    return ok;
}

static bool unseal_documents(struct ctl *ctl, struct ctl_sealing_keys *keys, json_t *documents)
{
    json_t *secret, *all = json_array();
    bool ok = true;
    for (size_t i = 0; ok && i < json_array_size(documents); i++) {
        ok = ctl_unseal_secret(keys, json_array_get(documents, i), ctl->namespace, &secret) ||
             at_document(ctl, documents, i);
        if (ok) json_array_append_new(all, secret);
    }
    if (ok && ctl->output != NULL && strcmp(ctl->output, "env") == 0) return ctl_write_env(ctl, all);
    if (ok) return ctl_manifest_write(ctl, all);
    json_decref(all);
    return false;
}

bool ctl_unseal(struct ctl *ctl)
{
    json_t *documents;
    struct ctl_sealing_keys keys;
    if (!ctl_may_show(ctl) || !ctl_manifest_guard(ctl) || !read_manifest(ctl, &documents)) return false;
    ctl_sealing_keys_begin(ctl, &keys);
    bool ok = unseal_documents(ctl, &keys, documents);
    json_decref(documents);
    return ok;
}
