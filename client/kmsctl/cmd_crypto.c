/* kmsctl encrypt, decrypt, re-encrypt. */
#include <string.h>

#include "base/ciphertext.h"
#include "base/text.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"

/* kms:v1: and base64, a newline behind it. */
enum { CIPHERTEXT_INPUT_BYTES = 7 + (KMS_CIPHERTEXT_BYTES + 2) / 3 * 4 + 2 };

/* A ciphertext, binary or in its text form. */
static kms_err read_ciphertext(const struct ctl *ctl, kms_buf *out, struct kms_why *why)
{
    KMS_OWN_BUF input = {0};
    KMS_TRY(ctl_read_text(ctl->in, CIPHERTEXT_INPUT_BYTES, &input, why));
    if (!kms_ciphertext_is_text(kms_buf_view(&input))) return kms_buf_append(out, input.data, input.len);
    while (input.len > 0 && strchr(" \t\r\n", input.data[input.len - 1]) != NULL) input.len--;
    return kms_ciphertext_from_text(kms_buf_view(&input), out, why);
}

static bool write_ciphertext(struct ctl *ctl, const struct kms_blob *blob)
{
    if (!ctl->base64) return ctl_write(ctl, kms_bytes_of(blob->data, blob->len));
    KMS_OWN_BUF text = {0};
    kms_err err = kms_ciphertext_to_text(kms_bytes_of(blob->data, blob->len), &text);
    if (!kms_failed(err)) err = kms_buf_append(&text, "\n", 1);
    return kms_failed(err) ? ctl_fail(ctl, err, NULL) : ctl_write(ctl, kms_buf_view(&text));
}

static enum kms_encryption_algorithm algorithm_of(const struct ctl *ctl)
{
    bool rsa = ctl->algorithm != NULL && strcmp(ctl->algorithm, "RSAES_OAEP_SHA_256") == 0;
    return rsa ? KMS_ENCRYPTION_RSAES_OAEP_SHA_256 : KMS_ENCRYPTION_SYMMETRIC_DEFAULT;
}

static struct kms_blob label_of(const struct ctl *ctl)
{
    if (ctl->oaep_label == NULL) return (struct kms_blob){0};
    return (struct kms_blob){(const uint8_t *)ctl->oaep_label, strlen(ctl->oaep_label)};
}

/* What an RSA key encrypted has no text form of ours. */
static bool print_rsa(struct ctl *ctl, const struct kms_encrypt_result *result)
{
    if (!ctl_wants_json(ctl) && !ctl->base64)
        return ctl_write(ctl, kms_bytes_of(result->ciphertext.data, result->ciphertext.len));
    json_t *text = ctl_json_base64(result->ciphertext.data, result->ciphertext.len);
    if (!ctl_wants_json(ctl)) return ctl_print(ctl, text);
    return ctl_print(ctl, json_pack("{s:o, s:I, s:o}", "key_arn", ctl_json_text(result->key_arn),
                                    "key_version", (json_int_t)result->key_version, "ciphertext_blob", text));
}

static bool print_encrypted(struct ctl *ctl, const struct kms_encrypt_result *result)
{
    if (algorithm_of(ctl) == KMS_ENCRYPTION_RSAES_OAEP_SHA_256) return print_rsa(ctl, result);
    if (!ctl_wants_json(ctl)) return write_ciphertext(ctl, &result->ciphertext);
    return ctl_print(ctl, json_pack("{s:o, s:I, s:o}", "key_arn", ctl_json_text(result->key_arn),
                                    "key_version", (json_int_t)result->key_version, "ciphertext_blob",
                                    ctl_json_ciphertext(&result->ciphertext)));
}

