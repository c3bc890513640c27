/*
 * Frames between kmsd and kms-hsm. A datagram holds jobs, or results, one after the other; each side
 * checks every length, operation and code of the other and drops a peer that sends anything else.
 * Thread-safe: values only.
 *
 *   job      u32 length of the rest, u64 id, u64 deadline (CLOCK_MONOTONIC, us), u8 operation, then what the
 *            operation takes: key, aad, input, to, to_aad, count, algorithm and digested (u8 each), proof,
 *            pair (u8) (KMS_HSM_* in hsm.h)
 *   key      16 id, u32 version, u8 spec, u8 usage, u8 level, blob wrapped
 *   result   u64 id, u8 kms_code, blob output; id 0 is the hello of a worker
 */
#ifndef KMS_HSM_JOB_H
#define KMS_HSM_JOB_H

#include "base/wire.h"
#include "hsm/hsm.h"

enum { KMS_RESULT_HEADER_BYTES = 8 + 1 + 4, KMS_HELLO_ID = 0 };

/* Every field is within the limits of hsm.h and the operation exists. */
bool kms_job_valid(const struct kms_hsm_job *job);
size_t kms_job_frame_bytes(const struct kms_hsm_job *job); /* what kms_job_put will write */
void kms_job_put(struct kms_writer *w, const struct kms_hsm_job *job, uint64_t id, uint64_t deadline_us);

bool kms_job_slow(const struct kms_hsm_job *job); /* makes keys: may take as long as keygen_deadline_ms */
bool kms_job_makes_rsa(const struct kms_hsm_job *job); /* takes seconds: has a worker of its own */
/* The token does its work, and no public-key cryptography: what it takes tells how slow the token is. */
bool kms_job_in_token(const struct kms_hsm_job *job);
/* Of SOFTWARE level, and needs the token to open its key at most. */
bool kms_job_spares_token(const struct kms_hsm_job *job);

/* The next job of a datagram; pool.id and deadline_us are set, views borrow from the datagram.
 * INVALID_ARGUMENT: malformed, nothing after it can be trusted. */
KMS_MUST_USE kms_err kms_job_get(struct kms_reader *r, struct kms_hsm_job *ret_job);

struct kms_result {
    uint64_t id;
    kms_err err;
    struct kms_bytes output; /* borrowed from the datagram */
};
/* Writes the header in front of output_len bytes that already stand KMS_RESULT_HEADER_BYTES behind w->at. */
void kms_result_put(struct kms_writer *w, uint64_t id, kms_err err, size_t output_len);
KMS_MUST_USE kms_err kms_result_get(struct kms_reader *r,
                                    struct kms_result *ret_result); /* INVALID_ARGUMENT */

/* Which PIN file was refused: device, inode, size, mtime in ns; "" is none. Compared as text. */
struct kms_pin_mark {
    char text[96];
};

/* What a worker says first, once: ready, or why not. Travels as the output of result 0. */
struct kms_hello {
    kms_err err;
    struct kms_why why;              /* when err is not OK */
    struct kms_pin_mark refused_pin; /* when err is PIN_REFUSED and the token was asked */
    struct kms_hsm_status status;    /* when err is OK; workers_* are the pool's to fill */
};
enum { KMS_HELLO_BYTES = 8192 };
void kms_hello_put(struct kms_writer *w, const struct kms_hello *hello);
KMS_MUST_USE kms_err kms_hello_get(struct kms_bytes output,
                                   struct kms_hello *ret_hello); /* INVALID_ARGUMENT */

/*
 * A page shared by pool and worker: the job the worker is working on, 0 when between jobs. When the
 * worker dies, this one job is to blame; the others in its queue are not. The pool believes it only if
 * the id is one it gave this worker.
 */
struct kms_worker_page {
    _Atomic uint64_t current;
    /* What the quickest of some jobs in the token took; 0: taken note of by the pool. Only a hint. */
    _Atomic uint32_t token_us;
};
enum { KMS_WORKER_PAGE_BYTES = 4096 };

#endif
