/* Who holds a stream is its place, under the lock; the rest of it belongs to whoever holds it. */
#include "kmsd/service/stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "kmsd/service/core.h"
#include "kmsd/service/decide.h"

enum place {
    BUSY,    /* with an admin thread, or on the way to one */
    WRITING, /* with rpc */
    WAITING, /* here: nothing to send */
};

struct kms_stream {
    struct kms_call *call;
    kms_streams *streams;
    enum place place;
    kms_err stop; /* it has to end, with this; OK: it need not */
    struct kms_why why;
    bool cancelled; /* rpc was told not to wait for the client */
    uint64_t checked_us;
    struct kms_stream *next;

    /* the holder's */
    kms_arena request; /* the arena of the call, which lends it its place for pages */
    void *own;
    uint64_t pages;
};

struct kms_streams {
    struct kms_streams_options options;
    struct kms_transport transport;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* monotonic clock */
    struct kms_stream *first;
    unsigned count;
    bool ending, stopping;
};

void *kms_stream_own(const struct kms_call *call)
{
    return call->stream->own;
}

void kms_stream_set_own(struct kms_call *call, void *own)
{
    call->stream->own = own;
}

/* --- watching --- */

/* Would this call be let in now? Asked by a copy of it, from what does not change while it lives. */
static kms_err ask_again(const struct kms_call *call, struct kms_why *why)
{
    struct kms_call again = {.method = call->method,
                             .core = call->core,
                             .request = call->request,
                             .identity = kms_identity_ref(call->identity),
                             .started_us = kms_now_us()};
    kms_copy(again.source_ip, call->source_ip, sizeof again.source_ip);
    kms_arena_init(&again.arena, call->stream->request.limit);
    kms_err err = kms_authn_check(call->core->authn, again.identity, again.started_us, &again.why);
    if (!kms_failed(err)) err = call->method->gather(&again);
    if (!kms_failed(err)) err = kms_decide(&again);
    *why = again.why;
    kms_call_end(&again);
    return err;
}

/* Why a stream has to end now. */
static kms_err look(struct kms_stream *stream, uint64_t now_us)
{
    struct kms_call *call = stream->call;
    if (kms_failed(stream->stop)) return stream->stop;
    if (atomic_load(&call->gone)) return KMS_FAIL(CANCELLED);
    if (stream->streams->ending) return KMS_FAIL(SHUTTING_DOWN);
    if (call->deadline_us != 0 && call->deadline_us <= now_us) return KMS_FAIL(DEADLINE_EXCEEDED);
    if (now_us < stream->checked_us + KMS_STREAM_CHECK_MS * UINT64_C(1000)) return KMS_OK;
    stream->checked_us = now_us;
    return ask_again(call, &stream->why);
}

/* A client that does not read would hold a page for ever: its call is cancelled, and what was being written
 * comes back. */
static void watch(struct kms_stream *stream, uint64_t now_us)
{
    const kms_streams *streams = stream->streams;
    struct kms_call *call = stream->call;
    stream->stop = look(stream, now_us);
    bool stop = kms_failed(stream->stop);
    if (stop && stream->place == WRITING && !stream->cancelled) {
        stream->cancelled = true;
        streams->transport.cancel(streams->transport.self, call, stream->stop);
    }
    if (stream->place != WAITING || (!stop && !call->method->stream->due(call))) return;
    stream->place = BUSY;
    streams->options.post(streams->options.self, call);
}

static void sleep_a_little(kms_streams *streams)
{
    if (streams->count == 0) {
        pthread_cond_wait(&streams->changed, &streams->lock);
        return;
    }
    const struct timespec until = kms_in_ms(KMS_STREAM_LOOK_MS);
    pthread_cond_timedwait(&streams->changed, &streams->lock, &until);
}

static void *watch_all(void *self)
{
    kms_streams *streams = self;
    prctl(PR_SET_NAME, "streams");
    pthread_mutex_lock(&streams->lock);
    while (!streams->stopping) {
        uint64_t now_us = kms_monotonic_us();
        for (struct kms_stream *s = streams->first; s != NULL; s = s->next) watch(s, now_us);
        sleep_a_little(streams);
    }
    pthread_mutex_unlock(&streams->lock);
    return NULL;
}

/* --- going round --- */

kms_err kms_stream_enter(struct kms_call *call)
{
    kms_streams *streams = call->core->streams;
    struct kms_stream *stream = kms_call_alloc(call, sizeof *stream);
    if (stream == NULL) return KMS_FAIL(NO_MEMORY);
    *stream =
        (struct kms_stream){.call = call, .streams = streams, .checked_us = kms_monotonic_us(), .next = NULL};
    pthread_mutex_lock(&streams->lock);
    bool ending = streams->ending, full = streams->count >= streams->options.limit;
    if (!ending && !full) {
        stream->next = streams->first;
        streams->first = stream;
        if (streams->count++ == 0) pthread_cond_signal(&streams->changed);
    }
    pthread_mutex_unlock(&streams->lock);
    if (ending) return KMS_FAIL(SHUTTING_DOWN);
    call->passes = full;
    if (full)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED),
                             "%u streams of the audit log are open already (limits.audit_streams)",
                             streams->options.limit);
    stream->request = call->arena;
    kms_arena_init(&call->arena, stream->request.limit);
    call->stream = stream;
    return KMS_OK;
}

