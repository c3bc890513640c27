/* Connections that only stay. */
#include <jansson.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/bench/load/target.h"

enum { EVENTS = 64 };

static kms_err tell(const struct load_target *target)
{
    const struct load_histogram *connect = &target->tally.connect;
    json_t *told = json_pack("{s:i, s:f, s:f, s:f}", "connections", (int)target->session_count, "connect_s",
                             (double)target->tally.connect_ns / 1e9, "connect_p50_us",
                             load_histogram_quantile_us(connect, .5), "connect_p99_us",
                             load_histogram_quantile_us(connect, .99));
    bool ok = told != NULL && json_dumpf(told, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
    json_decref(told);
    return ok && fflush(stdout) == 0 ? KMS_OK : KMS_FAIL(IO);
}

/* False: the other end of standard input is gone. */
static bool somebody_is_there(void)
{
    char byte;
    return read(STDIN_FILENO, &byte, 1) > 0;
}

kms_err load_target_hold(struct load_target *target, struct kms_why *why)
{
    struct epoll_event events[EVENTS], input = {.events = EPOLLIN, .data.ptr = target};
    KMS_TRY(tell(target));
    if (epoll_ctl(target->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0) {
        kms_why_set(why, "standard input must be a pipe or a terminal");
        return KMS_FAIL(IO);
    }
    for (;;) {
        int count = epoll_wait(target->epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr != target)
                KMS_TRY(load_session_read(events[i].data.ptr, why));
            else if (!somebody_is_there())
                return KMS_OK;
        }
    }
}
