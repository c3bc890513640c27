/*
 * The threads behind the story: rpc threads begin calls, admin threads run what may block, and one finish
 * thread reads HSM results, writes the audit log and sets replies free, many at a time.
 */
#include "kmsd/service/pipeline.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/service/admin.h"
#include "kmsd/service/dispatch.h"
#include "kmsd/service/record.h"

enum { BATCH_MOST = 1024 }; /* calls of one commit */

/* A record of the service itself, waited for. */
struct note {
    const struct kms_audit_event *event;
    kms_err err;
    sem_t done;
    struct note *next;
};

struct kms_pipeline {
    struct kms_pipeline_options options;
    struct kms_core *core;
    struct kms_transport transport;
    kms_admin *admin;
    pthread_t finish_thread;
    int wake_fd; /* eventfd: something is in the inbox */
    atomic_size_t active;
    atomic_bool stopping;

    pthread_mutex_t inbox_lock;
    struct kms_call *inbox, **inbox_end; /* finished calls and attempts, oldest first */
    struct note *notes;
    bool inbox_waiting;

    /* the finish thread's own */
    struct kms_call *batch[BATCH_MOST];
    size_t batch_count;
    struct kms_record record;
    uint64_t summary_due_us;
    bool audit_failing;
};

static void wake(kms_pipeline *p)
{
    uint64_t one = 1;
    if (write(p->wake_fd, &one, sizeof one) < 0) return; /* the counter is full: awake already */
}

/* To the finish thread, from any other. */
static void hand_over(kms_pipeline *p, struct kms_call *call)
{
    call->next = NULL;
    pthread_mutex_lock(&p->inbox_lock);
    *p->inbox_end = call;
    p->inbox_end = &call->next;
    bool first = !p->inbox_waiting;
    p->inbox_waiting = true;
    pthread_mutex_unlock(&p->inbox_lock);
    if (first) wake(p);
}

static void job_done(struct kms_hsm_job *job);

static void submit(kms_pipeline *p, unsigned lane, struct kms_call *call)
{
    call->job.done = job_done;
    call->job.user = p;
    kms_hsm_submit(p->core->hsm, lane, &call->job);
}

/* The block of the key version that this call encrypts with runs low: refill it before it is empty. */
static void refill_if_low(kms_pipeline *p, struct kms_call *call)
{
    if (call->spends == NULL) return;
    const struct kms_key *key = call->spends->key;
    if (kms_budget_claim_refill(key->versions[call->spends->version - 1].budget))
        kms_admin_refill(p->admin, call->spends->key, call->spends->version);
}

static void go_on(kms_pipeline *p, unsigned lane, struct kms_call *call, enum kms_next next)
{
    if (next == KMS_NEXT_HSM) {
        refill_if_low(p, call);
        submit(p, lane, call);
        return;
    }
    if (next == KMS_NEXT_ADMIN && kms_admin_post(p->admin, call)) return;
    if (next == KMS_NEXT_ADMIN)
        call->err =
            kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED), "too many administrative calls are waiting");
    hand_over(p, call);
}

void kms_pipeline_begin(kms_pipeline *p, unsigned lane, struct kms_call *call)
{
    atomic_fetch_add_explicit(&p->active, 1, memory_order_relaxed);
    call->core = p->core;
    call->lane = lane;
    kms_core_request_id(p->core, &call->request_id);
    go_on(p, lane, call, kms_dispatch_begin(call));
}

void kms_pipeline_flush(kms_pipeline *p, unsigned lane)
{
    kms_hsm_flush(p->core->hsm, lane);
}

/* ---- the admin threads' half ---- */

static kms_err record_attempt(kms_pipeline *p, struct kms_call *call)
{
    sem_t recorded;
    sem_init(&recorded, 0, 0);
    call->attempt = true;
    call->recorded = &recorded;
    hand_over(p, call);
    while (sem_wait(&recorded) != 0 && errno == EINTR) continue;
    sem_destroy(&recorded);
    call->recorded = NULL;
    call->attempt = false;
    return call->err;
}

/* Runs on an admin thread with an HSM lane of its own. */
static void run_admin(void *self, unsigned lane, struct kms_call *call)
{
    kms_pipeline *p = self;
    if (call->method->lane == KMS_LANE_CRYPTO) {
        go_on(p, lane, call, kms_dispatch_reserve(call));
        kms_hsm_flush(p->core->hsm, lane);
        return;
    }
    bool attempt = false;
    if (kms_dispatch_admin(call, &attempt) == KMS_NEXT_ADMIN &&
        (!attempt || !kms_failed(record_attempt(p, call))))
        kms_dispatch_act(call);
    hand_over(p, call);
}

