#include "kmsd/dialect/request.h"

#include "kms/v1/crypto.pb-c.h"

typedef Kms__V1__EncryptRequest__EncryptionContextEntry context_entry;
_Static_assert(sizeof(context_entry) == sizeof(Kms__V1__DecryptRequest__EncryptionContextEntry),
               "every entry of a map<string, string> has this layout");

/* Entries of the descriptor `type`; NULL: no memory. */
static context_entry **entries_of(struct kms_call *call, const struct kms_foreign_context *context,
                                  const ProtobufCMessageDescriptor *type)
{
    context_entry **entries = kms_call_alloc(call, (context->count + 1) * sizeof(context_entry *));
    context_entry *room = kms_call_alloc(call, (context->count + 1) * sizeof *room);
    if (entries == NULL || room == NULL) return NULL;
    for (size_t i = 0; i < context->count; i++) {
        protobuf_c_message_init(type, &room[i]);
        room[i].key = kms_lend(context->text(context->user, i, false));
        room[i].value = kms_lend(context->text(context->user, i, true));
        entries[i] = &room[i];
    }
    return entries;
}

kms_err kms_dialect_encrypt(struct kms_call *call, const char *key, ProtobufCBinaryData plaintext,
                            const struct kms_foreign_context *context)
{
    Kms__V1__EncryptRequest *request = kms_call_alloc(call, sizeof *request);
    if (request == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__encrypt_request__init(request);
    request->key_id = kms_lend(key);
    request->plaintext = plaintext;
    request->n_encryption_context = context->count;
    request->encryption_context =
        entries_of(call, context, &kms__v1__encrypt_request__encryption_context_entry__descriptor);
    if (request->encryption_context == NULL) return KMS_FAIL(NO_MEMORY);
    call->request = &request->base;
    return KMS_OK;
}

kms_err kms_dialect_decrypt(struct kms_call *call, const char *key, ProtobufCBinaryData ciphertext_blob,
                            const struct kms_foreign_context *context)
{
    Kms__V1__DecryptRequest *request = kms_call_alloc(call, sizeof *request);
    if (request == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__decrypt_request__init(request);
    request->key_id = kms_lend(key);
    request->ciphertext_blob = ciphertext_blob;
    request->n_encryption_context = context->count;
    request->encryption_context =
        (void *)entries_of(call, context, &kms__v1__decrypt_request__encryption_context_entry__descriptor);
    if (request->encryption_context == NULL) return KMS_FAIL(NO_MEMORY);
    call->request = &request->base;
    return KMS_OK;
}
