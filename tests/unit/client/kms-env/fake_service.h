/*
 * A service that hides nothing: what it "encrypts" carries application, name and value in clear, and it
 * "decrypts" for the same application and name only. The key that it knows is "alias/right". Its secrets are
 * in fake_secrets, and it may not tell "denied".
 */
#ifndef KMS_TESTS_KMS_ENV_FAKE_SERVICE_H
#define KMS_TESTS_KMS_ENV_FAKE_SERVICE_H

#include <stdlib.h>

#include "base/ciphertext.h"
#include "client/kms-env/seal.h"
#include "tests/harness/suite.h"

struct fake_service {
    size_t calls, values; /* of ciphertext */
    size_t fetched;       /* secrets and roles, each time one is asked for */
    bool down;
};

static inline void fake_binding(kms_buf *to, const char *app, const char *name)
{
    KMS_ASSERT_OK_FATAL(kms_buf_print(to, "%s/%s/", app, name));
}

static inline kms_err fake_encrypt(void *self, const struct kms_env_binding *to, struct kms_bytes plaintext,
                                   kms_buf *blob, struct kms_why *why)
{
    struct fake_service *service = self;
    struct kms_ciphertext_header header = {.algorithm = KMS_ALG_AES_256_GCM, .key_version = 3};
    uint8_t bytes[KMS_CIPHERTEXT_HEADER_BYTES], nonce[12] = {0}, tag[16] = {0};
    service->calls++;
    if (strcmp(to->key, "alias/right") != 0) {
        kms_why_set(why, "no such key: %s", to->key);
        return KMS_FAIL(ACCESS_DENIED);
    }
    memset(header.key_id.bytes, 0x11, sizeof header.key_id.bytes);
    kms_ciphertext_header_put(&header, bytes);
    KMS_TRY(kms_buf_append(blob, bytes, sizeof bytes));
    KMS_TRY(kms_buf_append(blob, nonce, sizeof nonce));
    fake_binding(blob, to->app, to->name);
    KMS_TRY(kms_buf_append(blob, plaintext.ptr, plaintext.len));
    return kms_buf_append(blob, tag, sizeof tag);
}

static inline void fake_decrypt_one(struct kms_env_job *job)
{
    KMS_OWN_BUF binding = {0};
    const size_t before = KMS_CIPHERTEXT_HEADER_BYTES + 12, behind = 16;
    fake_binding(&binding, job->app, job->name);
    struct kms_bytes inside =
        kms_bytes_of(job->ciphertext.ptr + before, job->ciphertext.len - before - behind);
    job->err = KMS_OK;
    if (job->key != NULL && strcmp(job->key, "alias/right") != 0) {
        job->err = KMS_FAIL(INCORRECT_KEY);
        snprintf(job->reason, sizeof job->reason, "INCORRECT_KEY");
    } else if (inside.len < binding.len || memcmp(inside.ptr, binding.data, binding.len) != 0) {
        job->err = KMS_FAIL(INVALID_CIPHERTEXT);
        kms_why_set(&job->why, "another context than %s %s", job->app, job->name);
    } else if (inside.len > binding.len) {
        size_t len = inside.len - binding.len;
        KMS_ASSERT_OK_FATAL(kms_secret_new(len, &job->plaintext));
        kms_copy(kms_secret_data(job->plaintext), inside.ptr + binding.len, len);
    }
}

static inline kms_err fake_decrypt(void *self, struct kms_env_job *jobs, size_t count, struct kms_why *why)
{
    struct fake_service *service = self;
    service->calls++;
    service->values += count;
    if (service->down) {
        kms_why_set(why, "no connection");
        return KMS_FAIL(CONFIG_INVALID);
    }
    for (size_t i = 0; i < count; i++) fake_decrypt_one(&jobs[i]);
    return KMS_OK;
}

