/* The other side of the pipeline: what would have left for the callers, and when. */
#ifndef KMS_TESTS_SERVICE_ANSWERS_H
#define KMS_TESTS_SERVICE_ANSWERS_H

#include "tests/doubles/broken_audit.h"
#include "tests/doubles/slow_hsm.h"
#include "tests/unit/kmsd/service/world.h"

/* A call and its answers. */
struct tracked {
    struct kms_call call;
    unsigned encoded, released;
    enum kms_code first, last; /* of what was encoded */
    sem_t *begun, *gate; /* encode posts begun and waits at the gate: everything behind it is one batch */
};

struct answers {
    sem_t released;    /* one for each call */
    unsigned unproven; /* released with an answer, but without a durable record */
    unsigned releases; /* batches */
};

void answers_open(struct answers *answers, struct kms_transport *ret_transport);
void answers_wait(struct answers *answers, unsigned count); /* until so many more are released */

/* A call of `principal` (world_call_of) whose answers are tracked; it has a request id of its own. */
void tracked_begin(struct world *world, struct tracked *tracked, const struct kms_method *method,
                   const char *principal);

/* The nth record of a request that is durable, from 0; NULL: none. */
const struct broken_audit_record *record_of(const struct kms_call *call, unsigned nth);

void clock_advance(uint64_t us); /* both clocks, for the whole program (--wrap) */

#endif
