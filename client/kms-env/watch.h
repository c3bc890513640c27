/*
 * Looks, every so often and in a thread of its own, whether a secret that a program runs with has another
 * version in its stage. Thread-safe as each function says.
 */
#ifndef KMS_CLIENT_KMS_ENV_WATCH_H
#define KMS_CLIENT_KMS_ENV_WATCH_H

#include "client/kms-env/fetch.h"

/* The world around a watch; called by its thread alone, and by kms_env_watch_check. */
struct kms_env_watcher {
    /* Which version has the stage now. */
    kms_err (*version)(void *self, const char *name, const char *stage,
                       char version_id[KMS_ENV_REFERENCE_VERSION_BYTES + 1], struct kms_why *why);
    /* A version is another than the program has: has the new values and hands them on. Fails: they could not
     * be had, and the program keeps what it has until they can. */
    kms_err (*changed)(void *self, struct kms_why *why);
    void (*say)(void *self, const char *words); /* a line for people */
    void *self;
};

typedef struct kms_env_watch kms_env_watch;

/* Watches every fetch that names a stage; fetches is borrowed for the call. NO_MEMORY. */
KMS_MUST_USE kms_err kms_env_watch_new(const kms_env_fetches *fetches, struct kms_env_watcher watcher,
                                       kms_env_watch **ret_watch);
size_t kms_env_watch_count(const kms_env_watch *watch); /* how many are watched */

/* One look at all of them; not while the thread runs. Errors: of the first that could not be looked at; why
 * names it. */
KMS_MUST_USE kms_err kms_env_watch_check(kms_env_watch *watch, struct kms_why *why);

/* Looks from now on, every interval_ms, shorter or longer by a fifth at random. Says when the service cannot
 * be asked any more, and when it can again. NO_MEMORY. */
KMS_MUST_USE kms_err kms_env_watch_start(kms_env_watch *watch, uint32_t interval_ms);
/* False: the thread is busy with a call, and what it works on must stay: end the process, or ask again. */
bool kms_env_watch_stop(kms_env_watch *watch);
void kms_env_watch_free(
    kms_env_watch *watch); /* after it was stopped, or was never started; NULL is a no-op */
void kms_env_watch_drop(kms_env_watch **watch);

#endif
