/*
 * libkms: calls to a kmsd, blocking, over mutual TLS 1.3 or a Unix socket.
 *
 * Threads: a kms_client is one connection that any number of threads may use at once; close it when no call
 * is running. Time: every call ends by its deadline. A call that is safe to repeat (all reads and uses of
 * keys; CreateKey and RotateKeyOnDemand with a client_request_token) is repeated on UNAVAILABLE, with growing
 * and random pauses, inside it. Integrity: CRC-32C of plaintext and ciphertext is sent and checked both ways
 * (reason CHECKSUM_MISMATCH). Answers: true on success; false fills *error, and no result is set.
 */
#ifndef KMS_CLIENT_H
#define KMS_CLIENT_H

#include <kms/error.h>
#include <kms/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KMS_CHECK __attribute__((warn_unused_result))

typedef struct kms_client kms_client;

struct kms_client_options {
    const char *endpoint;    /* "HOST:PORT", "[IPV6]:PORT" (mutual TLS) or "unix:/PATH" (no TLS) */
    const char *ca_file;     /* PEM; who the server's certificate must come from. Required for HOST:PORT */
    const char *cert_file;   /* PEM; the caller's certificate with its chain. Required for HOST:PORT */
    const char *key_file;    /* PEM; its private key. Required for HOST:PORT */
    const char *server_name; /* optional: the name in the server's certificate, when it is not HOST */
    uint32_t timeout_ms;     /* of calls that set none; 0 means 10,000 */
    uint32_t attempts;       /* how often a call is tried at most; 0 means 5 */
    /* Optional: an id of the caller's own that the audit records of all calls carry, 1 to 127 characters of
     * printable ASCII. */
    const char *correlation_id;
};

/* For one call; a NULL pointer means the client's settings. */
struct kms_call_options {
    uint32_t timeout_ms; /* 0: the client's */
    /* Tokens of grants, at most 10, for the methods that take them (else INVALID_ARGUMENT); borrowed. Grants
     * count without them: one that is not in force is refused (INVALID_GRANT_TOKEN). */
    const char *const *grant_tokens;
    size_t grant_token_count;
};

/* Reads the files and prepares the connection, which is made by the first call and remade when it breaks.
 * Reasons: CONFIG_INVALID (the message names the file or option), NO_MEMORY. */
KMS_CHECK bool kms_client_open(const struct kms_client_options *options, kms_client **ret_client,
                               struct kms_error *error);
void kms_client_close(kms_client *client); /* NULL is a no-op */

/* Use of keys; docs of each call and its reasons: proto/kms/v1/crypto.proto, libkms(3). */
KMS_CHECK bool kms_client_encrypt(kms_client *client, const struct kms_encrypt_request *request,
                                  const struct kms_call_options *options,
                                  struct kms_encrypt_result **ret_result, struct kms_error *error);
KMS_CHECK bool kms_client_decrypt(kms_client *client, const struct kms_decrypt_request *request,
                                  const struct kms_call_options *options,
                                  struct kms_decrypt_result **ret_result, struct kms_error *error);
/*
 * Decrypts many values on the one connection, at most in_flight (1 to 256, 0 means 64) at a time. The
 * deadline is that of all values together. Every item gets a result or an error of its own; false when any
 * failed, and *error is that of the first item that did.
 */
KMS_CHECK bool kms_client_decrypt_many(kms_client *client, struct kms_decrypt_item *items, size_t count,
                                       uint32_t in_flight, const struct kms_call_options *options,
                                       struct kms_error *error);
KMS_CHECK bool kms_client_re_encrypt(kms_client *client, const struct kms_re_encrypt_request *request,
                                     const struct kms_call_options *options,
                                     struct kms_re_encrypt_result **ret_result, struct kms_error *error);
/* As kms_client_decrypt_many. */
KMS_CHECK bool kms_client_re_encrypt_many(kms_client *client, struct kms_re_encrypt_item *items, size_t count,
                                          uint32_t in_flight, const struct kms_call_options *options,
                                          struct kms_error *error);
KMS_CHECK bool kms_client_generate_data_key(kms_client *client, const struct kms_data_key_request *request,
                                            const struct kms_call_options *options,
                                            struct kms_data_key_result **ret_result, struct kms_error *error);
KMS_CHECK bool kms_client_generate_data_key_without_plaintext(kms_client *client,
                                                              const struct kms_data_key_request *request,
                                                              const struct kms_call_options *options,
                                                              struct kms_data_key_result **ret_result,
                                                              struct kms_error *error);
/* RSA pairs take seconds. */
KMS_CHECK bool kms_client_generate_data_key_pair(kms_client *client,
                                                 const struct kms_data_key_pair_request *request,
                                                 const struct kms_call_options *options,
                                                 struct kms_data_key_pair_result **ret_result,
                                                 struct kms_error *error);
KMS_CHECK bool kms_client_generate_data_key_pair_without_plaintext(
    kms_client *client, const struct kms_data_key_pair_request *request,
    const struct kms_call_options *options, struct kms_data_key_pair_result **ret_result,
    struct kms_error *error);
/* 1 to 1,024 bytes of the token's random generator. */
KMS_CHECK bool kms_client_generate_random(kms_client *client, uint32_t number_of_bytes,
                                          const struct kms_call_options *options, kms_plaintext **ret_random,
                                          struct kms_error *error);

