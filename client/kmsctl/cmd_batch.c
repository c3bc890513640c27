/*
 * kmsctl batch: lines of JSON in, a line of JSON for each out, in their order; as many calls as the bounds of
 * a batch ask for. A line that is wrong, or fails, has its error as its own line and the others go on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/secret.h"
#include "client/kmsctl/batch_item.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/progress.h"

enum { LINE_BYTES = 192 * 1024, READ_BYTES = 64 * 1024 };

struct run {
    struct ctl *ctl;
    const struct ctl_batch_kind *kind;
    kms_client *client;
    struct kms_call_options options;
    struct ctl_batch_item common; /* what the command line says */
    struct ctl_pairs pairs, to_pairs;
    FILE *in;
    char *room, *line; /* locked: stdio's, and the line being read */
    size_t line_len;
    bool overlong;
    struct ctl_progress progress;
    uint64_t done_bytes, total_bytes, line_number, items, failed;
    struct kms_error first_failure;
    uint64_t first_failure_line;

    struct ctl_batch_item *waiting; /* CTL_BATCH_ITEMS of them */
    size_t waiting_count, waiting_bytes;
    struct ctl_batch_requests *requests;
};

static void free_run(struct run *run)
{
    ctl_progress_clear(&run->progress);
    for (size_t i = 0; i < run->waiting_count; i++) ctl_batch_item_free(&run->waiting[i]);
    if (run->in != NULL && run->in != stdin) fclose(run->in);
    kms_locked_free(run->line, LINE_BYTES);
    if (run->in != stdin) kms_locked_free(run->room, READ_BYTES); /* stdin has it until the end */
    free(run->waiting);
    free(run->requests);
}

static bool open_input(struct run *run)
{
    const char *path = run->ctl->in;
    bool named = path != NULL && strcmp(path, "-") != 0;
    struct kms_why why = {{0}};
    struct stat st;
    run->in = named ? fopen(path, "re") : stdin;
    if (run->in == NULL || fstat(fileno(run->in), &st) != 0) {
        kms_why_set(&why, "%s: %s", named ? path : "standard input", strerror(errno));
        return ctl_fail(run->ctl, KMS_FAIL(IO), &why);
    }
    if (S_ISREG(st.st_mode)) run->total_bytes = (uint64_t)st.st_size;
    run->room = kms_locked_alloc(READ_BYTES);
    run->line = kms_locked_alloc(LINE_BYTES);
    run->waiting = calloc(CTL_BATCH_ITEMS, sizeof *run->waiting);
    run->requests = calloc(1, sizeof *run->requests);
    if (run->room == NULL || run->line == NULL || run->waiting == NULL || run->requests == NULL)
        return ctl_fail(run->ctl, KMS_FAIL(NO_MEMORY), NULL);
    setvbuf(run->in, run->room, _IOFBF, READ_BYTES);
    return true;
}

/* The next line without its line feed; blank ones are left out. False: no more. */
static bool next_line(struct run *run)
{
    int c = EOF;
    do {
        run->line_len = 0;
        run->overlong = false;
        run->line_number++;
        while ((c = getc_unlocked(run->in)) != EOF && c != '\n') {
            run->done_bytes++;
            if (run->line_len == LINE_BYTES)
                run->overlong = true;
            else
                run->line[run->line_len++] = (char)c;
        }
        run->done_bytes++;
    } while (c != EOF && run->line_len == 0);
    return run->line_len > 0;
}

