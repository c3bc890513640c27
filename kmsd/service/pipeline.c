/* Who runs which part of a call's story: rpc threads begin it, admin threads run what may block, finish.c
 * ends it. */
#include "kmsd/service/pipeline.h"

#include <stdlib.h>

#include "base/log.h"
#include "kmsd/service/admin.h"
#include "kmsd/service/batch.h"
#include "kmsd/service/dispatch.h"
#include "kmsd/service/finish.h"
#include "kmsd/service/stream.h"

struct kms_pipeline {
    struct kms_core *core;
    kms_finish *finish;
    kms_admin *admin;
};

/* The block of the key version that this call encrypts with runs low: refill it before it is empty. */
static void refill_if_low(kms_pipeline *p, struct kms_call *call)
{
    if (call->spends == NULL) return;
    struct kms_key *key = call->spends->key;
    if (kms_budget_claim_refill(key->versions[call->spends->version - 1].budget))
        kms_admin_refill(p->admin, key, call->spends->version);
}

static void go_on(kms_pipeline *p, unsigned lane, struct kms_call *call, enum kms_next next)
{
    if (next == KMS_NEXT_HSM) {
        refill_if_low(p, call);
        for (size_t i = 0; call->batch != NULL && i < call->batch->count; i++)
            refill_if_low(p, &call->batch->items[i]);
        kms_finish_submit(p->finish, lane, call);
        return;
    }
    if (next == KMS_NEXT_ADMIN) kms_journey_reach(&call->journey, KMS_STATION_WAIT);
    if (next == KMS_NEXT_ADMIN && kms_admin_post(p->admin, call)) return;
    call->passes = next == KMS_NEXT_ADMIN || call->passes;
    if (next == KMS_NEXT_ADMIN)
        call->err = kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED),
                                  "too many administrative calls are waiting (limits.admin_queue)");
    if (call->silent)
        kms_finish_refuse(p->finish, call);
    else
        kms_finish_post(p->finish, call);
}

void kms_pipeline_begin(kms_pipeline *p, unsigned lane, struct kms_call *call)
{
    call->core = p->core;
    kms_core_request_id(p->core, &call->request_id);
    go_on(p, lane, call, kms_dispatch_begin(call));
}

void kms_pipeline_flush(kms_pipeline *p, unsigned lane)
{
    kms_hsm_flush(p->core->hsm, lane);
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
    if (call->stream == NULL && kms_dispatch_admin(call, &attempt) == KMS_NEXT_ADMIN &&
        (!attempt || !kms_failed(kms_finish_attempt(p->finish, call))))
        kms_dispatch_act(call);
    if (call->stream == NULL || kms_stream_go_on(call)) kms_finish_post(p->finish, call);
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

static void post_again(void *self, struct kms_call *call)
{
    const kms_pipeline *p = self;
    kms_admin_post_again(p->admin, call);
}

void kms_pipeline_written(kms_pipeline *p, struct kms_call *call, bool ok)
{
    (void)p;
    kms_stream_written(call, ok);
}

void kms_pipeline_end_streams(kms_pipeline *p)
{
    kms_streams_end(p->core->streams);
}

struct kms_core *kms_pipeline_core(const kms_pipeline *p)
{
    return p->core;
}

kms_err kms_pipeline_record(kms_pipeline *p, const struct kms_audit_event *event)
{
    return kms_finish_note(p->finish, event);
}

kms_err kms_pipeline_start(const struct kms_pipeline_options *options, struct kms_core *core,
                           kms_pipeline **ret_pipeline)
{
    kms_pipeline *p = calloc(1, sizeof *p);
    if (p == NULL) return KMS_FAIL(NO_MEMORY);
    p->core = core;
    const struct kms_admin_work work = {.self = p, .run = run_admin, .refill = refill};
    kms_err err = kms_finish_start(core, options->rpc_threads + options->admin_threads, &p->finish);
    if (!kms_failed(err))
        err = kms_admin_start(options->admin_threads, options->admin_queue, options->rpc_threads, &work,
                              &p->admin);
    const struct kms_streams_options streams = {.limit = options->streams, .self = p, .post = post_again};
    if (!kms_failed(err)) err = kms_streams_start(&streams, &core->streams);
    if (kms_failed(err)) {
        if (p->admin != NULL) kms_admin_stop(p->admin);
        kms_finish_stop(p->finish);
        free(p);
        return err;
    }
    core->pipeline = p;
    *ret_pipeline = p;
    return KMS_OK;
}

void kms_pipeline_set_transport(kms_pipeline *p, const struct kms_transport *transport)
{
    kms_finish_set_transport(p->finish, transport);
    kms_streams_set_transport(p->core->streams, transport);
}

void kms_pipeline_stop(kms_pipeline *p)
{
    if (p == NULL) return;
    kms_streams_stop(p->core->streams);
    p->core->streams = NULL;
    kms_admin_stop(p->admin); /* its last attempts need the finish thread */
    kms_finish_stop(p->finish);
    free(p);
}
