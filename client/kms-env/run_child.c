/* kms-env run with the program as a child: while it has database users, which are renewed and given back, and
 * with --watch, when it gets new values as secrets have them. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/kms-env/leases.h"
#include "client/kms-env/run.h"
#include "client/kms-env/say.h"
#include "client/kms-env/supervise.h"
#include "client/kms-env/watch.h"

typedef struct child_run {
    const struct kms_env_run *run;
    const kms_env_inputs *inputs;
    kms_env_service *service;
    kms_env_leases *leases;
    kms_env_watch *watch;      /* NULL: without --watch */
    pthread_mutex_t resolving; /* one at a time: the start, then the threads of watch and leases */
    int wake_fd;
    pthread_mutex_t lock;
    kms_env_plan *fresh; /* under lock: for the next start */
    kms_env_plan *plan;  /* of the start before */
} child_run;

static void child_run_free(child_run *c)
{
    kms_env_watch_free(c->watch);
    kms_env_leases_free(c->leases);
    kms_env_plan_free(c->fresh);
    kms_env_plan_free(c->plan);
    kms_env_service_close(c->service);
    kms_fd_drop(&c->wake_fd);
    pthread_mutex_destroy(&c->resolving);
    pthread_mutex_destroy(&c->lock);
}

static kms_err version(void *self, const char *name, const char *stage,
                       char version_id[KMS_ENV_REFERENCE_VERSION_BYTES + 1], struct kms_why *why)
{
    const child_run *c = self;
    return kms_env_service_version(c->service, name, stage, version_id, why);
}

static void say(void *self, const char *words)
{
    (void)self;
    kms_env_say("%s", words);
}

/* Has the values of now, for the next start; the plan is taken over. */
static kms_err resolve(child_run *c, kms_env_plan *given, struct kms_why *why)
{
    KMS_OWN(kms_env_plan) plan = given;
    char *const *environment;
    pthread_mutex_lock(&c->resolving);
    kms_err err = kms_env_run_resolve(c->run, plan, c->service, &environment, why);
    pthread_mutex_lock(&c->lock);
    kms_env_plan *old = c->fresh;
    if (!kms_failed(err)) c->fresh = KMS_GIVE(plan);
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_unlock(&c->resolving);
    if (!kms_failed(err)) kms_env_plan_free(old);
    return err;
}

static kms_err restart(child_run *c, struct kms_why *why)
{
    kms_env_plan *plan = NULL;
    KMS_TRY(kms_env_run_plan(c->run, c->inputs, true, &plan, why));
    return resolve(c, plan, why);
}

static kms_err wake(const child_run *c, struct kms_why *why)
{
    if (eventfd_write(c->wake_fd, 1) == 0) return KMS_OK;
    kms_why_set(why, "eventfd: %s", strerror(errno));
    return KMS_FAIL(IO);
}

static kms_err changed(void *self, struct kms_why *why)
{
    child_run *c = self;
    const bool again = c->run->change_signal == 0;
    if (again) KMS_TRY(restart(c, why));
    kms_env_say("a secret has changed: %s", again ? "starting the program again" : "telling the program");
    return wake(c, why);
}

static kms_err replaced(void *self, struct kms_why *why)
{
    child_run *c = self;
    KMS_TRY(restart(c, why));
    kms_env_say("a database user is new: starting the program again");
    return wake(c, why);
}

static char *const *environment(void *self)
{
    child_run *c = self;
    char *const *strings = NULL;
    pthread_mutex_lock(&c->lock);
    if (c->fresh != NULL) {
        kms_env_plan_free(c->plan);
        c->plan = KMS_GIVE(c->fresh);
    }
    pthread_mutex_unlock(&c->lock);
    kms_env_leases_settle(c->leases, kms_env_plan_fetches(c->plan)); /* the program before has ended */
    return kms_failed(kms_env_plan_environment(c->plan, &strings)) ? NULL : strings;
}

static kms_err open_service(child_run *c, struct kms_why *why)
{
    const bool again = c->run->watch && c->run->change_signal == 0;
    const struct kms_env_tenant tenant = {.replaced = again ? replaced : NULL, .say = say, .self = c};
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->wake_fd < 0) {
        kms_why_set(why, "eventfd: %s", strerror(errno));
        return KMS_FAIL(IO);
    }
    KMS_TRY(kms_env_service_new(&c->run->arguments.settings, &c->service));
    KMS_TRY(kms_env_leases_new(kms_env_service_lessor(c->service), tenant, &c->leases));
    kms_env_service_lease(c->service, c->leases);
    return KMS_OK;
}

static kms_err watch(child_run *c, bool roles, struct kms_why *why)
{
    const struct kms_env_watcher watcher = {.version = version, .changed = changed, .say = say, .self = c};
    KMS_TRY(kms_env_watch_new(kms_env_plan_fetches(c->fresh), watcher, &c->watch));
    if (kms_env_watch_count(c->watch) == 0 && !roles)
        kms_env_say("warning: nothing to watch: no variable refers to a stage of a secret");
    /* what may not be watched is told now, not in the log of a program that runs */
    KMS_TRY(kms_env_watch_check(c->watch, why));
    return kms_env_watch_count(c->watch) > 0 ? kms_env_watch_start(c->watch, c->run->interval_ms) : KMS_OK;
}

static kms_err prepare(child_run *c, kms_env_plan *given, struct kms_why *why)
{
    KMS_OWN(kms_env_plan) plan = given;
    const bool roles = kms_env_plan_has_roles(plan);
    KMS_TRY(open_service(c, why));
    KMS_TRY(resolve(c, KMS_GIVE(plan), why));
    if (roles) KMS_TRY(kms_env_leases_start(c->leases));
    return c->run->watch ? watch(c, roles, why) : KMS_OK;
}

static int supervise(child_run *c, const struct kms_env_signals *signals, const struct kms_env_shield *shield)
{
    struct kms_why why = {0};
    const struct kms_env_supervisor supervisor = {.signals = signals,
                                                  .shield = shield,
                                                  .argv = c->run->command,
                                                  .change_signal = c->run->change_signal,
                                                  .grace_ms = c->run->grace_ms,
                                                  .wake_fd = c->wake_fd,
                                                  .environment = environment,
                                                  .self = c};
    int status = kms_env_supervise(&supervisor, &why);
    if (why.text[0] != '\0') kms_env_say("%s", why.text);
    return status;
}

/* False: a thread waits for the service, and nobody waits for the thread: what it works on must stay. */
static bool finish(child_run *c)
{
    const bool watching = c->watch != NULL && !kms_env_watch_stop(c->watch);
    return (c->leases == NULL || kms_env_leases_end(c->leases)) && !watching;
}

int kms_env_run_child(const struct kms_env_run *run, const kms_env_inputs *inputs, kms_env_plan *plan,
                      const struct kms_env_shield *shield)
{
    __attribute__((cleanup(child_run_free))) child_run c = {.run = run,
                                                            .inputs = inputs,
                                                            .wake_fd = -1,
                                                            .resolving = PTHREAD_MUTEX_INITIALIZER,
                                                            .lock = PTHREAD_MUTEX_INITIALIZER};
    struct kms_env_signals signals = {.fd = -1};
    struct kms_why why = {0};
    int status = KMS_ENV_EXIT_FAILED;
    kms_err err = kms_env_signals_hold(&signals, &why);
    if (kms_failed(err))
        kms_env_plan_free(plan);
    else
        err = prepare(&c, plan, &why);
    if (kms_failed(err))
        kms_env_say_error(err, &why);
    else
        status = supervise(&c, &signals, shield);
    if (!finish(&c)) _exit(status);
    return status;
}