static kms_err refill(void *self, const struct kms_key *key, uint32_t version)
{
    kms_pipeline *p = self;
    struct kms_why why = {{0}};
    kms_err err = kms_budget_reserve(p->core, key, version, &why);
    if (kms_failed(err))
        kms_log(KMS_LOG_WARN, "key.budget", "key=%s version=%u err=%s %s", key->id_text, version,
                kms_err_reason(err), why.text);
    return err;
}

/* ---- the finish thread ---- */

/* A finished call: its reply is made, its record appended; it leaves with the batch. */
static void take(kms_pipeline *p, struct kms_call *call)
{
    bool reply = !call->attempt;
    if (reply) p->transport.encode(p->transport.self, call);
    if (!call->silent) {
        kms_err err = kms_audit_append(p->core->audit, kms_record_of(call, &p->record));
        if (kms_failed(err)) {
            call->err = KMS_FAIL(AUDIT_UNAVAILABLE);
            if (reply) p->transport.encode(p->transport.self, call);
        }
    }
    p->batch[p->batch_count++] = call;
}

static void note_audit_state(kms_pipeline *p, kms_err err)
{
    if (kms_failed(err) == p->audit_failing) return;
    p->audit_failing = kms_failed(err);
    if (p->audit_failing)
        kms_log(KMS_LOG_ERROR, "audit.write", "err=%s no call is answered until it works again",
                kms_err_reason(err));
    else
        kms_log(KMS_LOG_INFO, "audit.write", "works again");
}

/* Group commit: all records of the batch become durable together, then all its replies may leave. */
static void commit_batch(kms_pipeline *p)
{
    if (p->batch_count == 0) return;
    kms_err err = kms_audit_commit(p->core->audit);
    note_audit_state(p, err);
    size_t replies = 0;
    for (size_t i = 0; i < p->batch_count; i++) {
        struct kms_call *call = p->batch[i];
        if (kms_failed(err) && !call->silent) call->err = KMS_FAIL(AUDIT_UNAVAILABLE);
        if (call->attempt) {
            sem_post(call->recorded); /* the admin thread owns it again */
            continue;
        }
        if (kms_failed(err) && !call->silent) p->transport.encode(p->transport.self, call);
        p->batch[replies++] = call;
    }
    p->batch_count = 0;
    p->transport.release(p->transport.self, p->batch, replies);
    atomic_fetch_sub_explicit(&p->active, replies, memory_order_relaxed);
}

static void take_or_commit(kms_pipeline *p, struct kms_call *call)
{
    if (p->batch_count == BATCH_MOST) commit_batch(p);
    take(p, call);
}

static void job_done(struct kms_hsm_job *job)
{
    struct kms_call *call = (struct kms_call *)(void *)((char *)job - offsetof(struct kms_call, job));
    kms_dispatch_finish(call);
    take_or_commit(job->user, call);
}

static void write_notes(kms_pipeline *p, struct note *notes)
{
    while (notes != NULL) {
        struct note *note = notes;
        notes = note->next;
        note->err = kms_audit_append(p->core->audit, note->event);
        if (!kms_failed(note->err)) note->err = kms_audit_commit(p->core->audit);
        note_audit_state(p, note->err);
        sem_post(&note->done);
    }
}

static void empty_inbox(kms_pipeline *p)
{
    uint64_t count;
    while (read(p->wake_fd, &count, sizeof count) > 0) continue; /* non-blocking: until it is zero */
    pthread_mutex_lock(&p->inbox_lock);
    struct kms_call *call = p->inbox;
    struct note *notes = p->notes;
    p->inbox = NULL;
    p->inbox_end = &p->inbox;
    p->notes = NULL;
    p->inbox_waiting = false;
    pthread_mutex_unlock(&p->inbox_lock);
    while (call != NULL) {
        struct kms_call *next = call->next;
        take_or_commit(p, call);
        call = next;
    }
    commit_batch(p);
    write_notes(p, notes);
}

static void write_summary(void *self, const char *principal, uint64_t count)
{
    kms_pipeline *p = self;
    const struct kms_audit_event event = {
        .kind = KMS_AUDIT_SUPPRESSED, .principal = principal, .count = count, .started_us = kms_now_us()};
    kms_err err = kms_audit_append(p->core->audit, &event);
    if (!kms_failed(err)) err = kms_audit_commit(p->core->audit);
    note_audit_state(p, err);
}