bool ctl_encrypt(struct ctl *ctl)
{
    if (ctl->key == NULL) return ctl_fail_usage(ctl, "encrypt under which key? --key KEY");
    struct ctl_pairs pairs;
    struct kms_why why = {0};
    KMS_OWN(kms_secret) plaintext = NULL;
    kms_err err = ctl_parse_pairs(&ctl->pairs, &pairs, &why);
    if (!kms_failed(err)) err = ctl_read_secret(ctl->in, KMS_PLAINTEXT_BYTES, &plaintext, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    struct kms_encrypt_request request = {
        .key_id = ctl->key,
        .plaintext = {.data = kms_secret_data(plaintext), .len = kms_secret_len(plaintext)},
        .context = ctl_context_of(&pairs),
        .encryption_algorithm = algorithm_of(ctl),
        .oaep_label = label_of(ctl)};
    kms_client *client = ctl_client(ctl);
    struct kms_encrypt_result *result;
    struct kms_call_options options = ctl_call_options(ctl);
    if (client == NULL || !kms_client_encrypt(client, &request, &options, &result, &ctl->error)) return false;
    bool ok = print_encrypted(ctl, result);
    kms_encrypt_result_free(result);
    return ok;
}

static bool write_base64(struct ctl *ctl, const kms_plaintext *plaintext)
{
    size_t len = kms_base64_len(kms_plaintext_len(plaintext));
    KMS_OWN(kms_secret) text = NULL;
    kms_err err = kms_secret_new(len + 1, &text);
    if (kms_failed(err)) return ctl_fail(ctl, err, NULL);
    kms_base64(kms_bytes_of(kms_plaintext_data(plaintext), kms_plaintext_len(plaintext)),
               (char *)kms_secret_data(text));
    kms_secret_data(text)[len] = '\n'; /* where the NUL was */
    return ctl_write(ctl, kms_bytes_of(kms_secret_data(text), len + 1));
}

static bool print_decrypted(struct ctl *ctl, const struct kms_decrypt_result *result)
{
    const kms_plaintext *plaintext = result->plaintext;
    if (!ctl_wants_json(ctl) && ctl->base64) return write_base64(ctl, plaintext);
    if (!ctl_wants_json(ctl))
        return ctl_write(ctl, kms_bytes_of(kms_plaintext_data(plaintext), kms_plaintext_len(plaintext)));
    if (!ctl_output_secret(ctl)) return false;
    return ctl_print(ctl,
                     json_pack("{s:o, s:I, s:o}", "key_arn", ctl_json_text(result->key_arn), "key_version",
                               (json_int_t)result->key_version, "plaintext",
                               ctl_json_base64(kms_plaintext_data(plaintext), kms_plaintext_len(plaintext))));
}

bool ctl_decrypt(struct ctl *ctl)
{
    struct ctl_pairs pairs;
    struct kms_why why = {0};
    KMS_OWN_BUF blob = {0};
    if (!ctl_may_show(ctl)) return false;
    kms_err err = ctl_parse_pairs(&ctl->pairs, &pairs, &why);
    if (!kms_failed(err)) err = read_ciphertext(ctl, &blob, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    struct kms_decrypt_request request = {.ciphertext = {.data = blob.data, .len = blob.len},
                                          .context = ctl_context_of(&pairs),
                                          .key_id = ctl->key,
                                          .encryption_algorithm = algorithm_of(ctl),
                                          .oaep_label = label_of(ctl)};
    kms_client *client = ctl_client(ctl);
    struct kms_decrypt_result *result;
    struct kms_call_options options = ctl_call_options(ctl);
    if (client == NULL || !kms_client_decrypt(client, &request, &options, &result, &ctl->error)) return false;
    bool ok = print_decrypted(ctl, result);
    kms_decrypt_result_free(result);
    return ok;
}

static bool print_re_encrypted(struct ctl *ctl, const struct kms_re_encrypt_result *result)
{
    if (!ctl_wants_json(ctl)) return write_ciphertext(ctl, &result->ciphertext);
    return ctl_print(
        ctl, json_pack("{s:o, s:I, s:o, s:I, s:o}", "source_key_arn", ctl_json_text(result->source_key_arn),
                       "source_key_version", (json_int_t)result->source_key_version, "key_arn",
                       ctl_json_text(result->key_arn), "key_version", (json_int_t)result->key_version,
                       "ciphertext_blob", ctl_json_ciphertext(&result->ciphertext)));
}

bool ctl_re_encrypt(struct ctl *ctl)
{
    if (ctl->to == NULL) return ctl_fail_usage(ctl, "encrypt under which key? --to KEY");
    struct ctl_pairs source, destination;
    struct kms_why why = {0};
    KMS_OWN_BUF blob = {0};
    kms_err err = ctl_parse_pairs(&ctl->pairs, &source, &why);
    if (!kms_failed(err)) err = ctl_parse_pairs(&ctl->to_pairs, &destination, &why);
    if (!kms_failed(err)) err = read_ciphertext(ctl, &blob, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    struct kms_re_encrypt_request request = {
        .ciphertext = {.data = blob.data, .len = blob.len},
        .source_context = ctl_context_of(&source),
        /* Without --to-context the binding stays what it was: nobody loses it by leaving an option out. */
        .destination_context = ctl_context_of(ctl->to_pairs.count > 0 ? &destination : &source),
        .source_key_id = ctl->key,
        .destination_key_id = ctl->to};
    kms_client *client = ctl_client(ctl);
    struct kms_re_encrypt_result *result;
    struct kms_call_options options = ctl_call_options(ctl);
    if (client == NULL || !kms_client_re_encrypt(client, &request, &options, &result, &ctl->error))
        return false;
    bool ok = print_re_encrypted(ctl, result);
    kms_re_encrypt_result_free(result);
    return ok;
}
