/*
 * What goes into the calls of libkms and what comes out.
 *
 * Requests are filled by the caller, borrowed for the call, and may be zero-initialised: members that are
 * said to be optional may stay so. Results are made by the library, belong to the caller, and are given back
 * by the _free function of their type, which accepts NULL; everything that a result points to lives as long
 * as it does. Text is UTF-8 and NUL-terminated, never NULL in a result. Keys are named by id (a UUID),
 * "alias/NAME", or either inside an ARN.
 */
#ifndef KMS_TYPES_H
#define KMS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kms/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes: borrowed in a request, owned by the result in a result. */
struct kms_blob {
    const uint8_t *data; /* may be NULL when len is 0 */
    size_t len;          /* bytes */
};

/*
 * Plaintext or a plain data key, in memory that is locked into RAM, left out of core dumps, and wiped when
 * freed. Not thread-safe to free while another thread reads.
 */
typedef struct kms_plaintext kms_plaintext;
const uint8_t *kms_plaintext_data(const kms_plaintext *plaintext); /* borrowed, valid until free */
size_t kms_plaintext_len(const kms_plaintext *plaintext);          /* bytes */
void kms_plaintext_free(kms_plaintext *plaintext);                 /* wipes; NULL is a no-op */

/* The encryption context: pairs bound to a ciphertext and logged in clear. Order does not matter. */
struct kms_context_entry {
    const char *name, *value; /* neither may be NULL */
};
struct kms_context {
    const struct kms_context_entry *entries;
    size_t count; /* at most 64 */
};

/* Values of the protocol (proto/kms/v1); a newer server may answer values that are not listed here. */
enum kms_protection_level { KMS_PROTECTION_DEFAULT = 0, KMS_PROTECTION_HSM = 1, KMS_PROTECTION_SOFTWARE = 2 };
enum kms_key_state {
    KMS_KEY_ENABLED = 1,
    KMS_KEY_DISABLED = 2,
    KMS_KEY_PENDING_DELETION = 3,
    KMS_KEY_PENDING_IMPORT = 4,
    KMS_KEY_UNAVAILABLE = 5
};
enum kms_encryption_algorithm { KMS_ENCRYPTION_SYMMETRIC_DEFAULT = 0, KMS_ENCRYPTION_RSAES_OAEP_SHA_256 = 2 };
enum kms_data_key_spec { KMS_DATA_KEY_BY_BYTES = 0, KMS_DATA_KEY_AES_128 = 1, KMS_DATA_KEY_AES_256 = 2 };

struct kms_encrypt_request {
    const char *key_id;
    struct kms_blob plaintext; /* 1 to 65,536 bytes; with an RSA key a few hundred */
    struct kms_context context;
    enum kms_encryption_algorithm encryption_algorithm; /* of an RSA key: not the default, and no context */
    struct kms_blob oaep_label; /* optional, with an RSA key: at most 512 bytes, no secret */
};
struct kms_encrypt_result {
    struct kms_blob ciphertext;
    const char *key_arn; /* of the key that was used */
    uint32_t key_version;
};

struct kms_decrypt_request {
    struct kms_blob ciphertext;
    struct kms_context context; /* as at encryption */
    const char *key_id;         /* optional: the key that must have made the ciphertext, else INCORRECT_KEY */
    enum kms_encryption_algorithm encryption_algorithm; /* as at encryption; an RSA key must be named */
    struct kms_blob oaep_label;                         /* as at encryption */
};
struct kms_decrypt_result {
    kms_plaintext *plaintext; /* may be taken out: set the member to NULL and free it yourself */
    const char *key_arn;
    uint32_t key_version;
};

/* Items of many: each has its result or its error afterwards. */
struct kms_encrypt_item {
    struct kms_encrypt_request request;
    struct kms_encrypt_result *result; /* out: yours to free; NULL when this item failed */
    struct kms_error error;            /* out: code 0 when this item succeeded */
};
struct kms_decrypt_item {
    struct kms_decrypt_request request;
    struct kms_decrypt_result *result; /* out: yours to free; NULL when this value failed */
    struct kms_error error;            /* out: code 0 when this value succeeded */
};

struct kms_re_encrypt_request {
    struct kms_blob ciphertext;
    struct kms_context source_context, destination_context;
    const char *source_key_id; /* optional, as key_id of kms_decrypt_request */
    const char *destination_key_id;
};
struct kms_re_encrypt_result {
    struct kms_blob ciphertext;
    const char *source_key_arn, *key_arn; /* of the key that made the old one, and the new one */
    uint32_t source_key_version, key_version;
};

/* One value of kms_client_re_encrypt_many. */
struct kms_re_encrypt_item {
    struct kms_re_encrypt_request request;
    struct kms_re_encrypt_result *result; /* out: yours to free; NULL when this value failed */
    struct kms_error error;               /* out: code 0 when this value succeeded */
};

struct kms_data_key_request {
    const char *key_id;
    enum kms_data_key_spec spec; /* exactly one of spec and number_of_bytes */
    uint32_t number_of_bytes;    /* 1 to 1,024 */
    struct kms_context context;  /* decrypting the wrapped data key needs the same */
};
struct kms_data_key_result {
    struct kms_blob ciphertext; /* the data key, wrapped */
    kms_plaintext *plaintext; /* the data key; NULL from ..._without_plaintext. May be taken out, as above */
    const char *key_arn;
    uint32_t key_version;
};
struct kms_data_key_item {
    struct kms_data_key_request request;
    struct kms_data_key_result *result; /* out: yours to free; NULL when this item failed */
    struct kms_error error;             /* out: code 0 when this item succeeded */
};

