/* What the methods that make or open ciphertexts share: from an access to an HSM job and back
 * (proto/FORMAT.md). */
#ifndef KMS_SERVICE_SEAL_H
#define KMS_SERVICE_SEAL_H

#include "kmsd/service/call.h"

/* Finds the access of a ciphertext: parses its header and names its key. expected is the key_id of the
 * request or "". INVALID_CIPHERTEXT for what is no ciphertext of ours; whether the key exists is left to
 * policy. */
KMS_MUST_USE kms_err kms_open_gather(struct kms_call *call, enum kms_action action, ProtobufCBinaryData blob,
                                     const char *expected, struct kms_access **ret_access);
/* After the decision: key, version and AAD of the ciphertext into `key`, `aad` and `input` of the job.
 * INCORRECT_KEY, KEY_VERSION_RETIRED, INVALID_CIPHERTEXT (a version that the key does not have). */
KMS_MUST_USE kms_err kms_open_plan(struct kms_call *call, struct kms_access *access, ProtobufCBinaryData blob,
                                   const char *expected);

/* Only these seal. INVALID_KEY_USAGE: the key is not symmetric. */
KMS_MUST_USE kms_err kms_seal_key_check(struct kms_call *call, const struct kms_key *key);
/* For encryption under the current version of access->key: its key and AAD for the job. Sets
 * call->out_of_budget instead when the version may not encrypt before more budget is reserved. */
KMS_MUST_USE kms_err kms_seal_plan(struct kms_call *call, struct kms_access *access,
                                   struct kms_hsm_key *ret_key, struct kms_bytes *ret_aad);
/* Room for the job's output: sealed data of plaintext_len bytes (after the plain data key, for
 * KMS_HSM_DATA_KEY), with space for a header in front. */
KMS_MUST_USE kms_err kms_seal_output(struct kms_call *call, const struct kms_access *access,
                                     size_t plaintext_len);
/* The ciphertext: header of `access` and what the job put out from byte `skip` on. Overwrites the bytes
 * before `skip`. */
ProtobufCBinaryData kms_seal_blob(struct kms_call *call, const struct kms_access *access, size_t skip);

/* CRC-32C of a field against the one that the caller sent. CHECKSUM_MISMATCH names the field. */
KMS_MUST_USE kms_err kms_check_crc32c(struct kms_call *call, const char *field, ProtobufCBinaryData data,
                                      uint32_t sent);
uint32_t kms_crc32c_of(ProtobufCBinaryData data);

/* ARN of the key of an access, in the arena; NULL: NO_MEMORY. */
char *kms_access_arn(struct kms_call *call, const struct kms_access *access);
/* An empty reply of the method's type, in the arena, as call->reply; NULL: NO_MEMORY. */
void *kms_new_reply(struct kms_call *call);

#endif
