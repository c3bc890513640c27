/* A slice: some milliseconds of load on one target, closed loop (a call for each that ends) or open loop. */
#include <math.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/bench/load/cpu.h"
#include "tests/bench/load/random.h"
#include "tests/bench/load/target.h"

enum {
    EVENTS = 64,
    WAIT_MS = 20,
    SETTLE_US = 400, /* what the server does after its last reply belongs to the slice */
};
static const uint64_t STUCK_NS = 5000000000u;
enum { RESOURCE_EXHAUSTED = 8, UNAVAILABLE = 14 }; /* grpc-status */

/* One more call of a closed loop, as soon as the session takes it. */
static void call_again(struct load_target *target, struct load_session *session)
{
    if (target->plan->calls > 0 && target->made >= target->plan->calls) return;
    target->made++;
    session->owed++;
}

static void call_owed(struct load_session *session)
{
    while (session->owed > 0 && load_session_call(session, load_now_ns())) session->owed--;
}

static void on_reply(struct load_session *session, uint64_t started_ns, int grpc_status)
{
    struct load_target *target = session->user;
    struct load_tally *tally = &target->tally;
    uint64_t now_ns = load_now_ns();
    if (grpc_status == 0) {
        load_histogram_add(&tally->latency, now_ns - started_ns);
    } else {
        if (tally->errors++ == 0) tally->first_error = grpc_status;
        tally->by_status[grpc_status > 0 && grpc_status < LOAD_STATUSES ? grpc_status : 0]++;
        if (grpc_status == RESOURCE_EXHAUSTED || grpc_status == UNAVAILABLE) {
            tally->shed++;
            load_histogram_add(&tally->shed_latency, now_ns - started_ns);
        }
    }
    if (target->stopping || target->plan->rate > 0) return;
    call_again(target, session);
    call_owed(session);
}

/* Until the next call, exponentially distributed, so that arrivals are a Poisson process. */
static uint64_t gap_ns(struct load_target *target)
{
    double uniform =
        ((double)(load_random(&target->random) >> 11) + 1) / 9007199254740993.0; /* 2^53 + 1: never 0 */
    return (uint64_t)(-log(uniform) / target->plan->rate * 1e9) + 1;
}

static kms_err flush_all(struct load_target *target, struct kms_why *why)
{
    for (unsigned i = 0; i < target->session_count; i++)
        KMS_TRY(load_session_flush(target->sessions[i], why));
    return KMS_OK;
}

static void set_timer(const struct load_target *target, uint64_t when_ns)
{
    struct itimerspec due = {.it_value = {(time_t)(when_ns / 1000000000u), (long)(when_ns % 1000000000u)}};
    timerfd_settime(target->timer, TFD_TIMER_ABSTIME, &due, NULL);
}

/* Makes the calls that are due. Latency counts from when they were due, also when this program was late. */
static kms_err call_due(struct load_target *target, uint64_t now_ns, struct kms_why *why)
{
    while (target->next_ns <= now_ns) {
        struct load_session *session = target->sessions[target->in_turn++ % target->session_count];
        if (!load_session_call(session, target->next_ns)) target->tally.held_back++;
        target->next_ns += gap_ns(target);
    }
    uint64_t tick_ns = now_ns + target->plan->tick_ns;
    target->timer_ns = target->next_ns > tick_ns ? target->next_ns : tick_ns;
    set_timer(target, target->timer_ns);
    return flush_all(target, why);
}

static kms_err begin(struct load_target *target, uint64_t now_ns, struct kms_why *why)
{
    target->stopping = false;
    for (unsigned i = 0; i < target->session_count; i++) {
        target->sessions[i]->reply = on_reply;
        target->sessions[i]->owed = 0;
    }
    if (target->plan->rate > 0) {
        target->next_ns = now_ns + gap_ns(target);
        return call_due(target, now_ns, why);
    }
    for (unsigned i = 0; i < target->session_count; i++) {
        for (unsigned k = 0; k < target->plan->in_flight; k++) call_again(target, target->sessions[i]);
        call_owed(target->sessions[i]);
    }
    return flush_all(target, why);
}

static unsigned in_flight(const struct load_target *target)
{
    unsigned total = 0;
    for (unsigned i = 0; i < target->session_count; i++) total += target->sessions[i]->in_flight;
    return total;
}

/* What came may have opened a window. */
static kms_err read_session(const struct load_target *target, struct load_session *session,
                            struct kms_why *why)
{
    KMS_TRY(load_session_read(session, why));
    if (target->stopping || session->owed == 0) return KMS_OK;
    call_owed(session);
    return load_session_flush(session, why);
}

static kms_err read_events(struct load_target *target, struct kms_why *why)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(target->epoll, events, EVENTS, WAIT_MS);
    for (int i = 0; i < count; i++) {
        uint64_t expired;
        if (events[i].data.ptr != NULL)
            KMS_TRY(read_session(target, events[i].data.ptr, why));
        else if (read(target->timer, &expired, sizeof expired) < 0)
            continue; /* set anew meanwhile */
    }
    return KMS_OK;
}

static kms_err drive(struct load_target *target, uint64_t end_ns, struct kms_why *why)
{
    while (!target->stopping || in_flight(target) > 0) {
        KMS_TRY(read_events(target, why));
        uint64_t now_ns = load_now_ns();
        bool all_made = target->plan->calls > 0 && target->made >= target->plan->calls;
        if (now_ns >= end_ns || all_made) target->stopping = true;
        if (!target->stopping && target->plan->rate > 0 && now_ns >= target->timer_ns)
            KMS_TRY(call_due(target, now_ns, why));
        if (now_ns > end_ns + STUCK_NS) {
            kms_why_set(why, "%s: %u replies are missing", target->name, in_flight(target));
            return KMS_FAIL(DEADLINE_EXCEEDED);
        }
    }
    set_timer(target, 0);
    return KMS_OK;
}

kms_err load_target_slice(struct load_target *target, struct kms_why *why)
{
    uint64_t server_ns = load_cpu_ns(target->pids, target->pid_count);
    uint64_t generator_ns = load_own_cpu_ns(), start_ns = load_now_ns();
    target->made = 0;
    KMS_TRY(begin(target, start_ns, why));
    KMS_TRY(drive(target, start_ns + target->plan->slice_ns, why));
    target->tally.active_ns += load_now_ns() - start_ns;
    target->tally.generator_cpu_ns += load_own_cpu_ns() - generator_ns;
    usleep(SETTLE_US);
    target->tally.server_cpu_ns += load_cpu_ns(target->pids, target->pid_count) - server_ns;
    return KMS_OK;
}
