/*
 * Encryptions per second through the pool: one lane, closed loop, 96 bytes of plaintext, 64 of AAD.
 * Arguments: workers (1), jobs in flight (32), seconds (2).
 */
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/harness/suite.h"
#include "tests/unit/hsm/pool_fixture.h"

enum { MOST = 512, PLAINTEXT_BYTES = 96, AAD_BYTES = 64 };

static struct pool_fixture f;
static struct slot {
    struct kms_hsm_job job;
    uint8_t out[256];
} slots[MOST];
static struct kms_job_queue {
    struct kms_hsm_job *ready[MOST];
    unsigned count;
} again; /* done and submit on one thread: the caller's loop, as the rpc thread's */
static unsigned long done_count, failed_count;

static void job_done(struct kms_hsm_job *job)
{
    done_count++;
    failed_count += kms_failed(job->err);
    again.ready[again.count++] = job;
}

static double run(const struct pool_key *key, unsigned in_flight, unsigned seconds)
{
    static const uint8_t plaintext[PLAINTEXT_BYTES], aad[AAD_BYTES];
    for (unsigned i = 0; i < in_flight; i++) {
        slots[i].job = (struct kms_hsm_job){.op = KMS_HSM_ENCRYPT, .key = key->key, .done = job_done};
        slots[i].job.aad = kms_bytes_of(aad, sizeof aad);
        slots[i].job.input = kms_bytes_of(plaintext, sizeof plaintext);
        slots[i].job.output = slots[i].out;
        slots[i].job.output_cap = sizeof slots[i].out;
        again.ready[i] = &slots[i].job;
    }
    again.count = in_flight;
    done_count = 0;
    uint64_t start = kms_monotonic_us(), end = start + seconds * 1000000ULL;
    while (kms_monotonic_us() < end) {
        unsigned count = again.count;
        again.count = 0;
        for (unsigned i = 0; i < count; i++) kms_hsm_submit(f.hsm, 0, again.ready[i]);
        if (count > 0) kms_hsm_flush(f.hsm, 0);
        struct pollfd fd = {kms_hsm_poll_fd(f.hsm), POLLIN, 0};
        poll(&fd, 1, kms_hsm_poll_timeout_ms(f.hsm));
        kms_hsm_poll(f.hsm);
    }
    double rate = (double)done_count * 1e6 / (double)(kms_monotonic_us() - start);
    while (again.count < in_flight) kms_hsm_poll(f.hsm);
    return rate;
}

static unsigned argument(int argc, char **argv, int at, unsigned standard)
{
    unsigned long v = argc > at ? strtoul(argv[at], NULL, 10) : 0;
    return v > 0 && v <= MOST ? (unsigned)v : standard;
}

int main(int argc, char **argv)
{
    static struct pool_key hsm_key, software_key;
    unsigned workers = argument(argc, argv, 1, 1), in_flight = argument(argc, argv, 2, 32);
    unsigned seconds = argument(argc, argv, 3, 2);
    bool ok = pool_prepare(&f, kms_temp_dir(), "bench");
    f.options.uri = f.token.uri; /* SoftHSM itself */
    f.options.workers = workers;
    ok = ok && !kms_failed(pool_init(&f)) && !kms_failed(pool_open(&f));
    ok = ok && !kms_failed(pool_new_key(&f, 1, KMS_LEVEL_HSM, &hsm_key));
    ok = ok && !kms_failed(pool_new_key(&f, 2, KMS_LEVEL_SOFTWARE, &software_key));
    if (!ok) {
        fprintf(stderr, "bench_pool: %s\n", f.why.text);
        return 1;
    }
    pool_wait_healthy(&f, workers);
    pool_stop_polling(&f); /* this thread polls from here on */
    for (unsigned round = 0; round < 3; round++)
        printf("workers=%u in_flight=%u  SOFTWARE %.0f/s  HSM %.0f/s  failed=%lu\n", workers, in_flight,
               run(&software_key, in_flight, seconds), run(&hsm_key, in_flight, seconds), failed_count);
    pool_close(&f);
    return failed_count != 0;
}