static void leave(struct kms_stream *stream)
{
    kms_streams *streams = stream->streams;
    pthread_mutex_lock(&streams->lock);
    struct kms_stream **at = &streams->first;
    while (*at != stream) at = &(*at)->next;
    *at = stream->next;
    streams->count--;
    pthread_mutex_unlock(&streams->lock);
}

/* What its last record says was decided at the end: the policy may be another than at the beginning. */
static void decide_again(struct kms_call *call)
{
    kms_err err = call->err;
    const struct kms_why why = call->why;
    kms_accesses_end(call->access, call->access_count);
    call->access_count = call->extra_count = 0;
    kms_policy_unref(call->service_policy);
    call->service_policy = NULL;
    call->err = call->method->gather(call);
    if (!kms_failed(call->err)) call->err = kms_decide(call);
    if (!kms_failed(err)) return;
    call->err = err;
    call->why = why;
}

static bool end(struct kms_call *call)
{
    struct kms_stream *stream = call->stream;
    leave(stream);
    kms_arena_wipe(&call->arena);
    call->arena = stream->request;
    call->reply = NULL;
    call->page = false;
    decide_again(call);
    call->method->stream->close(call);
    kms_call_say(call, "pages", kms_arena_print(&call->arena, "%llu", (unsigned long long)stream->pages));
    return true;
}

/* Takes the stream to where others may see it, unless it has to end. */
static bool move(struct kms_stream *stream, enum place place)
{
    struct kms_call *call = stream->call;
    pthread_mutex_lock(&stream->streams->lock);
    kms_err stop = stream->stop;
    if (!kms_failed(stop)) stream->place = place;
    struct kms_why why = stream->why;
    pthread_mutex_unlock(&stream->streams->lock);
    if (!kms_failed(stop)) return true;
    call->err = stop;
    call->why = why;
    return false;
}

/* What the page was made of is wiped before it leaves: what waits for a slow client is its bytes alone. */
static bool send_page(struct kms_call *call)
{
    struct kms_stream *stream = call->stream;
    const struct kms_transport *transport = &stream->streams->transport;
    call->page = true;
    transport->encode(transport->self, call);
    kms_arena_wipe(&call->arena);
    call->reply = NULL;
    if (kms_failed(call->err)) return end(call);
    stream->pages++;
    if (!move(stream, WRITING)) return end(call);
    transport->release(transport->self, &call, 1);
    return false;
}

bool kms_stream_go_on(struct kms_call *call)
{
    enum kms_stream_step step = KMS_STREAM_END;
    if (!kms_failed(call->err) && move(call->stream, BUSY))
        call->err = call->method->stream->page(call, &step);
    if (kms_failed(call->err) || step == KMS_STREAM_END) return end(call);
    if (step == KMS_STREAM_PAGE) return send_page(call);
    kms_arena_wipe(&call->arena);
    return move(call->stream, WAITING) ? false : end(call);
}

void kms_stream_written(struct kms_call *call, bool ok)
{
    struct kms_stream *stream = call->stream;
    kms_streams *streams = stream->streams;
    pthread_mutex_lock(&streams->lock);
    stream->place = BUSY;
    if (!ok && !kms_failed(stream->stop)) stream->stop = KMS_FAIL(CANCELLED);
    pthread_mutex_unlock(&streams->lock);
    streams->options.post(streams->options.self, call);
}

void kms_streams_end(kms_streams *streams)
{
    pthread_mutex_lock(&streams->lock);
    streams->ending = true;
    pthread_cond_signal(&streams->changed);
    pthread_mutex_unlock(&streams->lock);
}

/* --- start and stop --- */

kms_err kms_streams_start(const struct kms_streams_options *options, kms_streams **ret_streams)
{
    kms_streams *streams = calloc(1, sizeof *streams);
    if (streams == NULL) return KMS_FAIL(NO_MEMORY);
    streams->options = *options;
    pthread_mutex_init(&streams->lock, NULL);
    kms_cond_init(&streams->changed);
    if (pthread_create(&streams->thread, NULL, watch_all, streams) != 0) {
        free(streams);
        return KMS_FAIL(NO_MEMORY);
    }
    *ret_streams = streams;
    return KMS_OK;
}

void kms_streams_set_transport(kms_streams *streams, const struct kms_transport *transport)
{
    streams->transport = *transport;
}

void kms_streams_stop(kms_streams *streams)
{
    if (streams == NULL) return;
    pthread_mutex_lock(&streams->lock);
    streams->stopping = true;
    pthread_cond_signal(&streams->changed);
    pthread_mutex_unlock(&streams->lock);
    pthread_join(streams->thread, NULL);
    pthread_cond_destroy(&streams->changed);
    pthread_mutex_destroy(&streams->lock);
    free(streams);
}
