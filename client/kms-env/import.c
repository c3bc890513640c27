/* Variables point to targets, which are the secrets. */
#include "client/kms-env/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/field.h"

enum { VALUE_BYTES = 64 * 1024 };

struct target {
    kms_buf name;
    kms_secret *made; /* of JSON */
    struct kms_bytes value;
    enum kms_env_import_action action;
};

struct moved {
    size_t entry; /* of the document */
    size_t target;
    bool same; /* of JSON: the member is there with this value */
    kms_buf reference;
};

struct kms_env_import {
    const kms_dotenv *document;
    const struct kms_env_import_options *options;
    struct moved *rows;
    struct target *targets;
    struct kms_bytes *values; /* one for each entry */
    size_t count, target_count;
};

const char *kms_env_import_action_name(enum kms_env_import_action action)
{
    static const char *const names[] = {
        [KMS_ENV_IMPORT_CREATE] = "create", [KMS_ENV_IMPORT_PUT] = "put", [KMS_ENV_IMPORT_SAME] = "same"};
    return names[action];
}

void kms_env_import_free(kms_env_import *import)
{
    if (import == NULL) return;
    for (size_t i = 0; i < import->count; i++) kms_buf_free(&import->rows[i].reference);
    for (size_t i = 0; i < import->target_count; i++) {
        kms_buf_free(&import->targets[i].name);
        kms_secret_free(import->targets[i].made);
    }
    free(import->rows);
    free(import->targets);
    free(import->values);
    free(import);
}

void kms_env_import_drop(kms_env_import **import)
{
    kms_env_import_free(*import);
}

static const char *name_of(const struct target *target)
{
    return (const char *)target->name.data;
}