static void write_summaries(kms_pipeline *p)
{
    uint64_t now = kms_monotonic_us();
    if (now < p->summary_due_us) return;
    p->summary_due_us = now + 1000000;
    kms_authn_suppressed(p->core->authn, kms_now_us(), write_summary, p);
}

static void *finish_main(void *self)
{
    kms_pipeline *p = self;
    prctl(PR_SET_NAME, "finish");
    struct pollfd fds[] = {{.fd = kms_hsm_poll_fd(p->core->hsm), .events = POLLIN},
                           {.fd = p->wake_fd, .events = POLLIN}};
    while (!atomic_load(&p->stopping)) {
        int timeout_ms = kms_hsm_poll_timeout_ms(p->core->hsm);
        if (timeout_ms < 0 || timeout_ms > 1000) timeout_ms = 1000; /* summaries are due every second */
        if (poll(fds, 2, timeout_ms) < 0 && errno != EINTR) break;
        kms_hsm_poll(p->core->hsm);
        empty_inbox(p);
        write_summaries(p);
    }
    return NULL;
}

/* ---- start and stop ---- */

kms_err kms_pipeline_record(kms_pipeline *p, const struct kms_audit_event *event)
{
    struct note note = {.event = event};
    sem_init(&note.done, 0, 0);
    pthread_mutex_lock(&p->inbox_lock);
    struct note **end = &p->notes;
    while (*end != NULL) end = &(*end)->next;
    *end = &note;
    pthread_mutex_unlock(&p->inbox_lock);
    wake(p);
    while (sem_wait(&note.done) != 0 && errno == EINTR) continue;
    sem_destroy(&note.done);
    return note.err;
}

static void no_encode(void *self, struct kms_call *call)
{
    (void)self, (void)call;
}
static void no_release(void *self, struct kms_call **calls, size_t count)
{
    (void)self, (void)calls, (void)count;
}

kms_err kms_pipeline_start(const struct kms_pipeline_options *options, struct kms_core *core,
                           kms_pipeline **ret_pipeline)
{
    kms_pipeline *p = calloc(1, sizeof *p);
    if (p == NULL) return KMS_FAIL(NO_MEMORY);
    p->options = *options;
    p->core = core;
    p->transport = (struct kms_transport){.encode = no_encode, .release = no_release};
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->inbox_end = &p->inbox;
    pthread_mutex_init(&p->inbox_lock, NULL);
    const struct kms_admin_work work = {.self = p, .run = run_admin, .refill = refill};
    kms_err err = p->wake_fd < 0 ? KMS_FAIL(INTERNAL)
                                 : kms_admin_start(options->admin_threads, options->admin_queue,
                                                   options->rpc_threads, &work, &p->admin);
    if (!kms_failed(err) && pthread_create(&p->finish_thread, NULL, finish_main, p) != 0) {
        kms_admin_stop(p->admin);
        err = KMS_FAIL(NO_MEMORY);
    }
    if (kms_failed(err)) {
        if (p->wake_fd >= 0) close(p->wake_fd);
        free(p);
        return err;
    }
    *ret_pipeline = p;
    return KMS_OK;
}

void kms_pipeline_set_transport(kms_pipeline *p, const struct kms_transport *transport)
{
    p->transport = *transport;
}
size_t kms_pipeline_active(kms_pipeline *p)
{
    return atomic_load(&p->active);
}

void kms_call_end(struct kms_call *call)
{
    for (size_t i = 0; i < call->access_count; i++) {
        kms_key_unref(call->access[i].key);
        kms_policy_unref(call->access[i].policy);
    }
    call->access_count = 0;
    if (call->admitted) kms_authn_leave(call->core->authn, call->identity);
    call->admitted = false;
    kms_identity_unref(call->identity);
    call->identity = NULL;
    kms_arena_wipe(&call->arena);
}

void kms_pipeline_stop(kms_pipeline *p)
{
    if (p == NULL) return;
    kms_admin_stop(p->admin); /* needs the finish thread for its last attempts */
    atomic_store(&p->stopping, true);
    wake(p);
    pthread_join(p->finish_thread, NULL);
    close(p->wake_fd);
    pthread_mutex_destroy(&p->inbox_lock);
    free(p);
}
