/* The work: a datagram of jobs in, results out as they fill a datagram or have waited a millisecond. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/secret.h"
#include "hsm/worker/worker.h"

enum { RESULT_WAITS_US = 1000, SLACK_BYTES = 64, TIMED_JOBS = 8 };

struct batch {
    struct kms_worker *worker;
    uint8_t *memory;
    struct kms_writer out;
    uint64_t since_us; /* when the first result in it was ready */
    uint32_t least_us; /* of `timed` jobs in the token */
    unsigned timed;
};

static bool send_all(int fd, const uint8_t *data, size_t len)
{
    ssize_t sent;
    do {
        sent = send(fd, data, len, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)len;
}

static bool flush(struct batch *b)
{
    size_t len = (size_t)(b->out.at - b->memory);
    if (len == 0) return true;
    bool sent = send_all(b->worker->socket, b->memory, len);
    kms_wipe(b->memory, len);
    b->out = kms_writer_over(b->memory, KMS_HSM_FRAME_BYTES);
    return sent;
}

/* The quickest of some: one that was interrupted says nothing about the token. */
static void note_token_time(struct batch *b, uint64_t took_us)
{
    uint32_t us = took_us < UINT32_MAX ? (uint32_t)took_us + 1 : UINT32_MAX;
    if (b->timed == 0 || us < b->least_us) b->least_us = us;
    if (++b->timed < TIMED_JOBS) return;
    atomic_store_explicit(&b->worker->page->token_us, b->least_us, memory_order_relaxed);
    b->timed = 0;
}

/* False: leave. A job that the token's end leaves unanswered goes to another worker, and is not to blame. */
static bool run_one(struct batch *b, struct kms_hsm_job *job, int *status)
{
    struct kms_worker *w = b->worker;
    size_t bound = kms_hsm_output_bound(job) + SLACK_BYTES;
    if (KMS_RESULT_HEADER_BYTES + bound > (size_t)(b->out.end - b->out.at) && !flush(b)) return false;
    job->output = b->out.at + KMS_RESULT_HEADER_BYTES;
    job->output_cap = bound;
    uint64_t now = kms_monotonic_us();
    atomic_store_explicit(&w->page->current, job->pool.id, memory_order_release);
    kms_err err = now > job->deadline_us ? KMS_FAIL(DEADLINE_EXCEEDED) : kms_ops_run(w, job);
    bool lost = kms_is(err, KMS_E_HSM_UNAVAILABLE) && kms_failed(kms_token_self_test(w->token));
    atomic_store_explicit(&w->page->current, 0, memory_order_release);
    const bool in_token = kms_job_in_token(job);
    uint64_t end = in_token || job->key.ref.level == KMS_LEVEL_HSM ? kms_monotonic_us() : now;
    if (in_token && !kms_failed(err)) note_token_time(b, end - now);
    if (kms_failed(err)) {
        kms_wipe(job->output, bound);
        job->output_len = 0;
    }
    if (lost) {
        *status = KMS_EXIT_TOKEN_LOST;
        flush(b); /* what is finished is finished; that fails only when nobody reads any more */
        return false;
    }
    if (b->out.at == b->memory) b->since_us = now;
    kms_result_put(&b->out, job->pool.id, err, job->output_len);
    return end - b->since_us < RESULT_WAITS_US || flush(b);
}

static bool run_datagram(struct batch *b, struct kms_bytes datagram, int *status)
{
    struct kms_reader r = kms_reader_over(datagram);
    while (!kms_reader_done(&r)) {
        struct kms_hsm_job job;
        if (kms_failed(kms_job_get(&r, &job))) {
            *status = KMS_EXIT_PEER;
            return false;
        }
        if (!run_one(b, &job, status)) return false;
    }
    return flush(b);
}

int kms_loop_run(struct kms_worker *worker)
{
    uint8_t *in = kms_locked_alloc(KMS_HSM_FRAME_BYTES), *out = kms_locked_alloc(KMS_HSM_FRAME_BYTES);
    if (in == NULL || out == NULL) return KMS_EXIT_START;
    struct batch b = {.worker = worker, .memory = out, .out = kms_writer_over(out, KMS_HSM_FRAME_BYTES)};
    int status = KMS_EXIT_OK;
    for (bool going = true; going;) {
        ssize_t got = recv(worker->socket, in, KMS_HSM_FRAME_BYTES, MSG_TRUNC);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || got > KMS_HSM_FRAME_BYTES) break; /* kmsd is gone, or sends what no kmsd sends */
        going = run_datagram(&b, kms_bytes_of(in, (size_t)got), &status);
        kms_wipe(in, (size_t)got);
        if (going && kms_keyring_worn(worker->keyring)) {
            status = KMS_EXIT_WORN;
            break;
        }
    }
    kms_locked_free(in, KMS_HSM_FRAME_BYTES);
    kms_locked_free(out, KMS_HSM_FRAME_BYTES);
    return status;
}

bool kms_loop_hello(int fd, const struct kms_hello *hello)
{
    uint8_t frame[KMS_RESULT_HEADER_BYTES + KMS_HELLO_BYTES];
    struct kms_writer body = kms_writer_over(frame + KMS_RESULT_HEADER_BYTES, KMS_HELLO_BYTES);
    kms_hello_put(&body, hello);
    struct kms_writer w = kms_writer_over(frame, sizeof frame);
    kms_result_put(&w, KMS_HELLO_ID, hello->err, (size_t)(body.at - (frame + KMS_RESULT_HEADER_BYTES)));
    return !body.overflow && !w.overflow && send_all(fd, frame, (size_t)(w.at - frame));
}
