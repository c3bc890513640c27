/* kmsctl audit: tail and query, which print records. */
#include <stdio.h>
#include <time.h>

#include "client/kmsctl/commands.h"
#include "client/kmsctl/record_text.h"
#include "client/kmsctl/records.h"

enum { TAIL_LINES = 10, POLL_MS = 200 };

static void pause_ms(long ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000 * 1000};
    nanosleep(&wait, NULL);
}

static bool written(struct ctl *ctl)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return true;
    return ctl_fail(ctl, KMS_FAIL(IO), &(struct kms_why){.text = "standard output cannot be written"});
}

/* What is there now, at most `limit` records. */
static bool print_records(struct ctl *ctl, struct ctl_records *records, uint64_t limit)
{
    enum ctl_record_form form = ctl_record_form(ctl->output);
    bool more = true;
    for (uint64_t count = 0; more && count < limit && !ctl_stopped() && !ferror(stdout); count++) {
        struct kms_bytes line;
        if (!ctl_records_next(records, &line, &more)) return false;
        if (more) ctl_record_put(form, line, stdout);
    }
    return written(ctl);
}

static bool follow(struct ctl *ctl, struct ctl_records *records)
{
    bool ok = print_records(ctl, records, UINT64_MAX);
    while (ok && ctl->follow && !ctl_stopped()) {
        if (!ctl_records_remote(records)) pause_ms(POLL_MS); /* a server tells when there is more */
        ok = print_records(ctl, records, UINT64_MAX);
    }
    return ok && ctl_records_end(records);
}

bool ctl_audit_tail(struct ctl *ctl)
{
    struct ctl_records *records = ctl_records_open(ctl);
    ctl_catch_stop();
    bool ok = records != NULL && ctl_records_last(records, ctl->lines != 0 ? ctl->lines : TAIL_LINES) &&
              follow(ctl, records);
    ctl_records_close(records);
    return ok;
}

bool ctl_audit_query(struct ctl *ctl)
{
    struct ctl_records *records = ctl_records_open(ctl);
    if (records == NULL) return false;
    ctl_record_head(ctl_record_form(ctl->output), stdout);
    bool ok =
        print_records(ctl, records, ctl->limit != 0 ? ctl->limit : UINT64_MAX) && ctl_records_end(records);
    ctl_records_close(records);
    return ok;
}
