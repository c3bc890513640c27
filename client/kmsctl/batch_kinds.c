/* Encrypt, decrypt, re-encrypt and data keys as batches: the calls of libkms, and their results as JSON. */
#include "client/kmsctl/batch_item.h"
#include "client/kmsctl/describe.h"
#include "client/kmsctl/output.h"

static struct kms_blob data_of(const struct ctl_batch_item *item)
{
    return (struct kms_blob){item->data, item->data_len};
}

static void fill_encrypt(struct ctl_batch_requests *requests, const struct ctl_batch_item *item)
{
    requests->of.encrypt[requests->count++] = (struct kms_encrypt_item){
        .request = {.key_id = item->key, .plaintext = data_of(item), .context = item->context}};
}

static bool send_encrypt(kms_client *client, struct ctl_batch_requests *requests,
                         const struct kms_call_options *options, struct kms_error *error)
{
    return kms_client_encrypt_batch(client, requests->of.encrypt, requests->count, options, error);
}

static const struct kms_error *error_encrypt(const struct ctl_batch_requests *requests, size_t i)
{
    return &requests->of.encrypt[i].error;
}

static json_t *result_encrypt(const struct ctl_batch_requests *requests, size_t i)
{
    const struct kms_encrypt_result *result = requests->of.encrypt[i].result;
    return json_pack("{s:o, s:I, s:o}", "key_arn", ctl_json_text(result->key_arn), "key_version",
                     (json_int_t)result->key_version, "ciphertext", ctl_json_ciphertext(&result->ciphertext));
}

static void release_encrypt(struct ctl_batch_requests *requests, size_t i)
{
    kms_encrypt_result_free(requests->of.encrypt[i].result);
}

const struct ctl_batch_kind ctl_batch_encrypt = {
    .payload = "plaintext",
    .names_key = true,
    .fill = fill_encrypt,
    .send = send_encrypt,
    .error = error_encrypt,
    .result = result_encrypt,
    .release = release_encrypt,
};

static void fill_decrypt(struct ctl_batch_requests *requests, const struct ctl_batch_item *item)
{
    requests->of.decrypt[requests->count++] = (struct kms_decrypt_item){
        .request = {.ciphertext = data_of(item), .context = item->context, .key_id = item->key}};
}

static bool send_decrypt(kms_client *client, struct ctl_batch_requests *requests,
                         const struct kms_call_options *options, struct kms_error *error)
{
    return kms_client_decrypt_batch(client, requests->of.decrypt, requests->count, options, error);
}

static const struct kms_error *error_decrypt(const struct ctl_batch_requests *requests, size_t i)
{
    return &requests->of.decrypt[i].error;
}

static json_t *result_decrypt(const struct ctl_batch_requests *requests, size_t i)
{
    const struct kms_decrypt_result *result = requests->of.decrypt[i].result;
    json_t *text =
        ctl_json_base64(kms_plaintext_data(result->plaintext), kms_plaintext_len(result->plaintext));
    return json_pack("{s:o, s:I, s:o}", "key_arn", ctl_json_text(result->key_arn), "key_version",
                     (json_int_t)result->key_version, "plaintext", text);
}

static void release_decrypt(struct ctl_batch_requests *requests, size_t i)
{
    kms_decrypt_result_free(requests->of.decrypt[i].result);
}

const struct ctl_batch_kind ctl_batch_decrypt = {
    .payload = "ciphertext",
    .fill = fill_decrypt,
    .send = send_decrypt,
    .error = error_decrypt,
    .result = result_decrypt,
    .release = release_decrypt,
};

static void fill_re_encrypt(struct ctl_batch_requests *requests, const struct ctl_batch_item *item)
{
    requests->of.re_encrypt[requests->count++] = (struct kms_re_encrypt_item){
        .request = {.ciphertext = data_of(item),
                    .source_context = item->context,
                    .destination_context =
                        item->to_context.entries != NULL ? item->to_context : item->context,
                    .source_key_id = item->key,
                    .destination_key_id = item->to}};
}

static bool send_re_encrypt(kms_client *client, struct ctl_batch_requests *requests,
                            const struct kms_call_options *options, struct kms_error *error)
{
    return kms_client_re_encrypt_batch(client, requests->of.re_encrypt, requests->count, options, error);
}

static const struct kms_error *error_re_encrypt(const struct ctl_batch_requests *requests, size_t i)
{
    return &requests->of.re_encrypt[i].error;
}

static json_t *result_re_encrypt(const struct ctl_batch_requests *requests, size_t i)
{
    const struct kms_re_encrypt_result *result = requests->of.re_encrypt[i].result;
    return json_pack("{s:o, s:I, s:o, s:I, s:o}", "source_key_arn", ctl_json_text(result->source_key_arn),
                     "source_key_version", (json_int_t)result->source_key_version, "key_arn",
                     ctl_json_text(result->key_arn), "key_version", (json_int_t)result->key_version,
                     "ciphertext", ctl_json_ciphertext(&result->ciphertext));
}

static void release_re_encrypt(struct ctl_batch_requests *requests, size_t i)
{
    kms_re_encrypt_result_free(requests->of.re_encrypt[i].result);
}

const struct ctl_batch_kind ctl_batch_re_encrypt = {
    .payload = "ciphertext",
    .names_to = true,
    .fill = fill_re_encrypt,
    .send = send_re_encrypt,
    .error = error_re_encrypt,
    .result = result_re_encrypt,
    .release = release_re_encrypt,
};

static void fill_data_key(struct ctl_batch_requests *requests, const struct ctl_batch_item *item)
{
    requests->of.data_key[requests->count++] =
        (struct kms_data_key_item){.request = {.key_id = item->key,
                                               .spec = item->spec,
                                               .number_of_bytes = item->bytes,
                                               .context = item->context}};
}

static bool send_data_key(kms_client *client, struct ctl_batch_requests *requests,
                          const struct kms_call_options *options, struct kms_error *error)
{
    return kms_client_generate_data_key_batch(client, requests->of.data_key, requests->count, options, error);
}

static const struct kms_error *error_data_key(const struct ctl_batch_requests *requests, size_t i)
{
    return &requests->of.data_key[i].error;
}

static json_t *result_data_key(const struct ctl_batch_requests *requests, size_t i)
{
    return ctl_describe_data_key(requests->of.data_key[i].result);
}

static void release_data_key(struct ctl_batch_requests *requests, size_t i)
{
    kms_data_key_result_free(requests->of.data_key[i].result);
}

const struct ctl_batch_kind ctl_batch_data_key = {
    .names_key = true,
    .answer_bytes = 1024,
    .fill = fill_data_key,
    .send = send_data_key,
    .error = error_data_key,
    .result = result_data_key,
    .release = release_data_key,
};
