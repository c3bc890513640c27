/* Group commit: many records, one commit, then many replies. */
#include "kmsd/service/finish.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "kmsd/service/batch.h"
#include "kmsd/service/dispatch.h"
#include "kmsd/service/heads.h"
#include "kmsd/service/record.h"
#include "kmsd/service/tally.h"
#include "kmsd/service/tell.h"
#include "kmsd/service/usage.h"

enum { BATCH_MOST = 1024 }; /* calls of one commit */

/* A record of the service itself, waited for. */
struct note {
    const struct kms_audit_event *event;
    kms_err err;
    sem_t done;
    struct note *next;
};

struct kms_finish {
    struct kms_core *core;
    struct kms_transport transport;
    pthread_t thread;
    int wake_fd; /* eventfd: something is in the inbox */
    atomic_bool stopping;

    pthread_mutex_t lock;                /* for the inbox */
    struct kms_call *inbox, **inbox_end; /* oldest first */
    struct note *notes;
    bool woken;

    /* the thread's own */
    struct kms_call *batch[BATCH_MOST];
    size_t batch_count;
    struct kms_record record;
    uint64_t second_due_us;
    unsigned lane; /* of the HSM, for more jobs of a batch */
    bool fed;      /* something was submitted there */
    struct kms_told told;
};

static void wake(kms_finish *f)
{
    uint64_t one = 1;
    if (write(f->wake_fd, &one, sizeof one) < 0) return; /* the counter is full: awake already */
}

void kms_finish_post(kms_finish *f, struct kms_call *call)
{
    call->next = NULL;
    kms_journey_reach(&call->journey, KMS_STATION_AUDIT);
    pthread_mutex_lock(&f->lock);
    *f->inbox_end = call;
    f->inbox_end = &call->next;
    bool first = !f->woken;
    f->woken = true;
    pthread_mutex_unlock(&f->lock);
    if (first) wake(f);
}

void kms_finish_refuse(kms_finish *f, struct kms_call *call)
{
    f->transport.encode(f->transport.self, call);
    kms_journey_reach(&call->journey, KMS_STATION_REPLY);
    kms_tally_call(call);
    f->transport.release(f->transport.self, &call, 1);
}

static void wait_on(sem_t *done)
{
    while (sem_wait(done) != 0 && errno == EINTR) continue;
    sem_destroy(done);
}

kms_err kms_finish_attempt(kms_finish *f, struct kms_call *call)
{
    sem_t recorded;
    sem_init(&recorded, 0, 0);
    call->attempt = true;
    call->recorded = &recorded;
    kms_finish_post(f, call);
    wait_on(&recorded);
    call->recorded = NULL;
    call->attempt = false;
    return call->err;
}

kms_err kms_finish_note(kms_finish *f, const struct kms_audit_event *event)
{
    struct note note = {.event = event};
    sem_init(&note.done, 0, 0);
    pthread_mutex_lock(&f->lock);
    struct note **end = &f->notes;
    while (*end != NULL) end = &(*end)->next;
    *end = &note;
    pthread_mutex_unlock(&f->lock);
    wake(f);
    wait_on(&note.done);
    return note.err;
}

/* No record, no answer: whatever the call came to is not told. */
static void withhold(kms_finish *f, struct kms_call *call)
{
    call->err = kms_call_fail(call, KMS_FAIL(AUDIT_UNAVAILABLE), "%s", "");
    if (!call->attempt) f->transport.encode(f->transport.self, call);
}

/* A finished call: its reply is made, its record appended; it leaves with the batch. */
static void take(kms_finish *f, struct kms_call *call)
{
    if (!call->attempt) {
        kms_journey_reach(&call->journey, KMS_STATION_FINISH);
        f->transport.encode(f->transport.self, call);
    }
    kms_journey_reach(&call->journey, KMS_STATION_AUDIT);
    if (!call->silent && kms_failed(kms_audit_append(f->core->audit, kms_record_of(call, &f->record))))
        withhold(f, call);
    f->batch[f->batch_count++] = call;
}

