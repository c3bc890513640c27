/*
 * SOPS: the data key of a file is the plaintext of Encrypt, the text in the file is our ciphertext in
 * base64, as AWS KMS's is. The master key is ours by its name, or by the table of the configuration.
 */
#include "kmsd/dialect/sops.h"

#include <string.h>

#include "base/ciphertext.h"
#include "base/text.h"
#include "kms/v1/crypto.pb-c.h"
#include "kmsd/dialect/request.h"
#include "sops/keyservice.pb-c.h"

/* A master key as the request has it. */
struct master_key {
    enum kms_sops_type type;
    const char *name;
    const KmsKey *aws; /* NULL: another type */
};

static const char *const type_names[] = {
    [KMS_SOPS_KMS] = "kms",           [KMS_SOPS_PGP] = "pgp",           [KMS_SOPS_GCP_KMS] = "gcp_kms",
    [KMS_SOPS_AZURE_KV] = "azure_kv", [KMS_SOPS_HC_VAULT] = "hc_vault", [KMS_SOPS_AGE] = "age",
    [KMS_SOPS_HCKMS] = "hckms"};

static const char *azure_name(struct kms_call *call, const AzureKeyVaultKey *key)
{
    return kms_arena_print(&call->arena, "%s/keys/%s/%s", key->vault_url, key->name, key->version);
}

static const char *vault_name(struct kms_call *call, const VaultKey *key)
{
    return kms_arena_print(&call->arena, "%s/v1/%s/keys/%s", key->vault_address, key->engine_path,
                           key->key_name);
}

/* The words are those of sops' own key service. */
static kms_err read_key(struct kms_call *call, const Key *key, struct master_key *ret_key)
{
    struct master_key k = {.type = KMS_SOPS_KMS};
    if (key == NULL) return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "Must provide a key");
    switch (key->key_type_case) {
    case KEY__KEY_TYPE_KMS_KEY:
        k = (struct master_key){KMS_SOPS_KMS, key->kms_key->arn, key->kms_key};
        break;
    case KEY__KEY_TYPE_PGP_KEY:
        k = (struct master_key){KMS_SOPS_PGP, key->pgp_key->fingerprint, NULL};
        break;
    case KEY__KEY_TYPE_GCP_KMS_KEY:
        k = (struct master_key){KMS_SOPS_GCP_KMS, key->gcp_kms_key->resource_id, NULL};
        break;
    case KEY__KEY_TYPE_AZURE_KEYVAULT_KEY:
        k = (struct master_key){KMS_SOPS_AZURE_KV, azure_name(call, key->azure_keyvault_key), NULL};
        break;
    case KEY__KEY_TYPE_VAULT_KEY:
        k = (struct master_key){KMS_SOPS_HC_VAULT, vault_name(call, key->vault_key), NULL};
        break;
    case KEY__KEY_TYPE_AGE_KEY:
        k = (struct master_key){KMS_SOPS_AGE, key->age_key->recipient, NULL};
        break;
    case KEY__KEY_TYPE_HCKMS_KEY:
        k = (struct master_key){KMS_SOPS_HCKMS, key->hckms_key->key_id, NULL};
        break;
    default:
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "Unknown key type");
    }
    *ret_key = k;
    return k.name != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

/* "key/ID" or "alias/NAME" of arn:PARTITION:kms:REGION:ACCOUNT:..., whatever partition, region and account
 * are; NULL: not an ARN of KMS. */
static const char *arn_tail(const char *arn)
{
    if (strncmp(arn, "arn:", 4) != 0) return NULL;
    const char *at = strchr(arn + 4, ':');
    if (at == NULL || strncmp(at, ":kms:", 5) != 0) return NULL;
    at = strchr(at + 5, ':');
    if (at != NULL) at = strchr(at + 1, ':');
    return at != NULL ? at + 1 : NULL;
}

/* The name under which the service looks for the key: it need not exist. NULL: the name is none of ours. */
static const char *own_name(const char *name)
{
    struct kms_id id;
    const char *tail = arn_tail(name);
    if (tail != NULL && strncmp(tail, "key/", 4) == 0)
        name = tail + 4;
    else if (tail != NULL)
        name = strncmp(tail, "alias/", 6) == 0 ? tail : "";
    bool ours = strncmp(name, "alias/", 6) == 0 || kms_id_parse(kms_bytes_text(name), &id);
    return ours ? name : NULL;
}

static const char *mapped_name(const struct kms_door *door, const struct master_key *key)
{
    for (size_t i = 0; i < door->sops_key_count; i++)
        if (door->sops_keys[i].type == key->type && strcmp(door->sops_keys[i].name, key->name) == 0)
            return door->sops_keys[i].key;
    return key->aws != NULL ? own_name(key->name) : NULL;
}

