/* Messages of CryptoService out of requests. */
#include "client/lib/fill.h"

#include <kms/types.h>

#include "base/text.h"
#include "client/lib/message.h"

static uint32_t crc32c(struct kms_blob blob)
{
    return kms_crc32c(0, kms_bytes_of(blob.data, blob.len));
}

bool kms_fill_encrypt(const void *request, kms_filled *ret_filled)
{
    const struct kms_encrypt_request *from = request;
    Kms__V1__EncryptRequest *message = &ret_filled->message.encrypt;
    *ret_filled = (kms_filled){.maps = {NULL}};
    if (!kms_context_map_new(&from->context, &kms__v1__encrypt_request__encryption_context_entry__descriptor,
                             &ret_filled->maps[0]))
        return false;
    kms__v1__encrypt_request__init(message);
    message->key_id = kms_borrow_text(from->key_id);
    message->plaintext = kms_borrow_bytes(from->plaintext.data, from->plaintext.len);
    message->n_encryption_context = from->context.count;
    message->encryption_context = kms_context_map_entries(ret_filled->maps[0]);
    message->encryption_algorithm = (Kms__V1__EncryptionAlgorithm)from->encryption_algorithm;
    message->oaep_label = kms_borrow_bytes(from->oaep_label.data, from->oaep_label.len);
    message->optional_plaintext_crc32c_case =
        KMS__V1__ENCRYPT_REQUEST__OPTIONAL_PLAINTEXT_CRC32C_PLAINTEXT_CRC32C;
    message->plaintext_crc32c = crc32c(from->plaintext);
    return true;
}

bool kms_fill_decrypt(const void *request, kms_filled *ret_filled)
{
    const struct kms_decrypt_request *from = request;
    Kms__V1__DecryptRequest *message = &ret_filled->message.decrypt;
    *ret_filled = (kms_filled){.maps = {NULL}};
    if (!kms_context_map_new(&from->context, &kms__v1__decrypt_request__encryption_context_entry__descriptor,
                             &ret_filled->maps[0]))
        return false;
    kms__v1__decrypt_request__init(message);
    message->ciphertext_blob = kms_borrow_bytes(from->ciphertext.data, from->ciphertext.len);
    message->n_encryption_context = from->context.count;
    message->encryption_context = kms_context_map_entries(ret_filled->maps[0]);
    message->key_id = kms_borrow_text(from->key_id);
    message->encryption_algorithm = (Kms__V1__EncryptionAlgorithm)from->encryption_algorithm;
    message->oaep_label = kms_borrow_bytes(from->oaep_label.data, from->oaep_label.len);
    message->optional_ciphertext_crc32c_case =
        KMS__V1__DECRYPT_REQUEST__OPTIONAL_CIPHERTEXT_CRC32C_CIPHERTEXT_CRC32C;
    message->ciphertext_crc32c = crc32c(from->ciphertext);
    return true;
}

bool kms_fill_re_encrypt(const void *request, kms_filled *ret_filled)
{
    const struct kms_re_encrypt_request *from = request;
    Kms__V1__ReEncryptRequest *message = &ret_filled->message.re_encrypt;
    *ret_filled = (kms_filled){.maps = {NULL}};
    if (!kms_context_map_new(&from->source_context,
                             &kms__v1__re_encrypt_request__source_encryption_context_entry__descriptor,
                             &ret_filled->maps[0]) ||
        !kms_context_map_new(&from->destination_context,
                             &kms__v1__re_encrypt_request__destination_encryption_context_entry__descriptor,
                             &ret_filled->maps[1]))
        return false;
    kms__v1__re_encrypt_request__init(message);
    message->ciphertext_blob = kms_borrow_bytes(from->ciphertext.data, from->ciphertext.len);
    message->n_source_encryption_context = from->source_context.count;
    message->source_encryption_context = kms_context_map_entries(ret_filled->maps[0]);
    message->source_key_id = kms_borrow_text(from->source_key_id);
    message->destination_key_id = kms_borrow_text(from->destination_key_id);
    message->n_destination_encryption_context = from->destination_context.count;
    message->destination_encryption_context = kms_context_map_entries(ret_filled->maps[1]);
    message->optional_ciphertext_crc32c_case =
        KMS__V1__RE_ENCRYPT_REQUEST__OPTIONAL_CIPHERTEXT_CRC32C_CIPHERTEXT_CRC32C;
    message->ciphertext_crc32c = crc32c(from->ciphertext);
    return true;
}

bool kms_fill_data_key(const void *request, kms_filled *ret_filled)
{
    const struct kms_data_key_request *from = request;
    Kms__V1__GenerateDataKeyRequest *message = &ret_filled->message.data_key;
    *ret_filled = (kms_filled){.maps = {NULL}};
    if (!kms_context_map_new(&from->context,
                             &kms__v1__generate_data_key_request__encryption_context_entry__descriptor,
                             &ret_filled->maps[0]))
        return false;
    kms__v1__generate_data_key_request__init(message);
    message->key_id = kms_borrow_text(from->key_id);
    message->key_spec = (Kms__V1__DataKeySpec)from->spec;
    message->number_of_bytes = from->number_of_bytes;
    message->n_encryption_context = from->context.count;
    message->encryption_context = kms_context_map_entries(ret_filled->maps[0]);
    return true;
}

void kms_filled_drop(kms_filled *filled)
{
    kms_context_map_drop(&filled->maps[0]);
    kms_context_map_drop(&filled->maps[1]);
}
