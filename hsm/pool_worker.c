/* Workers' lives: start, hello, death, and what becomes of the jobs they leave. Polling thread only. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/pool.h"

enum { BACKOFF_START_FAILED_MS = 5000, BACKOFF_DIED_MS = 400, LIVED_WELL_MS = 5000 };

unsigned kms_pool_healthy(kms_hsm *hsm)
{
    unsigned healthy = 0;
    for (unsigned i = 0; i < hsm->worker_count; i++) healthy += hsm->workers[i].state == KMS_WORKER_HEALTHY;
    return healthy;
}

static void set_state(kms_hsm *hsm, struct kms_pool_worker *w, enum kms_worker_state state)
{
    pthread_mutex_lock(&w->lock);
    w->state = (int)state;
    w->since_us = kms_monotonic_us();
    pthread_mutex_unlock(&w->lock);
    pthread_mutex_lock(&hsm->lock);
    hsm->status.workers_healthy = kms_pool_healthy(hsm);
    pthread_mutex_unlock(&hsm->lock);
}

/* Doubles towards the limit, faster after a failed start than after the death of a worker that had been
 * healthy. */
static void back_off(struct kms_pool_worker *w, uint32_t most_ms)
{
    w->restart_at_us = kms_monotonic_us() + w->backoff_ms * 1000ULL;
    w->backoff_ms = w->backoff_ms * 2 < most_ms ? w->backoff_ms * 2 : most_ms;
}

void kms_pool_close_worker(struct kms_pool_worker *w)
{
    if (w->fd >= 0) close(w->fd); /* leaves the epoll set by that */
    w->fd = -1;
    if (w->page != NULL) munmap(w->page, KMS_WORKER_PAGE_BYTES);
    w->page = NULL;
}

static void start_failed(kms_hsm *hsm, struct kms_pool_worker *w, kms_err err)
{
    hsm->start_err = err;
    kms_spawner_kill(hsm->spawner, w->spawn_id);
    pthread_mutex_lock(&hsm->lock);
    kms_copy(hsm->status.trouble, hsm->start_why.text, sizeof hsm->status.trouble);
    pthread_mutex_unlock(&hsm->lock);
    pthread_mutex_lock(&w->lock);
    kms_pool_close_worker(w);
    pthread_mutex_unlock(&w->lock);
    set_state(hsm, w, KMS_WORKER_DOWN);
    back_off(w, BACKOFF_START_FAILED_MS);
    hsm->down = kms_pool_healthy(hsm) == 0;
}