static kms_err ship(struct kms_core *core, struct kms_why *why)
{
    uint64_t sequence;
    char hash[2 * KMS_DIGEST_BYTES + 1];
    if (core->ship == NULL) return KMS_OK;
    kms_audit_head(core->audit, &sequence, hash);
    return kms_ship_commit(core->ship, kms_audit_file(core->audit), sequence, why);
}

/* To the log, and then wherever else records must be before an answer. *ret_logged: they are in the log,
 * whether or not they count as written. */
static kms_err commit(kms_finish *f, size_t records, bool *ret_logged)
{
    struct kms_why why = {{0}};
    kms_err err = kms_audit_commit(f->core->audit);
    *ret_logged = !kms_failed(err);
    if (kms_failed(err)) {
        kms_audit_trouble(f->core->audit, &why);
    } else {
        kms_heads_wrote(f->core->heads, records);
        err = ship(f->core, &why);
    }
    kms_tell_commit(&f->told, err, &why);
    return err;
}

/* Group commit: all records of the batch become durable together, then all its replies may leave. */
static void commit_batch(kms_finish *f)
{
    if (f->batch_count == 0) return;
    bool logged;
    kms_err err = commit(f, f->batch_count, &logged);
    if (logged) kms_usage_count(f->core, f->batch, f->batch_count);
    size_t replies = 0;
    uint64_t now_ns = kms_monotonic_ns();
    for (size_t i = 0; i < f->batch_count; i++) {
        struct kms_call *call = f->batch[i];
        if (kms_failed(err) && !call->silent) withhold(f, call);
        kms_journey_reach_at(&call->journey, call->attempt ? KMS_STATION_ACT : KMS_STATION_REPLY, now_ns);
        if (call->attempt) {
            sem_post(call->recorded); /* the admin thread owns it again */
            continue;
        }
        kms_tally_call(call);
        f->batch[replies++] = call;
    }
    f->batch_count = 0;
    f->transport.release(f->transport.self, f->batch, replies);
}

static void take_or_commit(kms_finish *f, struct kms_call *call)
{
    if (f->batch_count == BATCH_MOST) commit_batch(f);
    take(f, call);
}

static void job_done(struct kms_hsm_job *job);

static void submit(kms_finish *f, unsigned lane, struct kms_call *call)
{
    call->job.done = job_done;
    call->job.user = f;
    call->job.payer = call->identity != NULL ? (uintptr_t)call->identity->limits : 0;
    call->job.wanted_until_us = call->deadline_us;
    kms_hsm_submit(f->core->hsm, lane, &call->job);
}

/* As many items as may be with the HSM at a time. Once the last one is submitted, the batch may be over. */
static void feed(kms_finish *f, unsigned lane, struct kms_call *call)
{
    struct kms_call *ready[KMS_BATCH_WINDOW];
    size_t count = 0, room = KMS_BATCH_WINDOW - call->batch->out;
    while (count < room && (ready[count] = kms_batch_next(call)) != NULL) count++;
    call->batch->out += count;
    for (size_t i = 0; i < count; i++) submit(f, lane, ready[i]);
}

/* Half of the window goes at once: a datagram of many jobs costs little more than one of few. */
static void item_done(kms_finish *f, struct kms_call *call)
{
    call->batch->out--;
    if (call->deadline_us != 0 && call->deadline_us <= kms_monotonic_us()) kms_batch_give_up(call);
    if (call->batch->out <= KMS_BATCH_WINDOW / 2) {
        feed(f, f->lane, call);
        f->fed = true;
    }
    if (call->batch->out > 0) return;
    kms_dispatch_finish(call);
    take_or_commit(f, call);
}

static void job_done(struct kms_hsm_job *job)
{
    struct kms_call *call = (struct kms_call *)(void *)((char *)job - offsetof(struct kms_call, job));
    kms_dispatch_finish(call);
    if (call->part_of == NULL)
        take_or_commit(job->user, call);
    else
        item_done(job->user, call->part_of);
}

void kms_finish_submit(kms_finish *f, unsigned lane, struct kms_call *call)
{
    if (call->batch == NULL)
        submit(f, lane, call);
    else
        feed(f, lane, call);
}

