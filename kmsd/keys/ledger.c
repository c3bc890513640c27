/* The ledger in memory: one hash table (uthash) by key and version, and a list of what has changed. */
#include "kmsd/keys/ledger.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/keys/ledger_row.h"
#include "kmsd/keys/texts.h"

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->out_of_memory = true)
#include <uthash.h>
#include <utlist.h>

/* Padding is zero: entries are found by these bytes. */
struct name {
    struct kms_id key_id;
    uint32_t version;
};

struct seen {
    const char *name; /* taken from the ledger's texts */
    uint64_t last_us;
};

/* struct kms_usage with what it has, not the most that it can have: there may be a million. */
struct entry {
    struct name name;
    uint8_t action_count, principal_count;
    bool dirty, out_of_memory;
    uint64_t revision, loaded, first_us, last_us;
    struct kms_usage_count *counts; /* owned */
    struct seen *seen;              /* owned; latest first */
    struct entry *prev, *next;      /* among the dirty ones */
    UT_hash_handle hh;
};

struct kms_ledger {
    pthread_mutex_t lock;
    struct entry *entries, *dirty;
    struct kms_texts principals;
    uint64_t reached, loaded, checkpoint_revision;
    uint64_t taken, stored; /* of the checkpoint that is being stored, and that was: sequence */
    bool incomplete;        /* a use could not be counted: the next start will */
};

kms_err kms_ledger_new(kms_ledger **ret_ledger)
{
    kms_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_mutex_init(&ledger->lock, NULL);
    *ret_ledger = ledger;
    return KMS_OK;
}

/* The lock is held by the caller, here and in every function that takes entries. */
static void drop(kms_ledger *ledger, struct entry *entry)
{
    if (entry->dirty) DL_DELETE(ledger->dirty, entry);
    HASH_DEL(ledger->entries, entry);
    for (size_t i = 0; i < entry->principal_count; i++)
        kms_texts_give(&ledger->principals, entry->seen[i].name);
    free(entry->counts);
    free(entry->seen);
    free(entry);
}

void kms_ledger_free(kms_ledger *ledger)
{
    if (ledger == NULL) return;
    struct entry *entry, *next;
    HASH_ITER(hh, ledger->entries, entry, next) drop(ledger, entry);
    pthread_mutex_destroy(&ledger->lock);
    free(ledger);
}

static struct entry *find(kms_ledger *ledger, const struct kms_id *key_id, uint32_t version)
{
    struct name name = {.key_id = *key_id, .version = version};
    struct entry *entry;
    HASH_FIND(hh, ledger->entries, &name, sizeof name, entry);
    return entry;
}

static struct entry *need(kms_ledger *ledger, const struct kms_id *key_id, uint32_t version)
{
    struct entry *entry = find(ledger, key_id, version);
    if (entry != NULL) return entry;
    entry = calloc(1, sizeof *entry);
    if (entry == NULL) return NULL;
    entry->name = (struct name){*key_id, version};
    HASH_ADD(hh, ledger->entries, name, sizeof entry->name, entry);
    if (!entry->out_of_memory) return entry;
    free(entry);
    return NULL;
}

/* Room for one more at the end of an array; false: no memory. */
static bool grow(void **array, size_t count, size_t size)
{
    void *larger = realloc(*array, (count + 1) * size);
    if (larger != NULL) *array = larger;
    return larger != NULL;
}

static bool count(struct entry *entry, enum kms_action action, uint64_t times)
{
    size_t i = 0;
    while (i < entry->action_count && entry->counts[i].action != action) i++;
    if (i == KMS_LEDGER_ACTIONS) return true; /* no key can be used in more ways */
    if (i == entry->action_count) {
        if (!grow((void **)&entry->counts, i, sizeof entry->counts[0])) return false;
        entry->counts[entry->action_count++] = (struct kms_usage_count){action, 0};
    }
    entry->counts[i].count += times;
    return true;
}

