/* From submit to the worker's socket: lanes pack jobs into datagrams, as far as the workers' credits go. */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/secret.h"
#include "hsm/pool.h"

void kms_list_put(struct kms_job_list *list, struct kms_hsm_job *job)
{
    job->next = NULL;
    *(list->tail != NULL ? &list->tail->next : &list->head) = job;
    list->tail = job;
    list->count++;
}

void kms_list_put_front(struct kms_job_list *list, struct kms_hsm_job *job)
{
    job->next = list->head;
    list->head = job;
    if (list->tail == NULL) list->tail = job;
    list->count++;
}

struct kms_hsm_job *kms_list_take(struct kms_job_list *list)
{
    struct kms_hsm_job *job = list->head;
    if (job == NULL) return NULL;
    list->head = job->next;
    if (list->head == NULL) list->tail = NULL;
    list->count--;
    job->next = NULL;
    return job;
}

void kms_list_move(struct kms_job_list *to, struct kms_job_list *from)
{
    if (from->head == NULL) return;
    *(to->tail != NULL ? &to->tail->next : &to->head) = from->head;
    to->tail = from->tail;
    to->count += from->count;
    *from = (struct kms_job_list){0};
}

void kms_pool_finish(kms_hsm *hsm, struct kms_hsm_job *job, kms_err err)
{
    job->err = err;
    job->output_len = 0;
    pthread_mutex_lock(&hsm->lock);
    bool first = hsm->finished.head == NULL;
    kms_list_put(&hsm->finished, job);
    pthread_mutex_unlock(&hsm->lock);
    if (first) eventfd_write(hsm->wake, 1);
}

/* Under the worker's lock, like everything down to give_to. Small and large jobs have a share of their
 * own each, so that neither can starve the other. */
static bool has_credit(kms_hsm *hsm, const struct kms_pool_worker *w, const struct kms_hsm_job *job)
{
    if (w->first_free == KMS_POOL_SLOTS) return false;
    if (job->pool.broadcast) return true;
    if (!kms_job_spares_token(job) && w->token_jobs >= kms_pool_depth(hsm, w)) return false;
    if (kms_pool_forgotten(hsm, job)) return false; /* it waits in line, where it is sifted out */
    if (kms_pool_small(job)) return w->small_bytes + job->pool.frame_len <= KMS_POOL_SMALL_SHARE;
    return w->large_bytes == 0 || w->large_bytes + job->pool.frame_len <= KMS_POOL_LARGE_SHARE;
}

static void tell_busy(struct kms_pool_worker *w)
{
    atomic_store_explicit(&w->in_flight_bytes, w->small_bytes + w->large_bytes, memory_order_relaxed);
    atomic_store_explicit(&w->in_flight_jobs, w->in_flight, memory_order_relaxed);
}

static void register_job(struct kms_pool_worker *w, struct kms_hsm_job *job)
{
    uint16_t slot = w->first_free;
    w->first_free = w->slots[slot].next_free;
    w->slots[slot].job = job;
    job->pool.id = ++w->sequence << 16 | slot;
    *(kms_pool_small(job) ? &w->small_bytes : &w->large_bytes) += job->pool.frame_len;
    w->token_jobs += !kms_job_spares_token(job);
    if (w->in_flight++ == 0) w->last_progress_us = kms_monotonic_us();
}

void kms_pool_release(struct kms_pool_worker *w, unsigned slot)
{
    struct kms_hsm_job *job = w->slots[slot].job;
    *(kms_pool_small(job) ? &w->small_bytes : &w->large_bytes) -= job->pool.frame_len;
    w->slots[slot] = (struct kms_slot){.next_free = w->first_free};
    w->first_free = (uint16_t)slot;
    w->token_jobs -= !kms_job_spares_token(job);
    w->in_flight--;
    tell_busy(w);
}

/* False: the socket is full. Any other failure means that the worker is dying: the polling thread will
 * find its jobs. */