/* Fills *ret_name with our name of the key, and *ret_aws where there may be an encryption context. */
static kms_err find_key(struct kms_call *call, const struct kms_door *door, const Key *foreign,
                        const char **ret_name, const KmsKey **ret_aws)
{
    struct master_key key = {.name = NULL};
    KMS_TRY(read_key(call, foreign, &key));
    const char *name = mapped_name(door, &key);
    /* The record names the key as the pipeline has it: what it was called else stands beside. */
    if (name != key.name)
        kms_call_say(call, "foreign_key",
                     kms_arena_print(&call->arena, "%s %s", type_names[key.type], key.name));
    if (name == NULL)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "no key stands for %s %s: name one in sops.keys",
                             type_names[key.type], key.name);
    *ret_name = name;
    *ret_aws = key.aws;
    return KMS_OK;
}

static const char *context_text(const void *user, size_t i, bool value)
{
    const KmsKey *key = user;
    return value ? key->context[i]->value : key->context[i]->key;
}

/* Only a key of AWS has one. */
static struct kms_foreign_context context_of(const KmsKey *aws)
{
    return (struct kms_foreign_context){
        .count = aws != NULL ? aws->n_context : 0, .text = context_text, .user = aws};
}

kms_err kms_sops_encrypt_from(struct kms_call *call, const struct kms_door *door,
                              const ProtobufCMessage *foreign)
{
    const EncryptRequest *asked = (const void *)foreign;
    const char *name;
    const KmsKey *aws;
    KMS_TRY(find_key(call, door, asked->key, &name, &aws));
    const struct kms_foreign_context context = context_of(aws);
    return kms_dialect_encrypt(call, name, asked->plaintext, &context);
}

kms_err kms_sops_encrypt_to(struct kms_call *call, const struct kms_door *door,
                            const ProtobufCMessage **ret_foreign)
{
    (void)door;
    const Kms__V1__EncryptResponse *reply = (const void *)call->reply;
    const struct kms_bytes blob = {reply->ciphertext_blob.data, reply->ciphertext_blob.len};
    EncryptResponse *answer = kms_call_alloc(call, sizeof *answer);
    char *text = kms_call_alloc(call, kms_base64_len(blob.len) + 1);
    if (answer == NULL || text == NULL) return KMS_FAIL(NO_MEMORY);
    kms_base64(blob, text);
    encrypt_response__init(answer);
    answer->ciphertext = (ProtobufCBinaryData){.data = (uint8_t *)text, .len = strlen(text)};
    *ret_foreign = &answer->base;
    return KMS_OK;
}

/* What Encrypt answered, or a ciphertext in the text form of proto/FORMAT.md. */
static kms_err read_ciphertext(struct kms_call *call, ProtobufCBinaryData given,
                               ProtobufCBinaryData *ret_blob)
{
    struct kms_bytes text = {given.data, given.len};
    const size_t prefix = sizeof KMS_CIPHERTEXT_TEXT_PREFIX - 1;
    if (kms_ciphertext_is_text(text)) text = kms_bytes_of(text.ptr + prefix, text.len - prefix);
    uint8_t *data = kms_call_alloc(call, text.len / 4 * 3 + 1);
    size_t len;
    if (data == NULL) return KMS_FAIL(NO_MEMORY);
    if (text.len == 0 || !kms_unbase64(text, data, &len))
        return kms_call_fail(call, KMS_FAIL(INVALID_CIPHERTEXT),
                             "ciphertext: not one line of standard base64, as this service returns it");
    *ret_blob = (ProtobufCBinaryData){.data = data, .len = len};
    return KMS_OK;
}

kms_err kms_sops_decrypt_from(struct kms_call *call, const struct kms_door *door,
                              const ProtobufCMessage *foreign)
{
    const DecryptRequest *asked = (const void *)foreign;
    const char *name;
    const KmsKey *aws;
    KMS_TRY(find_key(call, door, asked->key, &name, &aws));
    ProtobufCBinaryData blob;
    KMS_TRY(read_ciphertext(call, asked->ciphertext, &blob));
    const struct kms_foreign_context context = context_of(aws);
    return kms_dialect_decrypt(call, name, blob, &context);
}

kms_err kms_sops_decrypt_to(struct kms_call *call, const struct kms_door *door,
                            const ProtobufCMessage **ret_foreign)
{
    (void)door;
    const Kms__V1__DecryptResponse *reply = (const void *)call->reply;
    DecryptResponse *answer = kms_call_alloc(call, sizeof *answer);
    if (answer == NULL) return KMS_FAIL(NO_MEMORY);
    decrypt_response__init(answer);
    answer->plaintext = reply->plaintext;
    *ret_foreign = &answer->base;
    return KMS_OK;
}
