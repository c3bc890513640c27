/* Cuts a text at its references. */
#include "client/kms-env/template.h"

#include <stdlib.h>
#include <string.h>

/* A piece of text, and what stands behind it. */
struct part {
    struct kms_bytes text;
    bool refers; /* the last part does not */
    struct kms_env_reference reference;
    unsigned line;
    size_t at; /* of the fetches */
    kms_secret *value;
};

struct kms_env_template {
    struct part *parts;
    size_t count, cap;
    kms_env_fetches *fetches;
};

static kms_err add(kms_env_template *template, struct part part)
{
    if (template->count == template->cap) {
        size_t cap = template->cap == 0 ? 16 : 2 * template->cap;
        struct part *parts = reallocarray(template->parts, cap, sizeof *parts);
        if (parts == NULL) return KMS_FAIL(NO_MEMORY);
        template->parts = parts;
        template->cap = cap;
    }
    template->parts[template->count++] = part;
    return KMS_OK;
}

void kms_env_template_free(kms_env_template *template)
{
    if (template == NULL) return;
    for (size_t i = 0; i < template->count; i++) kms_secret_free(template->parts[i].value);
    kms_env_fetches_free(template->fetches);
    free(template->parts);
    free(template);
}

void kms_env_template_drop(kms_env_template **template)
{
    kms_env_template_free(*template);
}

struct walk {
    struct kms_bytes text;
    size_t at, from; /* from: what comes before it is in a part */
    unsigned line;
    kms_env_template *template;
    struct kms_why *why;
};

static kms_err refuse(const struct walk *w, const char *what)
{
    kms_why_set(w->why, "line %u: %s", w->line, what);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static bool begins(const struct walk *w, size_t at, const char *with)
{
    const size_t len = strlen(with);
    return w->text.len - at >= len && memcmp(w->text.ptr + at, with, len) == 0;
}

static size_t behind_blanks(const struct walk *w, size_t at)
{
    while (at < w->text.len && (w->text.ptr[at] == ' ' || w->text.ptr[at] == '\t')) at++;
    return at;
}

/* Where the reference begins that stands in braces which are open at `at`; 0: none does. */
static size_t reference_at(const struct walk *w, size_t at)
{
    at = behind_blanks(w, at);
    return kms_env_reference_is(kms_bytes_of(w->text.ptr + at, w->text.len - at)) ? at : 0;
}

static kms_err take_reference(struct walk *w, size_t begin)
{
    struct part part = {.text = kms_bytes_of(w->text.ptr + w->from, w->at - w->from), .refers = true};
    struct kms_why cause = {0};
    size_t close = begin;
    while (close < w->text.len && w->text.ptr[close] != '\n' && !begins(w, close, "}}")) close++;
    if (close == w->text.len || w->text.ptr[close] == '\n')
        return refuse(w, "}} is missing behind a reference");
    size_t end = close;
    while (w->text.ptr[end - 1] == ' ' || w->text.ptr[end - 1] == '\t') end--;
    kms_err err =
        kms_env_reference_parse(kms_bytes_of(w->text.ptr + begin, end - begin), &part.reference, &cause);
    if (kms_failed(err)) return refuse(w, cause.text);
    part.line = w->line;
    KMS_TRY(kms_env_fetches_add(w->template->fetches, &part.reference, &part.at));
    KMS_TRY(add(w->template, part));
    w->at = w->from = close + strlen("}}");
    return KMS_OK;
}

/* At {{. */
static kms_err take_braces(struct walk *w)
{
    const size_t pair = strlen("{{");
    size_t begin = reference_at(w, w->at + pair);
    if (begin != 0) return take_reference(w, begin);
    if (begins(w, w->at, "{{{{") && reference_at(w, w->at + 2 * pair) != 0) {
        /* one pair goes, the other is text */
        KMS_TRY(
            add(w->template, (struct part){.text = kms_bytes_of(w->text.ptr + w->from, w->at - w->from)}));
        w->from = w->at + pair;
        w->at += 2 * pair;
        return KMS_OK;
    }
    w->at++;
    return KMS_OK;
}

static kms_err walk(struct walk *w)
{
    while (w->at < w->text.len) {
        if (begins(w, w->at, "{{")) {
            KMS_TRY(take_braces(w));
            continue;
        }
        if (w->text.ptr[w->at++] == '\n') w->line++;
    }
    return add(w->template, (struct part){.text = kms_bytes_of(w->text.ptr + w->from, w->at - w->from)});
}

kms_err kms_env_template_parse(struct kms_bytes text, kms_env_template **ret_template, struct kms_why *why)
{
    KMS_OWN(kms_env_template) template = calloc(1, sizeof *template);
    if (template == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_env_fetches_new(&template->fetches));
    struct walk w = {.text = text, .line = 1, .template = template, .why = why};
    KMS_TRY(walk(&w));
    *ret_template = KMS_GIVE(template);
    return KMS_OK;
}

kms_err kms_env_template_resolve(kms_env_template *template, struct kms_env_fetcher fetcher, kms_buf *notes,
                                 struct kms_why *why)
{
    kms_err first = KMS_OK;
    size_t failed = 0;
    KMS_TRY(kms_env_fetches_run(template->fetches, fetcher, why));
    for (size_t i = 0; i < template->count; i++) {
        struct part *part = &template->parts[i];
        struct kms_why cause = {0};
        if (!part->refers) continue;
        const struct kms_env_fetch *fetch = kms_env_fetches_at(template->fetches, part->at);
        kms_err err = kms_env_fetch_value(fetch, &part->reference, &part->value, &cause);
        if (!kms_failed(err)) continue;
        if (failed++ == 0) first = err;
        KMS_TRY(kms_buf_print(notes, "line %u: %s: %s\n", part->line,
                              fetch->reason[0] != '\0' ? fetch->reason : kms_err_reason(err), cause.text));
    }
    kms_env_fetches_wipe(template->fetches);
    if (failed > 0)
        kms_why_set(why, "%zu value%s could not be had: nothing was written", failed, failed == 1 ? "" : "s");
    return first;
}

kms_err kms_env_template_write(const kms_env_template *template, struct kms_dotenv_sink sink)
{
    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];
        if (part->text.len > 0) KMS_TRY(sink.put(sink.self, part->text));
        if (part->value != NULL)
            KMS_TRY(
                sink.put(sink.self, kms_bytes_of(kms_secret_data(part->value), kms_secret_len(part->value))));
    }
    return KMS_OK;
}