static bool send_frame(int fd, uint8_t *frame, size_t len)
{
    ssize_t sent;
    do {
        sent = send(fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    bool full = sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM);
    kms_wipe(frame, len);
    return !full;
}

/* One datagram of at most `most` jobs. False: none went, the list is as before. */
static bool give_to(kms_hsm *hsm, struct kms_pool_worker *w, struct kms_job_list *jobs, size_t most,
                    uint8_t *frame)
{
    struct kms_writer out = kms_writer_over(frame, KMS_HSM_FRAME_BYTES);
    struct kms_job_list sent = {0};
    while (jobs->head != NULL && sent.count < most && has_credit(hsm, w, jobs->head) &&
           jobs->head->pool.frame_len <= (size_t)(out.end - out.at)) {
        struct kms_hsm_job *job = kms_list_take(jobs);
        register_job(w, job);
        kms_job_put(&out, job, job->pool.id, job->pool.deadline_us);
        kms_list_put(&sent, job);
    }
    if (sent.count == 0) return false;
    tell_busy(w);
    if (send_frame(w->fd, frame, (size_t)(out.at - frame))) return true;
    for (struct kms_hsm_job *job = sent.head; job != NULL; job = job->next)
        kms_pool_release(w, job->pool.id & 0xffff);
    kms_list_move(&sent, jobs);
    *jobs = sent;
    return false;
}

bool kms_pool_give(kms_hsm *hsm, struct kms_pool_worker *w, struct kms_hsm_job *job)
{
    struct kms_job_list one = {0};
    kms_list_put(&one, job);
    return give_to(hsm, w, &one, 1, hsm->lanes[hsm->lane_count + KMS_LANE_CALL].frame);
}

/* Gives away what the workers have credit for; the rest stays in the list. */
static void send_list(kms_hsm *hsm, enum kms_pool_queue queue, struct kms_job_list *jobs, uint8_t *frame)
{
    uint64_t refused = 0;
    size_t share = 0;
    while (jobs->head != NULL) {
        struct kms_pool_choice choice = kms_pool_choose(hsm, queue, refused);
        struct kms_pool_worker *w = choice.worker;
        if (w == NULL) return;
        if (share == 0) share = kms_pool_share(hsm, jobs, choice.healthy);
        pthread_mutex_lock(&w->lock);
        bool given = w->state == KMS_WORKER_HEALTHY && give_to(hsm, w, jobs, share, frame);
        pthread_mutex_unlock(&w->lock);
        if (!given) refused |= choice.bit;
    }
}

static kms_err refusal(kms_hsm *hsm, const struct kms_hsm_job *job)
{
    if (kms_pool_forgotten(hsm, job)) return KMS_FAIL(INVALID_KEY_STATE);
    return kms_pool_quarantined(hsm, job) ? KMS_FAIL(HSM_UNAVAILABLE) : KMS_OK;
}

void kms_hsm_submit(kms_hsm *hsm, unsigned lane, struct kms_hsm_job *job)
{
    job->err = KMS_OK;
    job->output_len = 0;
    job->pool.deaths = job->pool.moves = 0;
    job->pool.broadcast = false;
    job->pool.turn = 0;
    if (!kms_job_valid(job)) {
        kms_pool_finish(hsm, job, KMS_FAIL(INVALID_ARGUMENT));
        return;
    }
    uint32_t wait_ms = kms_job_slow(job) ? hsm->options.keygen_deadline_ms : hsm->options.deadline_ms;
    job->pool.deadline_us = job->deadline_us != 0 ? job->deadline_us : kms_monotonic_us() + wait_ms * 1000ULL;
    kms_err refused = refusal(hsm, job);
    if (kms_failed(refused)) {
        kms_pool_finish(hsm, job, refused);
        return;
    }
    job->pool.frame_len = (uint32_t)kms_job_frame_bytes(job);
    kms_list_put(&hsm->lanes[lane].jobs[kms_pool_queue_of(hsm, job)], job);
}

/* In turn with those that wait already, for the polling thread to send. */
static void wait_in_line(kms_hsm *hsm, enum kms_pool_queue queue, struct kms_job_list *jobs)
{
    struct kms_job_list refused = {0};
    pthread_mutex_lock(&hsm->lock);
    struct kms_job_list *line = &hsm->waiting[queue];
    bool first = line->head == NULL;
    if (line->count + jobs->count <= KMS_POOL_WAITING_MAX)
        kms_pool_line_up(&hsm->turns[queue], line, jobs);
    else
        kms_list_move(&refused, jobs);
    atomic_store(&hsm->waiting_count[queue], (unsigned)line->count);
    pthread_mutex_unlock(&hsm->lock);
    if (first) eventfd_write(hsm->wake, 1);
    for (struct kms_hsm_job *job; (job = kms_list_take(&refused)) != NULL;)
        kms_pool_finish(hsm, job, KMS_FAIL(LIMIT_EXCEEDED));
}

void kms_hsm_flush(kms_hsm *hsm, unsigned lane)
{
    struct kms_pool_lane *l = &hsm->lanes[lane];
    for (enum kms_pool_queue queue = 0; queue < KMS_POOL_QUEUES; queue++) {
        struct kms_job_list *jobs = &l->jobs[queue];
        if (jobs->head == NULL) continue;
        if (kms_pool_down(hsm, queue))
            for (struct kms_hsm_job *job; (job = kms_list_take(jobs)) != NULL;)
                kms_pool_finish(hsm, job, KMS_FAIL(HSM_UNAVAILABLE));
        if (atomic_load(&hsm->waiting_count[queue]) == 0) send_list(hsm, queue, jobs, l->frame);
        if (jobs->head != NULL) wait_in_line(hsm, queue, jobs);
    }
}

/* Drops what can no longer be done: late, quarantined or forgotten meanwhile, or nobody there. */
static void sift(kms_hsm *hsm, enum kms_pool_queue queue, struct kms_job_list *jobs)
{
    struct kms_job_list kept = {0};
    uint64_t now = kms_monotonic_us();
    for (struct kms_hsm_job *job; (job = kms_list_take(jobs)) != NULL;) {
        kms_err refused = kms_pool_down(hsm, queue) ? KMS_FAIL(HSM_UNAVAILABLE) : refusal(hsm, job);
        if (kms_failed(refused))
            kms_pool_finish(hsm, job, refused);
        else if (job->pool.deadline_us < now || (job->wanted_until_us != 0 && job->wanted_until_us < now))
            kms_pool_finish(hsm, job, KMS_FAIL(DEADLINE_EXCEEDED));
        else
            kms_list_put(&kept, job);
    }
    *jobs = kept;
}

void kms_pool_drain(kms_hsm *hsm)
{
    for (enum kms_pool_queue queue = 0; queue < KMS_POOL_QUEUES; queue++) {
        struct kms_job_list jobs = {0};
        if (atomic_load(&hsm->waiting_count[queue]) == 0) continue;
        pthread_mutex_lock(&hsm->lock);
        kms_list_move(&jobs, &hsm->waiting[queue]);
        pthread_mutex_unlock(&hsm->lock);
        uint64_t last = jobs.tail != NULL ? jobs.tail->pool.turn : 0; /* of what is sifted out, too */
        sift(hsm, queue, &jobs);
        if (queue == KMS_QUEUE_RSA && jobs.head != NULL) kms_pool_want(hsm, KMS_FOR_RSA);
        send_list(hsm, queue, &jobs, hsm->lanes[hsm->lane_count + KMS_LANE_POLL].frame);
        pthread_mutex_lock(&hsm->lock);
        kms_pool_took_turns(&hsm->turns[queue], last, &jobs);
        kms_list_merge(&jobs, &hsm->waiting[queue]); /* who came meanwhile */
        hsm->waiting[queue] = jobs;
        atomic_store(&hsm->waiting_count[queue], (unsigned)jobs.count);
        pthread_mutex_unlock(&hsm->lock);
    }
}