static kms_err refuse(const struct kms_dotenv_entry *entry, const char *what, struct kms_why *why)
{
    kms_why_set(why, "line %u: %.*s: %s", entry->line, (int)entry->name.len, (const char *)entry->name.ptr,
                what);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err add_target(kms_env_import *import, const char *prefix, struct kms_bytes variable)
{
    struct target *target = &import->targets[import->target_count++];
    KMS_TRY(kms_buf_print(&target->name, "%s", prefix));
    return variable.len == 0
               ? KMS_OK
               : kms_buf_print(&target->name, "/%.*s", (int)variable.len, (const char *)variable.ptr);
}

static kms_err add_row(kms_env_import *import, size_t index, struct kms_why *why)
{
    const struct kms_dotenv_entry *entry = kms_dotenv_entry(import->document, index);
    const bool json = import->options->json_secret != NULL;
    struct moved *row = &import->rows[import->count++];
    if (entry->value.len > VALUE_BYTES) return refuse(entry, "longer than 65536 bytes", why);
    if (!json) KMS_TRY(add_target(import, import->options->prefix, entry->name));
    *row = (struct moved){.entry = index, .target = import->target_count - 1};
    struct target *target = &import->targets[row->target];
    if (!json) target->value = entry->value;
    if (!kms_env_reference_name_valid(kms_buf_view(&target->name)))
        return refuse(entry, "its secret would have a name that is none: see --prefix", why);
    KMS_TRY(kms_buf_print(&row->reference, KMS_ENV_SECRET_SCHEME "%s", name_of(target)));
    if (json)
        KMS_TRY(kms_buf_print(&row->reference, "#%.*s", (int)entry->name.len, (const char *)entry->name.ptr));
    import->values[index] = kms_buf_view(&row->reference);
    return KMS_OK;
}

static bool moves(const kms_env_import *import, const struct kms_dotenv_entry *entry)
{
    return entry->assigned && entry->value.len > 0 &&
           kms_env_names_have(import->options->only, entry->name) &&
           kms_env_kind_of(entry->value) == KMS_ENV_KIND_PLAIN;
}

static kms_err check_only(const kms_env_import *import, struct kms_why *why)
{
    const struct kms_env_names only = import->options->only;
    for (size_t i = 0; i < only.count; i++) {
        if (kms_dotenv_find(import->document, only.names[i]) != NULL) continue;
        kms_why_set(why, "--only names %.*s, which the file does not set", (int)only.names[i].len,
                    (const char *)only.names[i].ptr);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return KMS_OK;
}

static kms_err fill(kms_env_import *import, struct kms_why *why)
{
    const size_t count = kms_dotenv_count(import->document);
    import->rows = calloc(count + 1, sizeof *import->rows);
    import->targets = calloc(count + 1, sizeof *import->targets);
    import->values = calloc(count + 1, sizeof *import->values);
    if (import->rows == NULL || import->targets == NULL || import->values == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(check_only(import, why));
    if (import->options->json_secret != NULL)
        KMS_TRY(add_target(import, import->options->json_secret, kms_bytes_of(NULL, 0)));
    for (size_t i = 0; i < count; i++)
        if (moves(import, kms_dotenv_entry(import->document, i))) KMS_TRY(add_row(import, i, why));
    return KMS_OK;
}

kms_err kms_env_import_new(const kms_dotenv *document, const struct kms_env_import_options *options,
                           kms_env_import **ret_import, struct kms_why *why)
{
    KMS_OWN(kms_env_import) import = calloc(1, sizeof *import);
    if (import == NULL) return KMS_FAIL(NO_MEMORY);
    import->document = document;
    import->options = options;
    KMS_TRY(fill(import, why));
    *ret_import = KMS_GIVE(import);
    return KMS_OK;
}

static struct kms_bytes view(kms_secret *secret)
{
    return secret != NULL ? kms_bytes_of(kms_secret_data(secret), kms_secret_len(secret))
                          : kms_bytes_of(NULL, 0);
}

static bool same(struct kms_bytes a, struct kms_bytes b)
{
    return a.len == b.len && (a.len == 0 || kms_bytes_same(a.ptr, b.ptr, a.len));
}

static kms_err look_at(const kms_env_import *import, struct target *target, struct kms_env_store store,
                       struct kms_why *why)
{
    KMS_OWN(kms_secret) there = NULL;
    kms_err err = store.get(store.self, name_of(target), &there, why);
    target->action = KMS_ENV_IMPORT_CREATE;
    /* who may not read learns from the attempt to create it whether it is there */
    if (kms_is(err, KMS_E_NOT_FOUND) || kms_is(err, KMS_E_ACCESS_DENIED)) return KMS_OK;
    KMS_TRY(err);
    target->action = same(view(there), target->value) ? KMS_ENV_IMPORT_SAME : KMS_ENV_IMPORT_PUT;
    if (target->action == KMS_ENV_IMPORT_SAME || import->options->replace) return KMS_OK;
    kms_why_set(why, "%s has another value already: nothing was stored; --replace stores a new version",
                name_of(target));
    return KMS_FAIL(ALREADY_EXISTS);
}

static kms_err take_member(const kms_env_import *import, struct target *target, struct moved *row,
                           struct kms_why *why)
{
    const struct kms_dotenv_entry *entry = kms_dotenv_entry(import->document, row->entry);
    KMS_OWN(kms_secret) there = NULL;
    kms_secret *made = NULL;
    struct kms_why cause = {0};
    kms_err err = kms_field(view(target->made), entry->name, &there, &cause);
    row->same = !kms_failed(err) && same(view(there), entry->value);
    if (row->same) return KMS_OK;
    if (!kms_is(err, KMS_E_NOT_FOUND) && !import->options->replace && target->action == KMS_ENV_IMPORT_PUT) {
        kms_why_set(why,
                    "%s, field %.*s, is there already: nothing was stored; --replace stores a new version",
                    name_of(target), (int)entry->name.len, (const char *)entry->name.ptr);
        return KMS_FAIL(ALREADY_EXISTS);
    }
    KMS_TRY(kms_field_set(view(target->made), entry->name, entry->value, &made, why));
    kms_secret_free(target->made);
    target->made = made;
    return KMS_OK;
}

/* The object that is there, with the variables as further members. */
static kms_err look_at_json(kms_env_import *import, struct kms_env_store store, struct kms_why *why)
{
    struct target *target = &import->targets[0];
    size_t changes = 0;
    if (import->count == 0) return KMS_OK;
    kms_secret_free(target->made);
    target->made = NULL;
    kms_err err = store.get(store.self, name_of(target), &target->made, why);
    const bool absent = kms_is(err, KMS_E_NOT_FOUND) || kms_is(err, KMS_E_ACCESS_DENIED);
    if (!absent) KMS_TRY(err);
    target->action = absent ? KMS_ENV_IMPORT_CREATE : KMS_ENV_IMPORT_PUT;
    for (size_t i = 0; i < import->count; i++) {
        KMS_TRY(take_member(import, target, &import->rows[i], why));
        changes += !import->rows[i].same;
    }
    if (changes == 0) target->action = KMS_ENV_IMPORT_SAME;
    target->value = view(target->made);
    if (target->value.len <= VALUE_BYTES) return KMS_OK;
    kms_why_set(why, "%s would be longer than 65536 bytes: use --prefix", name_of(target));
    return KMS_FAIL(INVALID_ARGUMENT);
}

kms_err kms_env_import_look(kms_env_import *import, struct kms_env_store store, struct kms_why *why)
{
    if (import->options->json_secret != NULL) return look_at_json(import, store, why);
    for (size_t i = 0; i < import->target_count; i++)
        KMS_TRY(look_at(import, &import->targets[i], store, why));
    return KMS_OK;
}

static kms_err store_one(const kms_env_import *import, struct target *target, struct kms_env_store store,
                         struct kms_why *why)
{
    kms_err err = KMS_OK;
    if (target->action == KMS_ENV_IMPORT_SAME) return KMS_OK;
    if (target->action == KMS_ENV_IMPORT_CREATE) {
        err = store.create(store.self, name_of(target), target->value, why);
        if (!kms_is(err, KMS_E_ALREADY_EXISTS)) return err;
        /* it is there and may not be read: of JSON its other members would be lost */
        if (import->options->json_secret != NULL || !import->options->replace) {
            kms_why_set(why, "%s is there already and you may not read it%s", name_of(target),
                        import->options->json_secret != NULL ? ", so its other fields would be lost"
                                                             : ": --replace stores a new version");
            return err;
        }
    }
    return store.put(store.self, name_of(target), target->value, why);
}

kms_err kms_env_import_store(kms_env_import *import, struct kms_env_store store, struct kms_why *why)
{
    for (size_t i = 0; import->count > 0 && i < import->target_count; i++) {
        struct kms_why cause = {0};
        kms_err err = store_one(import, &import->targets[i], store, &cause);
        if (kms_failed(err))
            kms_why_set(why, "secret %s: %s", name_of(&import->targets[i]),
                        cause.text[0] != '\0' ? cause.text : kms_err_text(err));
        KMS_TRY(err);
    }
    return KMS_OK;
}

size_t kms_env_import_count(const kms_env_import *import)
{
    return import->count;
}

struct kms_env_import_row kms_env_import_row(const kms_env_import *import, size_t index)
{
    const struct moved *row = &import->rows[index];
    const struct kms_dotenv_entry *entry = kms_dotenv_entry(import->document, row->entry);
    return (struct kms_env_import_row){.variable = entry->name,
                                       .line = entry->line,
                                       .reference = (const char *)row->reference.data,
                                       .action = row->same ? KMS_ENV_IMPORT_SAME
                                                           : import->targets[row->target].action};
}

const struct kms_bytes *kms_env_import_values(const kms_env_import *import)
{
    return import->values;
}
