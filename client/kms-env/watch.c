/* The list of what is watched, and the thread that goes through it. */
#include "client/kms-env/watch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"

struct item {
    char *name, *stage;
    char version_id[KMS_ENV_REFERENCE_VERSION_BYTES + 1]; /* that the program has */
};

struct kms_env_watch {
    struct kms_env_watcher watcher;
    struct item *items;
    size_t count;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uint32_t interval_ms;
    bool started, busy, stop; /* under lock */
    bool away;                /* the last look failed, and that was said */
};

static kms_err add(kms_env_watch *watch, const struct kms_env_fetch *fetch)
{
    struct item *item = &watch->items[watch->count++];
    item->name = strdup(fetch->name);
    item->stage = strdup(fetch->stage);
    kms_copy(item->version_id, fetch->version_id, sizeof item->version_id);
    return item->name != NULL && item->stage != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_env_watch_new(const kms_env_fetches *fetches, struct kms_env_watcher watcher,
                          kms_env_watch **ret_watch)
{
    KMS_OWN(kms_env_watch) watch = calloc(1, sizeof *watch);
    const size_t count = kms_env_fetches_count(fetches);
    if (watch == NULL) return KMS_FAIL(NO_MEMORY);
    watch->watcher = watcher;
    pthread_mutex_init(&watch->lock, NULL);
    kms_cond_init(&watch->wake);
    watch->items = calloc(count + 1, sizeof *watch->items);
    if (watch->items == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        const struct kms_env_fetch *fetch = kms_env_fetches_look(fetches, i);
        if (fetch->stage != NULL && !kms_failed(fetch->err)) KMS_TRY(add(watch, fetch));
    }
    *ret_watch = KMS_GIVE(watch);
    return KMS_OK;
}

void kms_env_watch_free(kms_env_watch *watch)
{
    if (watch == NULL) return;
    for (size_t i = 0; watch->items != NULL && i < watch->count; i++) {
        free(watch->items[i].name);
        free(watch->items[i].stage);
    }
    free(watch->items);
    pthread_cond_destroy(&watch->wake);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

void kms_env_watch_drop(kms_env_watch **watch)
{
    kms_env_watch_free(*watch);
}

size_t kms_env_watch_count(const kms_env_watch *watch)
{
    return watch->count;
}

/* *ret_changed stays as it is when nothing did. */
static kms_err look_at(kms_env_watch *watch, struct item *item, bool *ret_changed, struct kms_why *why)
{
    struct kms_why cause = {0};
    char version_id[sizeof item->version_id] = "";
    kms_err err = watch->watcher.version(watch->watcher.self, item->name, item->stage, version_id, &cause);
    if (kms_failed(err)) {
        kms_why_set(why, "secret %s: %s", item->name, cause.text[0] != '\0' ? cause.text : kms_err_text(err));
        return err;
    }
    if (strcmp(version_id, item->version_id) == 0) return KMS_OK;
    kms_copy(item->version_id, version_id, sizeof version_id);
    *ret_changed = true;
    return KMS_OK;
}

/* What is new is forgotten again, so that the next look finds it anew. */
static kms_err hand_on(kms_env_watch *watch, struct kms_why *why)
{
    kms_err err = watch->watcher.changed(watch->watcher.self, why);
    for (size_t i = 0; kms_failed(err) && i < watch->count; i++) watch->items[i].version_id[0] = '\0';
    return err;
}

kms_err kms_env_watch_check(kms_env_watch *watch, struct kms_why *why)
{
    kms_err first = KMS_OK;
    bool changed = false;
    for (size_t i = 0; i < watch->count; i++) {
        kms_err err = look_at(watch, &watch->items[i], &changed, kms_failed(first) ? NULL : why);
        if (kms_failed(err) && !kms_failed(first)) first = err;
    }
    if (!changed) return first;
    kms_err err = hand_on(watch, kms_failed(first) ? NULL : why);
    return kms_failed(first) ? first : err;
}

static void look(kms_env_watch *watch)
{
    struct kms_why why = {0};
    char words[KMS_WHY_BYTES + 64];
    kms_err err = kms_env_watch_check(watch, &why);
    if (kms_failed(err) == watch->away) return;
    watch->away = kms_failed(err);
    if (watch->away)
        snprintf(words, sizeof words, "%s: the program goes on with the values it has",
                 why.text[0] != '\0' ? why.text : kms_err_text(err));
    else
        snprintf(words, sizeof words, "secrets can be watched again");
    watch->watcher.say(watch->watcher.self, words);
}

/* Between four and six fifths, so that many programs do not ask in step. */
static uint32_t pause_ms(uint32_t interval_ms)
{
    uint32_t random = 0;
    if (kms_failed(kms_random(&random, sizeof random))) return interval_ms;
    const uint64_t spread_ms = (uint64_t)interval_ms * 2 / 5;
    return (uint32_t)(interval_ms - spread_ms / 2 + random % (spread_ms + 1));
}

static void *go(void *argument)
{
    kms_env_watch *watch = argument;
    pthread_mutex_lock(&watch->lock);
    while (!watch->stop) {
        struct timespec due = kms_in_ms(pause_ms(watch->interval_ms));
        while (!watch->stop && pthread_cond_timedwait(&watch->wake, &watch->lock, &due) == 0) continue;
        if (watch->stop) break;
        watch->busy = true;
        pthread_mutex_unlock(&watch->lock);
        look(watch);
        pthread_mutex_lock(&watch->lock);
        watch->busy = false;
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

kms_err kms_env_watch_start(kms_env_watch *watch, uint32_t interval_ms)
{
    watch->interval_ms = interval_ms;
    watch->started = pthread_create(&watch->thread, NULL, go, watch) == 0;
    return watch->started ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

bool kms_env_watch_stop(kms_env_watch *watch)
{
    if (!watch->started) return true;
    pthread_mutex_lock(&watch->lock);
    const bool busy = watch->busy;
    watch->stop = true;
    pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&watch->lock);
    if (busy) return false;
    pthread_join(watch->thread, NULL);
    watch->started = false;
    return true;
}
