/* What leaves, and when. */
#include "tests/unit/kmsd/service/answers.h"

#include <errno.h>

static atomic_ullong advanced_us;
uint64_t __real_kms_now_us(void);
uint64_t __real_kms_monotonic_us(void);
uint64_t __wrap_kms_now_us(void);
uint64_t __wrap_kms_monotonic_us(void);
uint64_t __wrap_kms_now_us(void)
{
    return __real_kms_now_us() + atomic_load(&advanced_us);
}
uint64_t __wrap_kms_monotonic_us(void)
{
    return __real_kms_monotonic_us() + atomic_load(&advanced_us);
}

void clock_advance(uint64_t us)
{
    atomic_fetch_add(&advanced_us, us);
}

static void encode(void *self, struct kms_call *call)
{
    (void)self;
    struct tracked *tracked = (struct tracked *)call->transport;
    if (tracked->encoded++ == 0) tracked->first = call->err.code;
    tracked->last = call->err.code;
    if (tracked->begun != NULL) sem_post(tracked->begun);
    if (tracked->gate != NULL) sem_wait(tracked->gate);
    tracked->begun = tracked->gate = NULL;
}

static void release(void *self, struct kms_call **calls, size_t count)
{
    struct answers *answers = self;
    if (count > 0) answers->releases++;
    for (size_t i = 0; i < count; i++) {
        struct tracked *tracked = (struct tracked *)calls[i]->transport;
        bool answered = !calls[i]->silent && calls[i]->err.code != KMS_E_AUDIT_UNAVAILABLE;
        if (answered && record_of(calls[i], 0) == NULL) answers->unproven++;
        tracked->released++;
        sem_post(&answers->released);
    }
}

void answers_open(struct answers *answers, struct kms_transport *ret_transport)
{
    *answers = (struct answers){.unproven = 0};
    sem_init(&answers->released, 0, 0);
    *ret_transport = (struct kms_transport){.self = answers, .encode = encode, .release = release};
}

void answers_wait(struct answers *answers, unsigned count)
{
    for (unsigned i = 0; i < count;) i += sem_wait(&answers->released) == 0;
}

void tracked_begin(struct world *world, struct tracked *tracked, const struct kms_method *method,
                   const char *principal)
{
    *tracked = (struct tracked){.encoded = 0};
    world_call_of(world, &tracked->call, method, principal);
    KMS_ASSERT_OK_FATAL(kms_id_new(&tracked->call.request_id));
    tracked->call.transport = tracked;
}

const struct broken_audit_record *record_of(const struct kms_call *call, unsigned nth)
{
    unsigned durable = atomic_load(&broken_audit.durable);
    for (unsigned i = 0; i < durable; i++)
        if (kms_id_equal(&broken_audit.records[i].request_id, &call->request_id) && nth-- == 0)
            return &broken_audit.records[i];
    return NULL;
}