/* Commits even when the append failed: that is what lets the log try a fresh file. */
static kms_err write_event(kms_finish *f, const struct kms_audit_event *event)
{
    kms_err appended = kms_audit_append(f->core->audit, event);
    bool logged;
    kms_err committed = commit(f, 1, &logged);
    return kms_failed(appended) ? appended : committed;
}

static void write_notes(kms_finish *f, struct note *notes)
{
    while (notes != NULL) {
        struct note *note = notes;
        notes = note->next;
        note->err = write_event(f, note->event);
        sem_post(&note->done);
    }
}

static void empty_inbox(kms_finish *f)
{
    uint64_t count;
    while (read(f->wake_fd, &count, sizeof count) > 0) continue; /* non-blocking: until it is zero */
    pthread_mutex_lock(&f->lock);
    struct kms_call *call = f->inbox;
    struct note *notes = f->notes;
    f->inbox = NULL;
    f->inbox_end = &f->inbox;
    f->notes = NULL;
    f->woken = false;
    pthread_mutex_unlock(&f->lock);
    while (call != NULL) {
        struct kms_call *next = call->next;
        take_or_commit(f, call);
        call = next;
    }
    commit_batch(f);
    write_notes(f, notes);
}

static void write_summary(void *self, const char *principal, uint64_t count)
{
    kms_finish *f = self;
    const struct kms_audit_event event = {
        .kind = KMS_AUDIT_SUPPRESSED, .principal = principal, .count = count, .started_us = kms_now_us()};
    kms_ignore(write_event(f, &event)); /* logged; the count is lost with the log */
}

static void each_second(kms_finish *f)
{
    uint64_t now = kms_monotonic_us();
    if (now < f->second_due_us) return;
    f->second_due_us = now + 1000000;
    kms_authn_suppressed(f->core->authn, kms_now_us(), write_summary, f);
    kms_tell_workers(&f->told, f->core);
    kms_audit_tend(f->core->audit);
    kms_tell_audit(&f->told, f->core);
}

static void *finish_main(void *self)
{
    kms_finish *f = self;
    prctl(PR_SET_NAME, "finish");
    struct pollfd fds[] = {{.fd = kms_hsm_poll_fd(f->core->hsm), .events = POLLIN},
                           {.fd = f->wake_fd, .events = POLLIN}};
    while (!atomic_load(&f->stopping)) {
        int timeout_ms = kms_hsm_poll_timeout_ms(f->core->hsm);
        if (timeout_ms < 0 || timeout_ms > 1000) timeout_ms = 1000; /* some work is due every second */
        if (poll(fds, 2, timeout_ms) < 0 && errno != EINTR) break;
        kms_hsm_poll(f->core->hsm);
        if (f->fed) kms_hsm_flush(f->core->hsm, f->lane);
        f->fed = false;
        empty_inbox(f);
        each_second(f);
    }
    return NULL;
}

/* ---- start and stop ---- */

static void no_encode(void *self, struct kms_call *call)
{
    (void)self, (void)call;
}
static void no_release(void *self, struct kms_call **calls, size_t count)
{
    (void)self, (void)calls, (void)count;
}

kms_err kms_finish_start(struct kms_core *core, unsigned lane, kms_finish **ret_finish)
{
    kms_finish *f = calloc(1, sizeof *f);
    if (f == NULL) return KMS_FAIL(NO_MEMORY);
    f->core = core;
    f->lane = lane;
    f->transport = (struct kms_transport){.encode = no_encode, .release = no_release};
    f->inbox_end = &f->inbox;
    f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&f->lock, NULL);
    if (f->wake_fd >= 0 && pthread_create(&f->thread, NULL, finish_main, f) == 0) {
        *ret_finish = f;
        return KMS_OK;
    }
    kms_fd_drop(&f->wake_fd);
    free(f);
    return KMS_FAIL(NO_MEMORY);
}

void kms_finish_set_transport(kms_finish *f, const struct kms_transport *transport)
{
    f->transport = *transport;
}

void kms_finish_stop(kms_finish *f)
{
    if (f == NULL) return;
    atomic_store(&f->stopping, true);
    wake(f);
    pthread_join(f->thread, NULL);
    kms_fd_drop(&f->wake_fd);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
