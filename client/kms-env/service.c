/* Encryption and decryption of values by libkms. Each value is bound to its application and its name. */
#include "client/kms-env/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/kms-env/bind.h"
#include "client/kms-env/connection.h"
#include "client/kms-env/service_inside.h"

enum { BATCH_ITEMS = 256, BATCH_BYTES = 1024 * 1024 };

kms_err kms_env_service_error(const struct kms_error *error, struct kms_why *why)
{
    kms_why_set(why, "%s", error->message);
    for (int code = KMS_E_OK + 1; code < KMS_E_COUNT; code++)
        if (strcmp(kms_err_reason((kms_err){(enum kms_code)code}), error->reason) == 0)
            return (kms_err){(enum kms_code)code};
    return KMS_FAIL(INTERNAL);
}

kms_err kms_env_service_need(kms_env_service *service, struct kms_why *why)
{
    KMS_OWN_CONNECTION connection = {0};
    struct kms_error error;
    if (service->client != NULL) return KMS_OK;
    KMS_TRY(kms_env_connection_find(service->settings, &connection, why));
    if (kms_client_open(&connection.options, &service->client, &error)) return KMS_OK;
    return kms_env_service_error(&error, why);
}

kms_err kms_env_service_new(const struct kms_env_settings *settings, kms_env_service **ret_service)
{
    kms_env_service *service = calloc(1, sizeof *service);
    if (service == NULL) return KMS_FAIL(NO_MEMORY);
    service->settings = settings;
    *ret_service = service;
    return KMS_OK;
}

kms_err kms_env_service_open(const struct kms_env_settings *settings, kms_env_service **ret_service,
                             struct kms_why *why)
{
    KMS_OWN(kms_env_service) service = NULL;
    KMS_TRY(kms_env_service_new(settings, &service));
    KMS_TRY(kms_env_service_need(service, why));
    *ret_service = KMS_GIVE(service);
    return KMS_OK;
}

void kms_env_service_close(kms_env_service *service)
{
    if (service == NULL) return;
    kms_client_close(service->client);
    free(service);
}

void kms_env_service_drop(kms_env_service **service)
{
    kms_env_service_close(*service);
}

static kms_err encrypt(void *self, const struct kms_env_binding *to, struct kms_bytes plaintext,
                       kms_buf *blob, struct kms_why *why)
{
    kms_env_service *service = self;
    struct kms_env_pairs pairs;
    struct kms_encrypt_request request = {.key_id = to->key,
                                          .plaintext = {plaintext.ptr, plaintext.len},
                                          .context = kms_env_bind(&pairs, to->app, to->name)};
    struct kms_encrypt_result *result;
    struct kms_error error;
    if (!kms_client_encrypt(service->client, &request, NULL, &result, &error))
        return kms_env_service_error(&error, why);
    kms_err err = kms_buf_append(blob, result->ciphertext.data, result->ciphertext.len);
    kms_encrypt_result_free(result);
    return err;
}

struct kms_env_encrypter kms_env_service_encrypter(kms_env_service *service)
{
    return (struct kms_env_encrypter){.encrypt = encrypt, .self = service};
}

static kms_err take_plaintext(const struct kms_decrypt_result *result, struct kms_env_job *job)
{
    size_t len = kms_plaintext_len(result->plaintext);
    if (len == 0) return KMS_OK;
    KMS_TRY(kms_secret_new(len, &job->plaintext));
    kms_copy(kms_secret_data(job->plaintext), kms_plaintext_data(result->plaintext), len);
    return KMS_OK;
}

/* A wrong context is the usual cause and reads like damage: say which one was tried. */
static void explain(struct kms_env_job *job)
{
    if (!kms_is(job->err, KMS_E_INVALID_CIPHERTEXT)) return;
    kms_why_set(&job->why, "damaged, or not made for the variable %s of application %s (--app)", job->name,
                job->app);
}

static void finish(struct kms_decrypt_item *item, struct kms_env_job *job)
{
    if (item->result != NULL) {
        job->err = take_plaintext(item->result, job);
    } else {
        job->err = kms_env_service_error(&item->error, &job->why);
        snprintf(job->reason, sizeof job->reason, "%s", item->error.reason);
    }
    kms_decrypt_result_free(item->result);
    explain(job);
}

/* As many as one batch takes. */
static size_t batch_of(const struct kms_decrypt_item *items, size_t count)
{
    size_t some = 0, bytes = 0;
    while (some < count && some < BATCH_ITEMS) {
        bytes += items[some].request.ciphertext.len;
        if (some > 0 && bytes > BATCH_BYTES) break;
        some++;
    }
    return some;
}

/* An older server knows no batches, a busy or a small one may refuse them: then one by one. */
static bool batch_is_refused(const struct kms_decrypt_item *items, size_t count,
                             const struct kms_error *error)
{
    enum { UNIMPLEMENTED = 12, RESOURCE_EXHAUSTED = 8 };
    for (size_t i = 0; i < count; i++)
        if (items[i].result != NULL) return false;
    return error->code == UNIMPLEMENTED || error->code == RESOURCE_EXHAUSTED ||
           strcmp(error->reason, "INVALID_ARGUMENT") == 0;
}

/* Each item says for itself what became of it. */
static void decrypt_some(kms_client *client, struct kms_decrypt_item *items, size_t count)
{
    struct kms_error error;
    if (count > 1 && (kms_client_decrypt_batch(client, items, count, NULL, &error) ||
                      !batch_is_refused(items, count, &error)))
        return;
    bool all = kms_client_decrypt_many(client, items, count, KMS_ENV_IN_FLIGHT, NULL, NULL);
    (void)all;
}

static kms_err decrypt_all(kms_env_service *service, struct kms_env_job *jobs, size_t count)
{
    struct kms_decrypt_item *items = calloc(count, sizeof *items);
    struct kms_env_pairs *pairs = calloc(count, sizeof *pairs);
    kms_err err = items != NULL && pairs != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
    if (!kms_failed(err)) {
        for (size_t i = 0; i < count; i++)
            items[i].request =
                (struct kms_decrypt_request){.ciphertext = {jobs[i].ciphertext.ptr, jobs[i].ciphertext.len},
                                             .context = kms_env_bind(&pairs[i], jobs[i].app, jobs[i].name),
                                             .key_id = jobs[i].key};
        for (size_t i = 0, some; i < count; i += some) {
            some = batch_of(&items[i], count - i);
            decrypt_some(service->client, &items[i], some);
        }
        for (size_t i = 0; i < count; i++) finish(&items[i], &jobs[i]);
    }
    free(items);
    free(pairs);
    return err;
}

static kms_err decrypt(void *self, struct kms_env_job *jobs, size_t count, struct kms_why *why)
{
    KMS_TRY(kms_env_service_need(self, why));
    return decrypt_all(self, jobs, count);
}

struct kms_env_providers kms_env_service_providers(kms_env_service *service)
{
    return (struct kms_env_providers){.decrypter = {.decrypt = decrypt, .self = service},
                                      .fetcher = {.fetch = kms_env_service_fetch, .self = service}};
}
