/* kmsctl data-key, random: fresh secrets. */
#include <string.h>

#include "base/text.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/describe.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"

enum { RANDOM_BYTES = 32 /* when --bytes is not given */ };

static enum kms_data_key_spec spec_of(const struct ctl *ctl)
{
    if (ctl->bytes != 0) return KMS_DATA_KEY_BY_BYTES;
    return ctl->spec != NULL && strcmp(ctl->spec, "AES_128") == 0 ? KMS_DATA_KEY_AES_128
                                                                  : KMS_DATA_KEY_AES_256;
}

bool ctl_data_key(struct ctl *ctl)
{
    struct ctl_pairs pairs;
    struct kms_why why = {0};
    if (ctl->key == NULL) return ctl_fail_usage(ctl, "a data key under which key? --key KEY");
    if (ctl->spec != NULL && ctl->bytes != 0) return ctl_fail_usage(ctl, "--spec or --bytes, not both");
    if (!ctl->without_plaintext && !ctl_may_show(ctl)) return false;
    kms_err err = ctl_parse_pairs(&ctl->pairs, &pairs, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    struct kms_data_key_request request = {.key_id = ctl->key,
                                           .spec = spec_of(ctl),
                                           .number_of_bytes = ctl->bytes,
                                           .context = ctl_context_of(&pairs)};
    kms_client *client = ctl_client(ctl);
    if (client == NULL || !ctl_output_secret(ctl)) return false;
    struct kms_call_options options = ctl_call_options(ctl);
    struct kms_data_key_result *result;
    bool ok =
        ctl->without_plaintext
            ? kms_client_generate_data_key_without_plaintext(client, &request, &options, &result, &ctl->error)
            : kms_client_generate_data_key(client, &request, &options, &result, &ctl->error);
    if (!ok) return false;
    ok = ctl_print(ctl, ctl_describe_data_key(result));
    kms_data_key_result_free(result);
    return ok;
}

static json_t *describe_pair(const struct kms_data_key_pair_result *pair)
{
    json_t *value = json_pack("{s:o, s:I, s:o, s:o}", "key_arn", ctl_json_text(pair->key_arn), "key_version",
                              (json_int_t)pair->key_version, "private_key_ciphertext_blob",
                              ctl_json_ciphertext(&pair->private_key_ciphertext), "public_key",
                              ctl_json_base64(pair->public_key.data, pair->public_key.len));
    if (value == NULL || pair->private_key == NULL) return value;
    json_t *plaintext =
        ctl_json_base64(kms_plaintext_data(pair->private_key), kms_plaintext_len(pair->private_key));
    if (json_object_set_new(value, "private_key_plaintext", plaintext) == 0) return value;
    json_decref(value);
    return NULL;
}

bool ctl_data_key_pair(struct ctl *ctl)
{
    struct ctl_pairs pairs;
    struct kms_why why = {0};
    if (ctl->key == NULL) return ctl_fail_usage(ctl, "a key pair under which key? --key KEY");
    if (ctl->key_spec == NULL) return ctl_fail_usage(ctl, "what kind of key pair? --spec SPEC");
    if (!ctl->without_plaintext && !ctl_may_show(ctl)) return false;
    kms_err err = ctl_parse_pairs(&ctl->pairs, &pairs, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    struct kms_data_key_pair_request request = {
        .key_id = ctl->key, .spec = ctl->key_spec, .context = ctl_context_of(&pairs)};
    kms_client *client = ctl_client(ctl);
    if (client == NULL || !ctl_output_secret(ctl)) return false;
    struct kms_data_key_pair_result *result;
    bool ok = ctl->without_plaintext
                  ? kms_client_generate_data_key_pair_without_plaintext(client, &request, NULL, &result,
                                                                        &ctl->error)
                  : kms_client_generate_data_key_pair(client, &request, NULL, &result, &ctl->error);
    if (!ok) return false;
    ok = ctl_print(ctl, describe_pair(result));
    kms_data_key_pair_result_free(result);
    return ok;
}

static bool print_random(struct ctl *ctl, const kms_plaintext *random)
{
    bool as_json = ctl_wants_json(ctl);
    if (!ctl->base64 && !as_json)
        return ctl_write(ctl, kms_bytes_of(kms_plaintext_data(random), kms_plaintext_len(random)));
    if (!ctl_output_secret(ctl)) return false;
    json_t *text = ctl_json_base64(kms_plaintext_data(random), kms_plaintext_len(random));
    return ctl_print(ctl, as_json ? json_pack("{s:o}", "random", text) : text);
}

bool ctl_random(struct ctl *ctl)
{
    if (ctl->out != NULL && ctl->base64)
        return ctl_fail_usage(ctl, "--out takes the bytes as they are, not --base64");
    if (!ctl->base64 && !ctl_may_show(ctl)) return false;
    kms_client *client = ctl_client(ctl);
    kms_plaintext *random;
    uint32_t bytes = ctl->bytes != 0 ? ctl->bytes : RANDOM_BYTES;
    if (client == NULL || !kms_client_generate_random(client, bytes, NULL, &random, &ctl->error))
        return false;
    bool ok = print_random(ctl, random);
    kms_plaintext_free(random);
    return ok;
}