/* To the front, from where it was or in place of the one that is longest ago. */
static bool see(kms_ledger *ledger, struct entry *entry, const char *principal, uint64_t at_us)
{
    size_t i = 0;
    while (i < entry->principal_count && strcmp(entry->seen[i].name, principal) != 0) i++;
    const char *name = i < entry->principal_count ? entry->seen[i].name : NULL;
    if (name == NULL) {
        bool full = i == KMS_LEDGER_PRINCIPALS;
        if (!full && !grow((void **)&entry->seen, i, sizeof entry->seen[0])) return false;
        name = kms_texts_take(&ledger->principals, principal);
        if (name == NULL) return false;
        if (full) kms_texts_give(&ledger->principals, entry->seen[--i].name);
        if (!full) entry->principal_count++;
    }
    memmove(&entry->seen[1], &entry->seen[0], i * sizeof entry->seen[0]);
    entry->seen[0] = (struct seen){name, at_us};
    return true;
}

static void mark_dirty(kms_ledger *ledger, struct entry *entry)
{
    if (!entry->dirty) DL_APPEND(ledger->dirty, entry);
    entry->dirty = true;
}

void kms_ledger_hold(kms_ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
}

void kms_ledger_add(kms_ledger *ledger, const struct kms_ledger_use *use)
{
    struct entry *entry = need(ledger, use->key_id, use->version);
    if (entry != NULL && use->sequence != 0 && use->sequence <= entry->loaded) return;
    if (entry == NULL || !count(entry, use->action, use->times) ||
        !see(ledger, entry, use->principal, use->at_us)) {
        ledger->incomplete = true;
        return;
    }
    if (entry->first_us == 0) entry->first_us = use->at_us;
    if (use->at_us > entry->last_us) entry->last_us = use->at_us;
    mark_dirty(ledger, entry);
}

void kms_ledger_release(kms_ledger *ledger, uint64_t sequence)
{
    ledger->reached = sequence;
    pthread_mutex_unlock(&ledger->lock);
}

/* principals: as kms_ledger_find. */
static void tell(const struct entry *entry, struct kms_usage *ret_usage,
                 struct kms_usage_principal *principals)
{
    *ret_usage = (struct kms_usage){.key_id = entry->name.key_id,
                                    .version = entry->name.version,
                                    .revision = entry->revision,
                                    .loaded = entry->loaded,
                                    .first_us = entry->first_us,
                                    .last_us = entry->last_us,
                                    .action_count = entry->action_count,
                                    .principals = principals,
                                    .principal_count = entry->principal_count};
    for (size_t i = 0; i < entry->action_count; i++) ret_usage->counts[i] = entry->counts[i];
    for (size_t i = 0; principals != NULL && i < entry->principal_count; i++) {
        snprintf(principals[i].name, sizeof principals[i].name, "%s", entry->seen[i].name);
        principals[i].last_us = entry->seen[i].last_us;
    }
}

bool kms_ledger_find(kms_ledger *ledger, const struct kms_id *key_id, uint32_t version,
                     struct kms_usage *ret_usage, struct kms_usage_principal *principals)
{
    pthread_mutex_lock(&ledger->lock);
    const struct entry *entry = find(ledger, key_id, version);
    if (entry != NULL) tell(entry, ret_usage, principals);
    pthread_mutex_unlock(&ledger->lock);
    return entry != NULL;
}

bool kms_ledger_dirty(kms_ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    bool dirty = ledger->dirty != NULL && !ledger->incomplete;
    pthread_mutex_unlock(&ledger->lock);
    return dirty;
}

void kms_ledger_drop(kms_ledger *ledger, const struct kms_id *key_id, uint32_t version)
{
    pthread_mutex_lock(&ledger->lock);
    struct entry *entry = find(ledger, key_id, version);
    if (entry != NULL) drop(ledger, entry);
    pthread_mutex_unlock(&ledger->lock);
}

/* ---- rows ---- */

/* An entry as it was stored, the principal who came last at its front. */
static bool fill(kms_ledger *ledger, struct entry *entry, const struct kms_usage *usage)
{
    bool filled = true;
    entry->revision = usage->revision;
    entry->loaded = usage->loaded;
    entry->first_us = usage->first_us;
    entry->last_us = usage->last_us;
    for (size_t i = 0; filled && i < usage->action_count; i++)
        filled = count(entry, usage->counts[i].action, usage->counts[i].count);
    for (size_t i = usage->principal_count; filled && i > 0; i--)
        filled = see(ledger, entry, usage->principals[i - 1].name, usage->principals[i - 1].last_us);
    return filled;
}