/*
 * Many in one call and one audit record, 1 to 256 items and 1 MiB of plaintext; proto/kms/v1/batch.proto.
 * Every item gets a result or an error of its own; false when any failed, and *error is that of the first
 * item that did. When the call as a whole failed, that is the error of each.
 */
KMS_CHECK bool kms_client_encrypt_batch(kms_client *client, struct kms_encrypt_item *items, size_t count,
                                        const struct kms_call_options *options, struct kms_error *error);
KMS_CHECK bool kms_client_decrypt_batch(kms_client *client, struct kms_decrypt_item *items, size_t count,
                                        const struct kms_call_options *options, struct kms_error *error);
KMS_CHECK bool kms_client_re_encrypt_batch(kms_client *client, struct kms_re_encrypt_item *items,
                                           size_t count, const struct kms_call_options *options,
                                           struct kms_error *error);
KMS_CHECK bool kms_client_generate_data_key_batch(kms_client *client, struct kms_data_key_item *items,
                                                  size_t count, const struct kms_call_options *options,
                                                  struct kms_error *error);

/* Administration of keys; proto/kms/v1/keys.proto. */
KMS_CHECK bool kms_client_create_key(kms_client *client, const struct kms_create_key_request *request,
                                     const struct kms_call_options *options,
                                     struct kms_key_metadata **ret_metadata, struct kms_error *error);
KMS_CHECK bool kms_client_describe_key(kms_client *client, const char *key_id,
                                       const struct kms_call_options *options,
                                       struct kms_key_metadata **ret_metadata, struct kms_error *error);
KMS_CHECK bool kms_client_list_keys(kms_client *client, const struct kms_list_request *request,
                                    const struct kms_call_options *options, struct kms_key_list **ret_list,
                                    struct kms_error *error);
KMS_CHECK bool kms_client_enable_key(kms_client *client, const char *key_id,
                                     const struct kms_call_options *options, struct kms_error *error);
KMS_CHECK bool kms_client_disable_key(kms_client *client, const char *key_id,
                                      const struct kms_call_options *options, struct kms_error *error);
/* client_request_token: optional (NULL), at most 64 bytes; makes the call safe to repeat. */
KMS_CHECK bool kms_client_rotate_key_on_demand(kms_client *client, const char *key_id,
                                               const char *client_request_token,
                                               const struct kms_call_options *options,
                                               struct kms_rotate_result **ret_result,
                                               struct kms_error *error);
KMS_CHECK bool kms_client_create_alias(kms_client *client, const char *alias, const char *target_key_id,
                                       const struct kms_call_options *options, struct kms_error *error);
KMS_CHECK bool kms_client_update_alias(kms_client *client, const char *alias, const char *target_key_id,
                                       const struct kms_call_options *options, struct kms_error *error);
KMS_CHECK bool kms_client_delete_alias(kms_client *client, const char *alias,
                                       const struct kms_call_options *options, struct kms_error *error);
KMS_CHECK bool kms_client_list_aliases(kms_client *client, const struct kms_list_request *request,
                                       const struct kms_call_options *options,
                                       struct kms_alias_list **ret_list, struct kms_error *error);
KMS_CHECK bool kms_client_put_key_policy(kms_client *client, const struct kms_put_key_policy_request *request,
                                         const struct kms_call_options *options, struct kms_error *error);
KMS_CHECK bool kms_client_get_key_policy(kms_client *client, const char *key_id,
                                         const struct kms_call_options *options,
                                         struct kms_key_policy **ret_policy, struct kms_error *error);

/* The state of the server; proto/kms/v1/system.proto. */
KMS_CHECK bool kms_client_get_status(kms_client *client, const struct kms_call_options *options,
                                     struct kms_status **ret_status, struct kms_error *error);

/*
 * Any other method of proto/kms/v1 in JSON: method "KeyService/ScheduleKeyDeletion", request an object with
 * the fields of its message as the .proto spells them (bytes in base64, enum values by name with or without
 * their type's prefix), at most 1 MiB; so is the reply, which the caller gives back with kms_json_free. Made
 * for administration: what carries plaintext is refused with INVALID_ARGUMENT, as is a method or member that
 * does not exist. Only Describe, Get, List, Simulate, Sign, Verify and GenerateMac, and what has a
 * client_request_token, are repeated.
 */
KMS_CHECK bool kms_client_call_json(kms_client *client, const char *method, const char *request_json,
                                    const struct kms_call_options *options, char **ret_reply_json,
                                    struct kms_error *error);
void kms_json_free(char *json); /* NULL is a no-op */

/*
 * The same for a method whose answer is many messages ("AuditService/StreamAuditRecords"), and those alone.
 * It has no deadline, and is not repeated: whoever reads knows where to go on. One thread at a time; closed
 * before its client. The server makes no more than is read.
 */
typedef struct kms_json_stream kms_json_stream;
KMS_CHECK bool kms_client_stream_json(kms_client *client, const char *method, const char *request_json,
                                      kms_json_stream **ret_stream, struct kms_error *error);
/* Waits at most wait_ms for the next message, which the caller gives back with kms_json_free. *ret_reply_json
 * NULL: none came so far; *ret_ended: nor will any, all went well. After false or the end: close. */
KMS_CHECK bool kms_json_stream_next(kms_json_stream *stream, uint32_t wait_ms, char **ret_reply_json,
                                    bool *ret_ended, struct kms_error *error);
void kms_json_stream_close(kms_json_stream *stream); /* cancels what is not over; NULL is a no-op */

#ifdef __cplusplus
}
#endif

#endif
