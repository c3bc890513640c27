/* The thread that has heads signed. */
#include "kmsd/service/heads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "kmsd/audit/anchor.h"
#include "kmsd/service/core.h"

enum { RETRY_MS = 5000, OWN = 1 /* the record of a head, which needs none itself */ };
_Static_assert(sizeof KMS_AUDIT_HEAD_DOMAIN == sizeof KMS_HSM_AUDIT_DOMAIN, "one domain, named by two rooms");

struct kms_heads {
    struct kms_core *core;
    kms_pipeline *pipeline;
    struct kms_heads_options options;
    kms_anchor *anchor; /* NULL: none */
    pthread_t thread;
    atomic_ullong unsigned_count; /* records since the last head was read */
    unsigned own;                 /* of those, what signing wrote itself */

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t wake;
    bool stopping, full; /* full: so many records that it is time */
    bool has_head;
    struct kms_audit_signed_head head;
    struct kms_why trouble, anchor_trouble; /* as logged last */
};

void kms_heads_wrote(kms_heads *heads, size_t records)
{
    if (heads == NULL) return;
    uint64_t before = atomic_fetch_add_explicit(&heads->unsigned_count, records, memory_order_relaxed);
    uint64_t full = heads->options.records + OWN;
    if (before >= full || before + records < full) return;
    pthread_mutex_lock(&heads->lock);
    heads->full = true;
    pthread_cond_signal(&heads->wake);
    pthread_mutex_unlock(&heads->lock);
}

/* The signature itself; key id and text of it into head. */
static kms_err sign(kms_heads *heads, struct kms_audit_signed_head *head, struct kms_why *why)
{
    struct kms_hsm_status status;
    KMS_OWN(kms_audit_keys) keys = NULL;
    char text[KMS_AUDIT_HEAD_TEXT];
    uint8_t signature[KMS_HSM_SIGNATURE_BYTES];
    struct kms_hsm_job job = {.op = KMS_HSM_AUDIT_SIGN,
                              .input = kms_audit_head_text(heads->core->instance, head, text),
                              .output = signature,
                              .output_cap = sizeof signature};
    kms_err err = kms_hsm_call(heads->core->hsm, &job);
    if (kms_failed(err)) kms_why_set(why, "the token did not sign: %s", kms_err_text(err));
    KMS_TRY(err);
    kms_hsm_status(heads->core->hsm, &status);
    const struct kms_bytes key = {status.audit_key, status.audit_key_len};
    KMS_TRY(kms_audit_key_id(key, head->key_id));
    KMS_TRY(kms_audit_keys_from_der(key, &keys));
    if (job.output_len > KMS_AUDIT_SIGNATURE_BYTES) return KMS_FAIL(HSM_UNAVAILABLE);
    kms_base64(kms_bytes_of(signature, job.output_len), head->signature);
    if (kms_audit_keys_check(keys, heads->core->instance, head) == KMS_AUDIT_SIGNATURE_GOOD) return KMS_OK;
    kms_why_set(why, "the token's signature is not one by audit-sign-1");
    return KMS_FAIL(HSM_UNAVAILABLE);
}

/* A head that is too far back by now says nothing that verify could look up: the next one will. */
static kms_err check_near(const kms_heads *heads, const struct kms_audit_signed_head *head,
                          struct kms_why *why)
{
    uint64_t now;
    char hash[KMS_DIGEST_BYTES * 2 + 1];
    kms_audit_head(heads->core->audit, &now, hash);
    if (now - head->sequence < KMS_AUDIT_HEAD_BEHIND / 2) return KMS_OK;
    kms_why_set(why, "the token signs too slowly: %llu records were written meanwhile",
                (unsigned long long)(now - head->sequence));
    return KMS_FAIL(HSM_UNAVAILABLE);
}

static kms_err sign_and_write(kms_heads *heads, struct kms_audit_signed_head *head, struct kms_why *why)
{
    kms_audit_head(heads->core->audit, &head->sequence, head->hash);
    KMS_TRY(sign(heads, head, why));
    head->time_us = kms_now_us();
    KMS_TRY(check_near(heads, head, why));
    const struct kms_audit_event event = {.kind = KMS_AUDIT_HEAD, .head = head};
    kms_err err = kms_pipeline_record(heads->pipeline, &event);
    if (kms_failed(err)) kms_why_set(why, "the audit log cannot be written");
    return err;
}

/* Told once, not every time. */
static void log_change(const char *event, struct kms_why *before, const struct kms_why *now)
{
    if (strcmp(before->text, now->text) == 0) return;
    if (now->text[0] != '\0')
        kms_log(KMS_LOG_ERROR, event, "tried again later, the log goes on: %s", now->text);
    else
        kms_log(KMS_LOG_INFO, event, "works again");
    *before = *now;
}