kms_err kms_ledger_load(kms_ledger *ledger, const struct kms_row *row, struct kms_why *why)
{
    struct kms_usage_principal principals[KMS_LEDGER_PRINCIPALS];
    struct kms_usage usage = {.principals = principals};
    KMS_TRY(kms_usage_from_row(row, &usage, why));
    if (strcmp(row->id, KMS_LEDGER_CHECKPOINT) == 0) {
        ledger->loaded = ledger->reached = ledger->stored = usage.loaded;
        ledger->checkpoint_revision = row->revision;
        return KMS_OK;
    }
    struct entry *entry = need(ledger, &usage.key_id, usage.version);
    return entry != NULL && fill(ledger, entry, &usage) ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

uint64_t kms_ledger_loaded(kms_ledger *ledger)
{
    return ledger->loaded;
}

void kms_ledger_forget_loaded(kms_ledger *ledger)
{
    for (struct entry *entry = ledger->entries; entry != NULL; entry = entry->hh.next) entry->loaded = 0;
    ledger->loaded = ledger->stored = 0;
}

uint64_t kms_ledger_stored(kms_ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    bool all = ledger->dirty == NULL && !ledger->incomplete && ledger->taken == 0;
    uint64_t stored = all ? ledger->reached : ledger->stored;
    pthread_mutex_unlock(&ledger->lock);
    return stored;
}

static kms_err take_entry(const kms_ledger *ledger, const struct entry *entry, struct kms_ledger_row *row)
{
    char id[KMS_ID_TEXT];
    struct kms_usage_principal principals[KMS_LEDGER_PRINCIPALS];
    struct kms_usage usage;
    tell(entry, &usage, principals);
    kms_id_text(&entry->name.key_id, id);
    *row = (struct kms_ledger_row){
        .revision = entry->revision, .key_id = entry->name.key_id, .version = entry->name.version};
    snprintf(row->id, sizeof row->id, "%s/%08x", id, entry->name.version);
    return kms_usage_body(&usage, ledger->reached, &row->body);
}

static kms_err take_checkpoint(const kms_ledger *ledger, struct kms_ledger_row *row)
{
    const struct kms_usage none = {.first_us = 0};
    *row = (struct kms_ledger_row){.id = KMS_LEDGER_CHECKPOINT, .revision = ledger->checkpoint_revision};
    return kms_usage_body(&none, ledger->reached, &row->body);
}

static kms_err take_all(kms_ledger *ledger, struct kms_ledger_row *rows, size_t cap, size_t *count)
{
    struct entry *entry = ledger->dirty;
    for (; entry != NULL && *count < cap - 1; entry = entry->next) {
        KMS_TRY(take_entry(ledger, entry, &rows[*count]));
        ++*count;
    }
    if (entry != NULL) return KMS_OK;
    KMS_TRY(take_checkpoint(ledger, &rows[*count]));
    ++*count;
    return KMS_OK;
}

kms_err kms_ledger_take(kms_ledger *ledger, struct kms_ledger_row *rows, size_t cap, size_t *ret_count)
{
    size_t count = 0;
    pthread_mutex_lock(&ledger->lock);
    kms_err err = take_all(ledger, rows, cap, &count);
    for (size_t i = 0; i < count; i++) {
        if (kms_failed(err)) kms_buf_free(&rows[i].body);
        struct entry *entry = rows[i].version != 0 ? find(ledger, &rows[i].key_id, rows[i].version) : NULL;
        if (kms_failed(err) || entry == NULL) continue;
        DL_DELETE(ledger->dirty, entry);
        entry->dirty = false;
    }
    if (!kms_failed(err)) ledger->taken = ledger->reached;
    pthread_mutex_unlock(&ledger->lock);
    *ret_count = kms_failed(err) ? 0 : count;
    return err;
}

void kms_ledger_taken(kms_ledger *ledger, struct kms_ledger_row *rows, size_t count, bool stored)
{
    pthread_mutex_lock(&ledger->lock);
    for (size_t i = 0; i < count; i++) {
        kms_buf_free(&rows[i].body);
        struct entry *entry = rows[i].version != 0 ? find(ledger, &rows[i].key_id, rows[i].version) : NULL;
        if (stored && rows[i].version == 0) ledger->checkpoint_revision = rows[i].revision;
        if (stored && rows[i].version == 0) ledger->stored = ledger->taken;
        if (entry == NULL) continue;
        if (stored)
            entry->revision = rows[i].revision;
        else
            mark_dirty(ledger, entry);
    }
    ledger->taken = 0;
    pthread_mutex_unlock(&ledger->lock);
}
