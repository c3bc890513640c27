/* kms-env run --watch: the program is a child, and gets new values when a secret has them. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/kms-env/run.h"
#include "client/kms-env/say.h"
#include "client/kms-env/supervise.h"
#include "client/kms-env/watch.h"

typedef struct watched_run {
    const struct kms_env_run *run;
    const kms_env_inputs *inputs;
    kms_env_service *service; /* of who resolves: first the start, then the watching thread */
    int wake_fd;
    pthread_mutex_t lock;
    kms_env_plan *fresh; /* under lock: for the next start */
    kms_env_plan *plan;  /* of the start before */
} watched_run;

static void watched_run_free(watched_run *w)
{
    kms_env_plan_free(w->fresh);
    kms_env_plan_free(w->plan);
    kms_env_service_close(w->service);
    kms_fd_drop(&w->wake_fd);
    pthread_mutex_destroy(&w->lock);
}

static kms_err version(void *self, const char *name, const char *stage,
                       char version_id[KMS_ENV_REFERENCE_VERSION_BYTES + 1], struct kms_why *why)
{
    const watched_run *w = self;
    return kms_env_service_version(w->service, name, stage, version_id, why);
}

static void say(void *self, const char *words)
{
    (void)self;
    kms_env_say("%s", words);
}

/* A plan with the values of now, for the next start. */
static kms_err renew(watched_run *w, bool quiet, struct kms_why *why)
{
    KMS_OWN(kms_env_plan) plan = NULL;
    char *const *environment;
    KMS_TRY(kms_env_run_plan(w->run, w->inputs, quiet, &plan, why));
    KMS_TRY(kms_env_run_resolve(w->run, plan, w->service, &environment, why));
    pthread_mutex_lock(&w->lock);
    kms_env_plan *old = w->fresh;
    w->fresh = KMS_GIVE(plan);
    pthread_mutex_unlock(&w->lock);
    kms_env_plan_free(old);
    return KMS_OK;
}

static kms_err changed(void *self, struct kms_why *why)
{
    watched_run *w = self;
    const bool restart = w->run->change_signal == 0;
    if (restart) KMS_TRY(renew(w, true, why));
    kms_env_say("a secret has changed: %s", restart ? "starting the program again" : "telling the program");
    if (eventfd_write(w->wake_fd, 1) == 0) return KMS_OK;
    kms_why_set(why, "eventfd: %s", strerror(errno));
    return KMS_FAIL(IO);
}

static char *const *environment(void *self)
{
    watched_run *w = self;
    char *const *strings = NULL;
    pthread_mutex_lock(&w->lock);
    if (w->fresh != NULL) {
        kms_env_plan_free(w->plan);
        w->plan = KMS_GIVE(w->fresh);
    }
    pthread_mutex_unlock(&w->lock);
    return kms_failed(kms_env_plan_environment(w->plan, &strings)) ? NULL : strings;
}

static kms_err prepare(watched_run *w, kms_env_watch **ret_watch, struct kms_why *why)
{
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake_fd < 0) {
        kms_why_set(why, "eventfd: %s", strerror(errno));
        return KMS_FAIL(IO);
    }
    KMS_TRY(kms_env_service_new(&w->run->arguments.settings, &w->service));
    KMS_TRY(renew(w, false, why));
    const struct kms_env_watcher watcher = {.version = version, .changed = changed, .say = say, .self = w};
    KMS_OWN(kms_env_watch) watch = NULL;
    KMS_TRY(kms_env_watch_new(kms_env_plan_fetches(w->fresh), watcher, &watch));
    if (kms_env_watch_count(watch) == 0)
        kms_env_say("warning: nothing to watch: no variable refers to a stage of a secret");
    /* what may not be watched is told now, not in the log of a program that runs */
    KMS_TRY(kms_env_watch_check(watch, why));
    *ret_watch = KMS_GIVE(watch);
    return KMS_OK;
}

static int supervise(watched_run *w, const struct kms_env_signals *signals,
                     const struct kms_env_shield *shield, struct kms_why *why)
{
    const struct kms_env_supervisor supervisor = {.signals = signals,
                                                  .shield = shield,
                                                  .argv = w->run->command,
                                                  .change_signal = w->run->change_signal,
                                                  .grace_ms = w->run->grace_ms,
                                                  .wake_fd = w->wake_fd,
                                                  .environment = environment,
                                                  .self = w};
    int status = kms_env_supervise(&supervisor, why);
    if (why->text[0] != '\0') kms_env_say("%s", why->text);
    return status;
}

int kms_env_run_watched(const struct kms_env_run *run, const kms_env_inputs *inputs,
                        const struct kms_env_shield *shield)
{
    __attribute__((cleanup(watched_run_free)))
    watched_run w = {.run = run, .inputs = inputs, .wake_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
    KMS_OWN(kms_env_watch) watch = NULL;
    struct kms_env_signals signals = {.fd = -1};
    struct kms_why why = {0};
    kms_err err = kms_env_signals_hold(&signals, &why);
    if (!kms_failed(err)) err = prepare(&w, &watch, &why);
    if (!kms_failed(err) && kms_env_watch_count(watch) > 0)
        err = kms_env_watch_start(watch, run->interval_ms);
    if (kms_failed(err)) {
        kms_env_say_error(err, &why);
        return KMS_ENV_EXIT_FAILED;
    }
    int status = supervise(&w, &signals, shield, &why);
    if (!kms_env_watch_stop(watch)) _exit(status); /* it waits for the service, and nobody waits for it */
    return status;
}