/* A page that the worker cannot shrink under us. */
static int make_page(struct kms_worker_page **ret_page)
{
    int fd = memfd_create("kms-hsm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    void *page = MAP_FAILED;
    if (ftruncate(fd, KMS_WORKER_PAGE_BYTES) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        page = mmap(NULL, KMS_WORKER_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        close(fd);
        return -1;
    }
    *ret_page = page;
    return fd;
}

static kms_err ask_spawner(kms_hsm *hsm, struct kms_pool_worker *w, int socket, int page)
{
    struct kms_pin_mark mark;
    const char *conf = getenv("SOFTHSM2_CONF");
    kms_pool_mark_read(hsm, &mark);
    const struct kms_worker_start start = {.worker_path = hsm->worker_path,
                                           .uri = hsm->uri,
                                           .user = hsm->worker_user,
                                           .softhsm_conf = conf != NULL ? conf : "",
                                           .refused_pin = mark.text,
                                           .cached_keys = hsm->options.cached_keys,
                                           .init = hsm->init,
                                           .socket = socket,
                                           .page = page};
    return kms_spawner_worker(hsm->spawner, &start, &w->spawn_id);
}

void kms_pool_start_worker(kms_hsm *hsm, struct kms_pool_worker *w)
{
    int ends[2] = {-1, -1};
    KMS_OWN_FD page = make_page(&w->page);
    w->stale = false; /* nobody else looks while it is down */
    if (page < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        kms_why_set(&hsm->start_why, "no descriptor or memory for a worker");
        start_failed(hsm, w, KMS_FAIL(HSM_UNAVAILABLE));
        return;
    }
    KMS_OWN_FD theirs = ends[1];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(w - hsm->workers)};
    w->fd = ends[0];
    set_state(hsm, w, KMS_WORKER_STARTING);
    if (epoll_ctl(hsm->epoll, EPOLL_CTL_ADD, w->fd, &event) == 0 &&
        !kms_failed(ask_spawner(hsm, w, theirs, page)))
        return;
    kms_why_set(&hsm->start_why, "the spawner process is gone: restart kmsd");
    start_failed(hsm, w, KMS_FAIL(HSM_UNAVAILABLE));
}

/* False: something was broadcast since it started, which it may not have seen. */
static bool admit(struct kms_pool_worker *w)
{
    pthread_mutex_lock(&w->lock);
    bool fresh = !w->stale;
    if (fresh) w->state = KMS_WORKER_HEALTHY;
    pthread_mutex_unlock(&w->lock);
    return fresh;
}

static void start_again(kms_hsm *hsm, struct kms_pool_worker *w)
{
    kms_spawner_kill(hsm->spawner, w->spawn_id);
    pthread_mutex_lock(&w->lock);
    kms_pool_close_worker(w);
    pthread_mutex_unlock(&w->lock);
    set_state(hsm, w, KMS_WORKER_DOWN);
    w->restart_at_us = 0;
}

void kms_pool_hello(kms_hsm *hsm, struct kms_pool_worker *w, const struct kms_result *result)
{
    struct kms_hello hello;
    if (kms_failed(kms_hello_get(result->output, &hello))) {
        kms_pool_worker_died(hsm, w, "said something that is not a hello");
        return;
    }
    if (kms_failed(hello.err)) {
        hsm->start_why = hello.why;
        if (hello.why.text[0] == '\0') kms_why_set(&hsm->start_why, "kms-hsm: %s", kms_err_text(hello.err));
        if (hello.refused_pin.text[0] != '\0') kms_pool_mark_write(hsm, &hello.refused_pin);
        start_failed(hsm, w, hello.err);
        return;
    }
    kms_pool_mark_write(hsm, &(struct kms_pin_mark){0});
    if (!admit(w)) {
        start_again(hsm, w);
        return;
    }
    pthread_mutex_lock(&hsm->lock);
    hello.status.workers_configured = hsm->worker_count;
    hello.status.workers_replaced = hsm->status.workers_replaced;
    hsm->status = hello.status;
    pthread_mutex_unlock(&hsm->lock);
    set_state(hsm, w, KMS_WORKER_HEALTHY);
    if (w < hsm->workers + hsm->worker_count) hsm->down = false;
    hsm->proved = true;
}

/* One more try for whom is to blame, and the next in line for the others. */
static void give_on(kms_hsm *hsm, struct kms_hsm_job *job, bool to_blame)
{
    uint64_t again_us = kms_monotonic_us() + hsm->options.deadline_ms * 1000ULL;
    if (job->pool.broadcast) { /* what it was to tell died with its worker */
        kms_pool_finish(hsm, job, KMS_OK);
        return;
    }
    if (to_blame && ++job->pool.deaths > 1) {
        kms_pool_quarantine(hsm, job);
        kms_pool_finish(hsm, job, KMS_FAIL(HSM_UNAVAILABLE));
        return;
    }
    if (++job->pool.moves > KMS_POOL_MOVES_MAX) {
        kms_pool_finish(hsm, job, KMS_FAIL(HSM_UNAVAILABLE));
        return;
    }
    if (job->pool.deadline_us < again_us) job->pool.deadline_us = again_us; /* slower, not an error */
    job->pool.turn = 0;
    pthread_mutex_lock(&hsm->lock);
    enum kms_pool_queue queue = kms_pool_queue_of(hsm, job);
    kms_list_put_front(&hsm->waiting[queue], job);
    atomic_store(&hsm->waiting_count[queue], (unsigned)hsm->waiting[queue].count);
    pthread_mutex_unlock(&hsm->lock);
}

static void describe_exit(kms_hsm *hsm, const struct kms_pool_worker *w, const char *how)
{
    kms_why_set(&hsm->start_why, "a kms-hsm worker %s; see its words on standard error", how);
    /* The spawner's report follows the end of the socket closely; later on nobody waits for it. */
    for (int tries = hsm->opening ? 0 : 19; tries < 20; tries++) {
        struct kms_worker_exit left;
        while (kms_spawner_next(hsm->spawner, &left, &hsm->spawner_gone)) {
            if (left.id != w->spawn_id) continue;
            if (WIFSIGNALED(left.status))
                kms_why_set(
                    &hsm->start_why, "a kms-hsm worker was ended by signal %d (%s) before it was ready%s",
                    WTERMSIG(left.status), strsignal(WTERMSIG(left.status)),
                    WTERMSIG(left.status) == SIGSYS ? ": the module made a system call that is not allowed"
                                                    : "");
            else
                kms_why_set(&hsm->start_why, "a kms-hsm worker ended with status %d before it was ready%s",
                            WEXITSTATUS(left.status),
                            WEXITSTATUS(left.status) == 127 ? ": the program or its user is not there" : "");
            return;
        }
        if (hsm->spawner_gone) return;
        usleep(2000);
    }
}

void kms_pool_worker_died(kms_hsm *hsm, struct kms_pool_worker *w, const char *how)
{
    struct kms_job_list left = {0};
    if (w->state == KMS_WORKER_STARTING) {
        describe_exit(hsm, w, how);
        start_failed(hsm, w, KMS_FAIL(HSM_UNAVAILABLE));
        return;
    }
    kms_spawner_kill(hsm->spawner, w->spawn_id); /* dead already, or not to be trusted any more */
    pthread_mutex_lock(&w->lock);
    uint64_t blamed = atomic_load_explicit(&w->page->current, memory_order_acquire);
    w->state = KMS_WORKER_DOWN;
    for (unsigned i = KMS_POOL_SLOTS; i-- > 0;) {
        struct kms_hsm_job *job = w->slots[i].job;
        if (job == NULL) continue;
        kms_pool_release(w, i);
        kms_list_put(&left, job);
    }
    kms_pool_close_worker(w);
    pthread_mutex_unlock(&w->lock);
    if (kms_monotonic_us() - w->since_us > LIVED_WELL_MS * 1000ULL) w->backoff_ms = KMS_POOL_BACKOFF_FIRST_MS;
    set_state(hsm, w, KMS_WORKER_DOWN);
    pthread_mutex_lock(&hsm->lock);
    hsm->status.workers_replaced++;
    pthread_mutex_unlock(&hsm->lock);
    back_off(w, BACKOFF_DIED_MS);
    for (struct kms_hsm_job *job; (job = kms_list_take(&left)) != NULL;)
        give_on(hsm, job, blamed != 0 && job->pool.id == blamed);
}

/* Longest silence allowed: that of the job at hand. */
static uint64_t patience_us(const kms_hsm *hsm, const struct kms_pool_worker *w, uint64_t id)
{
    const struct kms_hsm_job *job = w->slots[(id & 0xffff) % KMS_POOL_SLOTS].job;
    bool keygen = job != NULL && job->pool.id == id && kms_job_slow(job);
    return (keygen ? hsm->options.keygen_deadline_ms : hsm->options.deadline_ms) * 1000ULL;
}

static void watch_one(kms_hsm *hsm, struct kms_pool_worker *w, uint64_t now, bool away)
{
    if (w->state == KMS_WORKER_STARTING) {
        if (now - w->since_us <= hsm->options.start_timeout_ms * 1000ULL) return;
        kms_why_set(&hsm->start_why,
                    "a kms-hsm worker was not ready after %u ms: the module or the token hangs",
                    hsm->options.start_timeout_ms);
        start_failed(hsm, w, KMS_FAIL(HSM_UNAVAILABLE));
        return;
    }
    if (w->state != KMS_WORKER_HEALTHY) return;
    pthread_mutex_lock(&w->lock);
    /* Between two jobs the patience with the first is over, but its result may still be on its way. */
    uint64_t id = atomic_load_explicit(&w->page->current, memory_order_relaxed);
    if (away || id != w->watched) w->last_progress_us = now;
    w->watched = id;
    bool hung =
        w->in_flight > 0 && now > w->last_progress_us && now - w->last_progress_us > patience_us(hsm, w, id);
    pthread_mutex_unlock(&w->lock);
    if (hung) kms_pool_worker_died(hsm, w, "hangs");
}

/* One at a time: SoftHSM stumbles over concurrent starts, and a wrong PIN must be tried once, not once
 * per worker. Those that do all first: a spare place that cannot start shall not hold them up. */
static void restart_one(kms_hsm *hsm, uint64_t now)
{
    struct kms_pool_worker *due = NULL;
    if (hsm->spawner_gone) { /* nothing can be started any more: kmsd has to be restarted */
        hsm->down = kms_pool_healthy(hsm) == 0;
        return;
    }
    for (unsigned i = 0; i < hsm->place_count; i++) {
        struct kms_pool_worker *w = &hsm->workers[i];
        if (w->state == KMS_WORKER_STARTING) return;
        if (w->state == KMS_WORKER_DOWN && w->wanted && w->restart_at_us <= now &&
            (due == NULL || (i < hsm->worker_count && w->restart_at_us < due->restart_at_us)))
            due = w;
    }
    if (due != NULL) kms_pool_start_worker(hsm, due);
}

void kms_pool_watch(kms_hsm *hsm)
{
    uint64_t now = kms_monotonic_us();
    /* When this thread was away longer than it promised, results may wait unread in a worker's hands:
     * judge nobody. */
    bool away = now - hsm->last_poll_us > hsm->options.deadline_ms * 750ULL;
    hsm->last_poll_us = now;
    for (unsigned i = 0; i < hsm->place_count; i++) watch_one(hsm, &hsm->workers[i], now, away);
    kms_pool_note_token(hsm, now);
    if (!hsm->opening) restart_one(hsm, now);
}
