/*
 * Stored secrets: values by name, version and stage; proto/kms/v1/secrets.proto. What carries a value is
 * here; everything else about secrets is administration and goes by kms_client_call_json. Threads, time and
 * answers as in kms/client.h.
 */
#ifndef KMS_SECRETS_H
#define KMS_SECRETS_H

#include <kms/client.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { KMS_SECRET_VALUE_BYTES = 65536 }; /* the longest value */

struct kms_get_secret_request {
    const char *secret_id;     /* name or ARN */
    const char *version_stage; /* optional; "AWSCURRENT" when there is no version_id either */
    const char *version_id;    /* optional; with both, the version must have the stage */
};
struct kms_secret_value {
    kms_plaintext *value; /* may be taken out: set the member to NULL and free it yourself */
    bool binary;          /* it is bytes; else UTF-8 text without NUL (and without one behind it) */
    const char *arn, *name, *version_id;
    const char *const *version_stages;
    size_t version_stage_count;
    uint64_t created_us; /* microseconds since 1970-01-01 UTC */
};
/* One of kms_client_get_secret_values. */
struct kms_secret_item {
    struct kms_get_secret_request request;
    struct kms_secret_value *result; /* out: yours to free; NULL when this one failed */
    struct kms_error error;          /* out: code 0 when this one succeeded */
};

struct kms_tag {
    const char *key, *value; /* neither may be NULL */
};
struct kms_create_secret_request {
    const char *name;
    struct kms_blob value;            /* data NULL: the secret gets no version yet */
    bool binary;                      /* value is bytes; else UTF-8 without NUL */
    const char *client_request_token; /* optional, 32 to 64 of a-z A-Z 0-9 -: the version id, and makes the
                                         call safe to repeat */
    const char *description;          /* optional */
    const char *kms_key_id;           /* optional: the key that seals the values; else the default one */
    const char *resource_policy;      /* optional JSON */
    const struct kms_tag *tags;
    size_t tag_count; /* at most 50 */
    bool bypass_policy_lockout_safety_check;
};
struct kms_put_secret_request {
    const char *secret_id;
    struct kms_blob value;
    bool binary;
    const char *client_request_token;  /* as above */
    const char *const *version_stages; /* none: AWSCURRENT */
    size_t version_stage_count;
};
struct kms_secret_written {
    const char *arn, *name, *version_id; /* version_id "": the secret has no version */
};

struct kms_random_password_request {
    uint32_t length;                /* 1 to 4,096; 0: 32 */
    const char *exclude_characters; /* optional */
    bool exclude_numbers, exclude_punctuation, exclude_uppercase, exclude_lowercase, include_space;
    bool not_each_type; /* else there is one character at least of each type that is not excluded */
};

KMS_CHECK bool kms_client_get_secret_value(kms_client *client, const struct kms_get_secret_request *request,
                                           const struct kms_call_options *options,
                                           struct kms_secret_value **ret_value, struct kms_error *error);
/* As kms_client_decrypt_many. */
KMS_CHECK bool kms_client_get_secret_values(kms_client *client, struct kms_secret_item *items, size_t count,
                                            uint32_t in_flight, const struct kms_call_options *options,
                                            struct kms_error *error);
KMS_CHECK bool kms_client_create_secret(kms_client *client, const struct kms_create_secret_request *request,
                                        const struct kms_call_options *options,
                                        struct kms_secret_written **ret_written, struct kms_error *error);
KMS_CHECK bool kms_client_put_secret_value(kms_client *client, const struct kms_put_secret_request *request,
                                           const struct kms_call_options *options,
                                           struct kms_secret_written **ret_written, struct kms_error *error);
KMS_CHECK bool kms_client_get_random_password(kms_client *client,
                                              const struct kms_random_password_request *request,
                                              const struct kms_call_options *options,
                                              kms_plaintext **ret_password, struct kms_error *error);

void kms_secret_value_free(struct kms_secret_value *value); /* wipes; NULL is a no-op */
void kms_secret_written_free(struct kms_secret_written *written);

#ifdef __cplusplus
}
#endif

#endif