static bool print_object(struct run *run, json_t *object)
{
    bool ok = object != NULL && json_dumpf(object, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
    json_decref(object);
    if (ok) return true;
    if (object == NULL) return ctl_fail(run->ctl, KMS_FAIL(NO_MEMORY), NULL);
    return ctl_fail(run->ctl, KMS_FAIL(IO), &(struct kms_why){.text = "standard output cannot be written"});
}

static bool print_failure(struct run *run, const struct ctl_batch_item *item, const struct kms_error *error)
{
    if (run->failed++ == 0) {
        run->first_failure = *error;
        run->first_failure_line = item->line_number;
    }
    return print_object(run, json_pack("{s:{s:s, s:o}}", "error", "reason", error->reason, "message",
                                       ctl_json_text(error->message)));
}

/* The line of one item; the requests stand in the order of the items that have no fault. */
static bool print_item(struct run *run, const struct ctl_batch_item *item, size_t *at)
{
    if (item->fault.text[0] != '\0') {
        ctl_fail(run->ctl, KMS_FAIL(INVALID_ARGUMENT), &item->fault);
        return print_failure(run, item, &run->ctl->error);
    }
    const struct kms_error *error = run->kind->error(run->requests, *at);
    bool ok = error->code != 0 ? print_failure(run, item, error)
                               : print_object(run, run->kind->result(run->requests, *at));
    (*at)++;
    return ok;
}

/* Sends what waits. An error of the call as a whole is that of each of its items. */
static bool send_waiting(struct run *run)
{
    bool ok = true;
    size_t at = 0;
    struct kms_error error;
    run->requests->count = 0;
    for (size_t i = 0; i < run->waiting_count; i++)
        if (run->waiting[i].fault.text[0] == '\0') run->kind->fill(run->requests, &run->waiting[i]);
    /* False: some items failed; each says it for itself. */
    if (run->requests->count > 0) (void)!run->kind->send(run->client, run->requests, &run->options, &error);
    ctl_progress_clear(&run->progress);
    for (size_t i = 0; ok && i < run->waiting_count; i++) ok = print_item(run, &run->waiting[i], &at);
    for (size_t i = 0; i < run->requests->count; i++) run->kind->release(run->requests, i);
    for (size_t i = 0; i < run->waiting_count; i++) ctl_batch_item_free(&run->waiting[i]);
    run->items += run->waiting_count;
    run->waiting_count = run->waiting_bytes = 0;
    if (run->total_bytes > 0) ctl_progress_show(&run->progress, run->done_bytes, run->total_bytes);
    return ok && (fflush(stdout) == 0 || ctl_fail(run->ctl, KMS_FAIL(IO), NULL));
}

static bool take_line(struct run *run)
{
    struct ctl_batch_item item = run->common;
    item.line_number = run->line_number;
    if (run->overlong)
        kms_why_set(&item.fault, "longer than %d bytes", LINE_BYTES);
    else
        ctl_batch_item_read(run->kind, kms_bytes_of((const uint8_t *)run->line, run->line_len), &item);
    size_t bytes = item.data_len + run->kind->answer_bytes;
    bool full = run->waiting_count == CTL_BATCH_ITEMS || run->waiting_bytes + bytes > CTL_BATCH_BYTES;
    bool ok = !full || send_waiting(run);
    struct ctl_batch_item *place = &run->waiting[run->waiting_count++];
    *place = item;
    /* The pairs moved with the item. */
    if (item.context.entries == item.pairs[0]) place->context.entries = place->pairs[0];
    if (item.to_context.entries == item.pairs[1]) place->to_context.entries = place->pairs[1];
    run->waiting_bytes += bytes;
    return ok;
}

static bool finish(struct run *run)
{
    if (ferror(run->in))
        return ctl_fail(run->ctl, KMS_FAIL(IO), &(struct kms_why){.text = "the input cannot be read"});
    if (run->failed == 0) return true;
    struct kms_error *error = &run->ctl->error;
    *error = run->first_failure;
    snprintf(error->message, sizeof error->message, "line %llu: %.200s (%llu of %llu items failed)",
             (unsigned long long)run->first_failure_line, run->first_failure.message,
             (unsigned long long)run->failed, (unsigned long long)run->items);
    return false;
}

static bool run_all(struct run *run)
{
    while (next_line(run))
        if (!take_line(run)) return false;
    return (run->waiting_count == 0 || send_waiting(run)) && finish(run);
}

static bool batch(struct ctl *ctl, const struct ctl_batch_kind *kind, bool shows_plaintext)
{
    __attribute__((cleanup(free_run))) struct run run = {.ctl = ctl, .kind = kind};
    struct kms_why why = {{0}};
    ctl_progress_start(&run.progress, NULL);
    if (shows_plaintext && !ctl_may_show(ctl)) return false;
    kms_err err = ctl_parse_pairs(&ctl->pairs, &run.pairs, &why);
    if (!kms_failed(err)) err = ctl_parse_pairs(&ctl->to_pairs, &run.to_pairs, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    run.common = (struct ctl_batch_item){
        .key = ctl->key, .to = ctl->to, .context = ctl_context_of(&run.pairs), .spec = KMS_DATA_KEY_AES_256};
    if (ctl->to_pairs.count > 0) run.common.to_context = ctl_context_of(&run.to_pairs);
    run.client = ctl_client(ctl);
    run.options = ctl_call_options(ctl);
    return run.client != NULL && ctl_output_secret(ctl) && open_input(&run) && run_all(&run);
}

bool ctl_batch_encrypt_lines(struct ctl *ctl)
{
    return batch(ctl, &ctl_batch_encrypt, false);
}

bool ctl_batch_decrypt_lines(struct ctl *ctl)
{
    return batch(ctl, &ctl_batch_decrypt, true);
}

bool ctl_batch_re_encrypt_lines(struct ctl *ctl)
{
    return batch(ctl, &ctl_batch_re_encrypt, false);
}

bool ctl_batch_data_key_lines(struct ctl *ctl)
{
    return batch(ctl, &ctl_batch_data_key, true);
}
