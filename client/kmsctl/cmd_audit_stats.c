/* kmsctl audit stats: who used what how often, as tables and as a picture. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/kmsctl/chart.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/records.h"
#include "client/kmsctl/stats.h"

enum { COLUMNS = 80, ROWS_FOR_PEOPLE = 20 };

static enum ctl_stats_by by_of(const char *name)
{
    static const char *const names[] = {"principal", "key", "operation", "outcome", "hour", "day"};
    for (size_t i = 1; name != NULL && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0) return (enum ctl_stats_by)i;
    return CTL_BY_PRINCIPAL;
}

static bool add_all(struct ctl *ctl, ctl_stats *stats)
{
    struct ctl_records *records = ctl_records_open(ctl);
    bool more = true, ok = records != NULL;
    while (ok && more) {
        struct kms_bytes line;
        ok = ctl_records_next(records, &line, &more);
        if (!ok || !more) continue;
        kms_err err = ctl_stats_add(stats, line, ctl->kind != NULL);
        if (kms_failed(err)) ok = ctl_fail(ctl, err, NULL);
    }
    ok = ok && ctl_records_end(records);
    ctl_records_close(records);
    return ok;
}

static size_t columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS;
}

/* Numbers, names, picture; times over many files need no list for people. */
static bool print_for_people(struct ctl *ctl, const ctl_stats *stats, json_t *all)
{
    json_int_t others = json_integer_value(json_object_get(all, "other_calls"));
    json_object_del(all, "timeline");
    json_object_del(all, "interval_s");
    json_object_del(all, "other_calls");
    if (json_array_size(json_object_get(all, "groups")) == 0) json_object_del(all, "groups");
    if (!ctl_print(ctl, all)) return false;
    if (others > 0) printf("(other) sums up all names that are not listed; --limit lists more or fewer.\n");
    if (ctl_stats_timeline(stats)->count > 0) putchar('\n');
    ctl_chart_print(ctl_stats_timeline(stats), columns(), ctl_chart_blocks(), stdout);
    return fflush(stdout) == 0;
}

/* The options that chose the records, as they were given. */
static kms_err subtitle(const struct ctl *ctl, kms_buf *text)
{
    const struct {
        const char *name, *value;
    } given[] = {{"since", ctl->since},         {"until", ctl->until},
                 {"principal", ctl->principal}, {"key", ctl->key},
                 {"operation", ctl->operation}, {"action", ctl->action},
                 {"outcome", ctl->outcome},     {"kind", ctl->kind},
                 {"request", ctl->request_id},  {"correlated", ctl->correlated},
                 {"protocol", ctl->protocol}};
    KMS_TRY(kms_buf_append(text, "", 0));
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
        if (given[i].value != NULL)
            KMS_TRY(
                kms_buf_print(text, "%s%s: %s", text->len > 0 ? ", " : "", given[i].name, given[i].value));
    return KMS_OK;
}

static bool write_svg(struct ctl *ctl, const ctl_stats *stats)
{
    KMS_OWN_BUF text = {0}, svg = {0};
    kms_err err = subtitle(ctl, &text);
    if (!kms_failed(err)) err = ctl_chart_svg(ctl_stats_timeline(stats), (const char *)text.data, &svg);
    if (kms_failed(err)) return ctl_fail(ctl, err, NULL);
    return ctl_write_file(ctl, ctl->svg, kms_buf_view(&svg));
}

bool ctl_audit_stats(struct ctl *ctl)
{
    KMS_OWN(ctl_stats) stats = NULL;
    kms_err err = ctl_stats_new(by_of(ctl->by), &stats);
    if (kms_failed(err)) return ctl_fail(ctl, err, NULL);
    if (!add_all(ctl, stats)) return false;
    if (ctl->svg != NULL && !write_svg(ctl, stats)) return false;
    size_t rows = ctl->limit != 0 ? ctl->limit : ctl_wants_json(ctl) ? CTL_STATS_NAMES : ROWS_FOR_PEOPLE;
    json_t *all = ctl_stats_json(stats, rows);
    if (all == NULL) return ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
    return ctl_wants_json(ctl) ? ctl_print(ctl, all) : print_for_people(ctl, stats, all);
}
