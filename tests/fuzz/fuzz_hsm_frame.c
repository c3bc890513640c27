/* Fuzzes what kmsd and kms-hsm read of each other, and the wrapped key: first byte chooses which. */
#include <stdlib.h>
#include <string.h>

#include "hsm/job.h"
#include "hsm/wrapped.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A job that was taken is written back byte by byte as it came. */
static void jobs(struct kms_bytes input)
{
    static uint8_t again[KMS_HSM_FRAME_BYTES];
    struct kms_reader r = kms_reader_over(input);
    while (!kms_reader_done(&r)) {
        struct kms_hsm_job job;
        const uint8_t *from = r.at;
        if (kms_failed(kms_job_get(&r, &job))) return;
        struct kms_writer w = kms_writer_over(again, sizeof again);
        kms_job_put(&w, &job, job.pool.id, job.deadline_us);
        if (w.overflow || w.at - again != r.at - from || memcmp(again, from, (size_t)(r.at - from)) != 0)
            abort();
        if (kms_hsm_output_bound(&job) > KMS_HSM_FRAME_BYTES - 1024) abort();
    }
}

static void results(struct kms_bytes input)
{
    struct kms_reader r = kms_reader_over(input);
    struct kms_result result;
    struct kms_hello hello;
    while (!kms_reader_done(&r) && !kms_failed(kms_result_get(&r, &result)))
        if (!kms_failed(kms_hello_get(result.output, &hello)) && memchr(hello.why.text, '\n', KMS_WHY_BYTES))
            abort();
}

static void wrapped_keys(struct kms_bytes input)
{
    uint8_t again[KMS_HSM_WRAPPED_BYTES];
    struct kms_wrapped wrapped;
    if (kms_failed(kms_wrapped_get(input, &wrapped))) return;
    struct kms_writer w = kms_writer_over(again, sizeof again);
    kms_wrapped_put(&w, &wrapped);
    if (w.overflow || !kms_bytes_equal(input, kms_bytes_of(again, (size_t)(w.at - again)))) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    struct kms_bytes input = kms_bytes_of(data + 1, len - 1);
    if (data[0] % 3 == 0)
        jobs(input);
    else if (data[0] % 3 == 1)
        results(input);
    else
        wrapped_keys(input);
    return 0;
}
