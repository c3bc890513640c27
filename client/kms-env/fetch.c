/* The distinct secrets of a set of references. */
#include "client/kms-env/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "base/field.h"

struct kms_env_fetches {
    struct kms_env_fetch *fetches;
    size_t count, cap;
};

kms_err kms_env_fetches_new(kms_env_fetches **ret_fetches)
{
    kms_env_fetches *fetches = calloc(1, sizeof *fetches);
    if (fetches == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_fetches = fetches;
    return KMS_OK;
}

static void wipe(struct kms_env_fetch *fetch)
{
    kms_secret_free(fetch->value);
    kms_secret_free(fetch->username);
    fetch->value = fetch->username = NULL;
}

/* Made by add, so that they may be freed. */
static void free_text(const char *text)
{
    free((void *)(uintptr_t)text);
}

static void fetch_free(struct kms_env_fetch *fetch)
{
    wipe(fetch);
    free_text(fetch->name);
    free_text(fetch->stage);
    free_text(fetch->version);
}

void kms_env_fetches_free(kms_env_fetches *fetches)
{
    if (fetches == NULL) return;
    for (size_t i = 0; i < fetches->count; i++) fetch_free(&fetches->fetches[i]);
    free(fetches->fetches);
    free(fetches);
}

void kms_env_fetches_drop(kms_env_fetches **fetches)
{
    kms_env_fetches_free(*fetches);
}

void kms_env_fetches_wipe(kms_env_fetches *fetches)
{
    for (size_t i = 0; i < fetches->count; i++) wipe(&fetches->fetches[i]);
}

static bool same(const char *text, struct kms_bytes b)
{
    return kms_bytes_equal(text != NULL ? kms_bytes_text(text) : kms_bytes_of(NULL, 0), b);
}

static bool find(const kms_env_fetches *fetches, const struct kms_env_reference *reference, size_t *ret_index)
{
    for (size_t i = 0; i < fetches->count; i++) {
        const struct kms_env_fetch *f = &fetches->fetches[i];
        if (f->kind != reference->kind || !same(f->name, reference->name) ||
            !same(f->stage, reference->stage) || !same(f->version, reference->version))
            continue;
        *ret_index = i;
        return true;
    }
    return false;
}

static kms_err copy_text(struct kms_bytes from, const char **to)
{
    if (from.len == 0) return KMS_OK;
    *to = kms_bytes_dup_text(from);
    return *to != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err fill(struct kms_env_fetch *fetch, const struct kms_env_reference *reference)
{
    KMS_TRY(copy_text(reference->name, &fetch->name));
    KMS_TRY(copy_text(reference->stage, &fetch->stage));
    return copy_text(reference->version, &fetch->version);
}

kms_err kms_env_fetches_add(kms_env_fetches *fetches, const struct kms_env_reference *reference,
                            size_t *ret_index)
{
    if (find(fetches, reference, ret_index)) return KMS_OK;
    if (fetches->count == fetches->cap) {
        size_t cap = fetches->cap == 0 ? 16 : 2 * fetches->cap;
        struct kms_env_fetch *more = reallocarray(fetches->fetches, cap, sizeof *more);
        if (more == NULL) return KMS_FAIL(NO_MEMORY);
        fetches->fetches = more;
        fetches->cap = cap;
    }
    struct kms_env_fetch fetch = {.kind = reference->kind};
    kms_err err = fill(&fetch, reference);
    if (kms_failed(err)) {
        fetch_free(&fetch);
        return err;
    }
    *ret_index = fetches->count;
    fetches->fetches[fetches->count++] = fetch;
    return KMS_OK;
}

kms_err kms_env_fetches_run(kms_env_fetches *fetches, struct kms_env_fetcher fetcher, struct kms_why *why)
{
    if (fetches->count == 0) return KMS_OK;
    return fetcher.fetch(fetcher.self, fetches->fetches, fetches->count, why);
}

static struct kms_bytes view(kms_secret *secret)
{
    return secret != NULL ? kms_bytes_of(kms_secret_data(secret), kms_secret_len(secret))
                          : kms_bytes_of(NULL, 0);
}

static kms_err copy_secret(struct kms_bytes from, kms_secret **ret_value)
{
    if (from.len == 0) return KMS_OK;
    KMS_TRY(kms_secret_new(from.len, ret_value));
    kms_copy(kms_secret_data(*ret_value), from.ptr, from.len);
    return KMS_OK;
}

static kms_err field_of(const struct kms_env_fetch *fetch, struct kms_bytes field, kms_secret **ret_value,
                        struct kms_why *why)
{
    struct kms_why cause = {0};
    kms_err err = kms_field(view(fetch->value), field, ret_value, &cause);
    if (kms_failed(err) && cause.text[0] != '\0')
        kms_why_set(why, "secret %s, field %.*s: %s", fetch->name, (int)field.len, (const char *)field.ptr,
                    cause.text);
    return err;
}

kms_err kms_env_fetch_value(const struct kms_env_fetch *fetch, const struct kms_env_reference *reference,
                            kms_secret **ret_value, struct kms_why *why)
{
    const bool db = fetch->kind == KMS_ENV_REFERENCE_DB;
    if (kms_failed(fetch->err)) {
        kms_why_set(why, "%s %s: %s", db ? "role" : "secret", fetch->name,
                    fetch->why.text[0] != '\0' ? fetch->why.text : kms_err_text(fetch->err));
        return fetch->err;
    }
    *ret_value = NULL;
    if (!db && reference->field.len > 0) return field_of(fetch, reference->field, ret_value, why);
    const bool name = db && kms_bytes_equal(reference->field, kms_bytes_text("username"));
    return copy_secret(view(name ? fetch->username : fetch->value), ret_value);
}

size_t kms_env_fetches_count(const kms_env_fetches *fetches)
{
    return fetches->count;
}

struct kms_env_fetch *kms_env_fetches_at(kms_env_fetches *fetches, size_t index)
{
    return &fetches->fetches[index];
}

const struct kms_env_fetch *kms_env_fetches_look(const kms_env_fetches *fetches, size_t index)
{
    return &fetches->fetches[index];
}