static inline struct kms_env_decrypter fake_decrypter(struct fake_service *service)
{
    return (struct kms_env_decrypter){fake_decrypt, service};
}

static inline struct kms_env_encrypter fake_encrypter(struct fake_service *service)
{
    return (struct kms_env_encrypter){fake_encrypt, service};
}

static const struct {
    const char *name, *stage, *version, *value;
} fake_secrets[] = {
    {"raw", "AWSCURRENT", NULL, "s3cr3t"},
    {"raw", "AWSPREVIOUS", NULL, "old"},
    {"raw", NULL, "v1", "older"},
    {"db", "AWSCURRENT", NULL, "{\"user\":\"u\",\"port\":5432,\"none\":null,\"pass\":\"p w\"}"},
    {"empty", "AWSCURRENT", NULL, ""},
};

static inline bool fake_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static inline kms_secret *fake_secret(const char *text)
{
    kms_secret *secret = NULL;
    if (text[0] == '\0') return NULL;
    KMS_ASSERT_OK_FATAL(kms_secret_new(strlen(text), &secret));
    kms_copy(kms_secret_data(secret), text, strlen(text));
    return secret;
}

static inline void fake_fetch_one(struct kms_env_fetch *fetch)
{
    const bool denied = strcmp(fetch->name, "denied") == 0;
    fetch->err = denied ? KMS_FAIL(ACCESS_DENIED) : KMS_FAIL(NOT_FOUND);
    snprintf(fetch->reason, sizeof fetch->reason, "%s", denied ? "ACCESS_DENIED" : "");
    if (fetch->kind == KMS_ENV_REFERENCE_DB) {
        fetch->err = KMS_OK;
        fetch->username = fake_secret(fetch->name);
        fetch->value = fake_secret("made");
    }
    for (size_t i = 0; i < sizeof fake_secrets / sizeof fake_secrets[0]; i++) {
        if (!fake_same(fetch->name, fake_secrets[i].name) ||
            !fake_same(fetch->stage, fake_secrets[i].stage) ||
            !fake_same(fetch->version, fake_secrets[i].version))
            continue;
        fetch->err = KMS_OK;
        fetch->value = fake_secret(fake_secrets[i].value);
    }
}

static inline kms_err fake_fetch(void *self, struct kms_env_fetch *fetches, size_t count, struct kms_why *why)
{
    struct fake_service *service = self;
    service->fetched += count;
    if (service->down) {
        kms_why_set(why, "no connection");
        return KMS_FAIL(CONFIG_INVALID);
    }
    for (size_t i = 0; i < count; i++) fake_fetch_one(&fetches[i]);
    return KMS_OK;
}

static inline struct kms_env_providers fake_providers(struct fake_service *service)
{
    return (struct kms_env_providers){{fake_decrypt, service}, {fake_fetch, service}};
}

/* Appends format, in which each {NAME=VALUE} becomes the text form of VALUE for app and NAME. */
static inline void fake_text(kms_buf *to, const char *app, const char *format)
{
    struct fake_service service = {0};
    for (const char *at = format; *at != '\0'; at++) {
        if (*at != '{') {
            KMS_ASSERT_OK_FATAL(kms_buf_append(to, at, 1));
            continue;
        }
        KMS_OWN_BUF name = {0}, blob = {0};
        const char *equals = strchr(at, '='), *end = strchr(at, '}');
        KMS_ASSERT_OK_FATAL(kms_buf_append(&name, at + 1, (size_t)(equals - at - 1)));
        struct kms_bytes value = kms_bytes_of(equals + 1, (size_t)(end - equals - 1));
        struct kms_env_binding binding = {.key = "alias/right", .app = app, .name = (char *)name.data};
        KMS_ASSERT_OK_FATAL(fake_encrypt(&service, &binding, value, &blob, NULL));
        KMS_ASSERT_OK_FATAL(kms_ciphertext_to_text(kms_buf_view(&blob), to));
        at = end;
    }
}

#endif
