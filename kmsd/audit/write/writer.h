/* The one writer's own: what audit.c, which writes records, and tend.c, which sees to files, both work on. */
#ifndef KMS_AUDIT_WRITER_H
#define KMS_AUDIT_WRITER_H

#include <stdatomic.h>

#include "kmsd/audit/segment.h"
#include "kmsd/audit/write/pack.h"
#include "kmsd/audit/write/sink.h"
#include "kmsd/audit/write/told.h"

struct kms_audit_space {
    uint64_t warn_bytes, refuse_bytes; /* marks; 0: none */
    bool low, refusing;
    char words[KMS_WHY_BYTES];
};

struct kms_audit {
    char instance[KMS_AUDIT_INSTANCE_BYTES + 1];
    int dir_fd, lock_fd;
    kms_audit_sink *sink;
    kms_digest *digest;
    struct kms_audit_chain chain;   /* its head is the last durable record, but while a batch is framed */
    uint32_t head_number;           /* file that holds that record; 0: none */
    enum kms_audit_because because; /* of the next file */
    uint64_t time_us;               /* of the last record: time never runs backwards */

    uint8_t *batch;               /* items and bodies */
    size_t batch_len;             /* bytes */
    size_t framed_len, batch_max; /* bytes of the batch with frames at most, and what one commit can take */
    bool spoilt;                  /* a part of this batch is lost already */

    struct kms_audit_state durable, pending; /* without and with the batch */
    bool state_moved;                        /* they differ */
    size_t found_count;
    struct kms_audit_open_attempt found[KMS_AUDIT_OPEN_ATTEMPTS]; /* at open */

    uint64_t segment_age_us;
    uint64_t file_began_us, file_first; /* monotonic, sequence: of the file being written */
    atomic_bool asked;                  /* for a new file; by any thread */
    struct kms_audit_space space;
    kms_audit_packer *packer; /* NULL: nothing is compressed */
    kms_audit_told *told;
};

/* The file being written is whole: its last commit succeeded. */
bool kms_audit_usable(const kms_audit *audit);
/* The batch to the file being written, behind a first record when it is fresh. */
KMS_MUST_USE kms_err kms_audit_write_batch(kms_audit *audit, bool fresh, struct kms_why *why);
/* The batch to whatever file takes it; then there is none. AUDIT_UNAVAILABLE: told. */
KMS_MUST_USE kms_err kms_audit_flush(kms_audit *audit);
void kms_audit_tell_state(kms_audit *audit, const struct kms_why *failed);

/* space.c */
void kms_audit_look_at_space(kms_audit *audit);
/* It is a record that is refused now, for want of space. */
bool kms_audit_short_of_space(const kms_audit *audit, const struct kms_audit_event *event);

#endif