struct kms_data_key_pair_request {
    const char *key_id; /* a symmetric key */
    const char *spec;   /* "RSA_2048" to "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",
                                   "ECC_NIST_EDWARDS25519" */
    struct kms_context context; /* decrypting the wrapped private key needs the same */
};
struct kms_data_key_pair_result {
    struct kms_blob private_key_ciphertext; /* the private key, wrapped */
    kms_plaintext
        *private_key; /* PKCS#8 in DER; NULL from ..._without_plaintext. May be taken out, as above */
    struct kms_blob public_key; /* SubjectPublicKeyInfo in DER */
    const char *key_arn;
    uint32_t key_version;
};

struct kms_key_version {
    uint32_t version;          /* from 1 */
    uint64_t creation_time_us; /* microseconds since 1970-01-01 UTC */
    uint32_t root_id;          /* generation of root keys that wraps it */
};
struct kms_key_metadata {
    const char *key_id, *arn, *description;
    uint64_t creation_time_us;
    enum kms_key_state state;
    enum kms_protection_level protection_level;
    uint32_t current_version;   /* the one that encrypts */
    const char *const *aliases; /* "alias/NAME", sorted */
    size_t alias_count;
    const struct kms_key_version *versions; /* oldest first */
    size_t version_count;
    const char *key_spec, *key_usage; /* "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT" */
    const char *material_exposure;    /* where plain key material may exist, in words */
};

struct kms_create_key_request {
    const char *policy; /* optional JSON: without it the caller administers the key and nobody may use it */
    const char *description; /* optional */
    const char *alias;       /* optional "alias/NAME", made in the same step */
    enum kms_protection_level protection_level;
    const char *client_request_token; /* optional, at most 64 bytes: makes the call safe to repeat */
    bool bypass_policy_lockout_safety_check;
    const char *key_spec;  /* optional: "RSA_4096", "HMAC_256" ...; without it SYMMETRIC_DEFAULT */
    const char *key_usage; /* "ENCRYPT_DECRYPT" or "SIGN_VERIFY" for RSA; optional for the others */
    const char *origin;    /* optional: "EXTERNAL", whose material is imported; without it "KMS" */
};
struct kms_rotate_result {
    const char *key_arn;
    uint32_t current_version; /* the one that encrypts from now on */
};

/* Lists come page by page: ask again with next_marker while truncated. */
struct kms_list_request {
    const char *key_id; /* optional, aliases only: those of this key */
    uint32_t limit;     /* at most this many, 1 to 1,000; 0 means 100 */
    const char *marker; /* optional: next_marker of the page before */
};
struct kms_key_entry {
    const char *key_id, *arn;
};
struct kms_key_list {
    const struct kms_key_entry *keys;
    size_t count;
    bool truncated;
    const char *next_marker;
};
struct kms_alias_entry {
    const char *alias, *arn, *target_key_id;
};
struct kms_alias_list {
    const struct kms_alias_entry *aliases;
    size_t count;
    bool truncated;
    const char *next_marker;
};

struct kms_put_key_policy_request {
    const char *key_id;
    const char *policy; /* JSON, at most 32,768 bytes */
    bool bypass_policy_lockout_safety_check;
};
struct kms_key_policy {
    const char *policy; /* as it was written, byte for byte */
};

struct kms_capability {
    const char *name; /* "aes-256-gcm", ... */
    bool available;
    const char *reason; /* why not; empty when available */
};
/* What the service is called at. */
struct kms_status_listener {
    const char *address, *transport; /* or path; "tls", "unix", "tcp" (without TLS) */
    const char *protocol;            /* "kms", "sops", "kubernetes", "csi" */
    const char *default_principal;   /* of everybody who has none of his own; empty: of nobody */
};

struct kms_status {
    const char *version, *instance_id;
    uint64_t start_time_us;
    const char *policy_separation, *service_policy_sha256;
    uint32_t hsm_workers_healthy, hsm_workers_configured;
    const char *hsm_token;
    const struct kms_capability *hsm_capabilities;
    size_t hsm_capability_count;
    uint32_t root_id;
    uint64_t keystore_revision, keys, aliases;
    const char *keystore_digest;
    uint64_t audit_sequence;
    const char *audit_head;
    bool audit_writable;
    const char *const *warnings; /* settings that weaken the defaults, one sentence each */
    size_t warning_count;
    const char *const *audit_troubles; /* what is wrong with the audit log now, one sentence each */
    size_t audit_trouble_count;
    const struct kms_status_listener *listeners;
    size_t listener_count;
};

void kms_encrypt_result_free(struct kms_encrypt_result *result);
void kms_decrypt_result_free(struct kms_decrypt_result *result); /* with its plaintext, unless taken out */
void kms_re_encrypt_result_free(struct kms_re_encrypt_result *result);
void kms_data_key_result_free(struct kms_data_key_result *result); /* with its plaintext, unless taken out */
void kms_data_key_pair_result_free(struct kms_data_key_pair_result *result);
void kms_key_metadata_free(struct kms_key_metadata *metadata);
void kms_rotate_result_free(struct kms_rotate_result *result);
void kms_key_list_free(struct kms_key_list *list);
void kms_alias_list_free(struct kms_alias_list *list);
void kms_key_policy_free(struct kms_key_policy *policy);
void kms_status_free(struct kms_status *status);

#ifdef __cplusplus
}
#endif

#endif