static void tell(kms_heads *heads, bool ok, const struct kms_audit_signed_head *head,
                 const struct kms_why *why)
{
    pthread_mutex_lock(&heads->lock);
    if (ok) heads->has_head = true;
    if (ok) heads->head = *head;
    log_change("audit.head", &heads->trouble, why);
    pthread_mutex_unlock(&heads->lock);
    if (ok && heads->anchor != NULL) kms_anchor_put(heads->anchor, head);
}

/* Nothing to do when the last record is the one that signing wrote. False: to be tried again soon. */
static bool sign_new(kms_heads *heads)
{
    struct kms_audit_signed_head head = {.sequence = 0};
    struct kms_why why = {{0}};
    if (atomic_load(&heads->unsigned_count) <= heads->own) return true;
    uint64_t count = atomic_exchange(&heads->unsigned_count, 0); /* before the head is read: none is missed */
    kms_err err = sign_and_write(heads, &head, &why);
    bool ok = !kms_failed(err);
    if (!ok && why.text[0] == '\0') kms_why_set(&why, "%s", kms_err_text(err));
    if (ok)
        heads->own = 1;
    else
        atomic_fetch_add(&heads->unsigned_count, count);
    tell(heads, ok, &head, &why);
    return ok;
}

static void look_at_anchor(kms_heads *heads)
{
    uint64_t sequence;
    struct kms_why now;
    if (heads->anchor == NULL) return;
    kms_anchor_status(heads->anchor, &sequence, &now);
    log_change("audit.anchor", &heads->anchor_trouble, &now);
}

/* Until it is time, or full. False: stop. */
static bool wait_for_work(kms_heads *heads, uint32_t wait_ms)
{
    const struct timespec until = kms_in_ms(wait_ms);
    pthread_mutex_lock(&heads->lock);
    int rc = 0;
    while (!heads->stopping && !heads->full && rc == 0)
        rc = pthread_cond_timedwait(&heads->wake, &heads->lock, &until);
    heads->full = false;
    bool go_on = !heads->stopping;
    pthread_mutex_unlock(&heads->lock);
    return go_on;
}

static void *heads_main(void *self)
{
    kms_heads *heads = self;
    const uint32_t interval_ms = heads->options.interval_ms,
                   retry_ms = interval_ms < RETRY_MS ? interval_ms : RETRY_MS;
    prctl(PR_SET_NAME, "heads");
    for (bool ok = true; wait_for_work(heads, ok ? interval_ms : retry_ms);) {
        ok = sign_new(heads);
        look_at_anchor(heads);
    }
    sign_new(heads); /* the last one */
    return NULL;
}

static void free_heads(kms_heads *heads)
{
    pthread_cond_destroy(&heads->wake);
    pthread_mutex_destroy(&heads->lock);
    free(heads);
}

kms_err kms_heads_start(const struct kms_heads_options *options, struct kms_core *core,
                        kms_pipeline *pipeline)
{
    kms_heads *heads = calloc(1, sizeof *heads);
    if (heads == NULL) return KMS_FAIL(NO_MEMORY);
    *heads = (struct kms_heads){.core = core,
                                .pipeline = pipeline,
                                .options = *options,
                                .unsigned_count = 1 /* the file's opening */};
    kms_cond_init(&heads->wake);
    pthread_mutex_init(&heads->lock, NULL);
    kms_err err = KMS_OK;
    if (options->anchor_file[0] != '\0' || options->anchor_syslog)
        err = kms_anchor_start(core->instance, options->anchor_file, options->anchor_syslog, &heads->anchor);
    if (!kms_failed(err) && pthread_create(&heads->thread, NULL, heads_main, heads) != 0)
        err = KMS_FAIL(NO_MEMORY);
    if (kms_failed(err)) {
        kms_anchor_stop(heads->anchor);
        free_heads(heads);
        return err;
    }
    atomic_store(&core->heads, heads);
    return KMS_OK;
}

void kms_heads_stop(struct kms_core *core)
{
    kms_heads *heads = core->heads;
    if (heads == NULL) return;
    pthread_mutex_lock(&heads->lock);
    heads->stopping = true;
    pthread_cond_signal(&heads->wake);
    pthread_mutex_unlock(&heads->lock);
    pthread_join(heads->thread, NULL);
    kms_anchor_stop(heads->anchor);
    heads->anchor = NULL;
}

void kms_heads_free(struct kms_core *core)
{
    if (core->heads != NULL) free_heads(core->heads);
    core->heads = NULL;
}

void kms_heads_status(kms_heads *heads, struct kms_heads_status *ret_status)
{
    *ret_status = (struct kms_heads_status){.has_head = false};
    if (heads == NULL) return;
    pthread_mutex_lock(&heads->lock);
    ret_status->has_head = heads->has_head;
    ret_status->head = heads->head;
    ret_status->trouble = heads->trouble;
    pthread_mutex_unlock(&heads->lock);
    if (heads->anchor != NULL)
        kms_anchor_status(heads->anchor, &ret_status->anchored, &ret_status->anchor_trouble);
}
