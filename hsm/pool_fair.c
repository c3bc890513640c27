/*
 * Who waits for a worker waits in turns: each payer's next job stands one turn behind its last, so that who
 * has hundreds waiting is passed by who has few (start-time fair queueing by Goyal, Vin and Cheng, 1996;
 * all jobs weigh the same). Two payers that meet in one place of the table share one's turns, and nothing
 * else happens.
 */
#include "hsm/pool.h"

static uint64_t *last_turn_of(struct kms_pool_turns *turns, uint64_t payer)
{
    return &turns
                ->last[payer * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (KMS_POOL_PAYERS - 1)]; /* golden ratio */
}

/* Behind all of its turn and of earlier ones; looks from `from` on, one that stands in the line, if that may
 * be: under the pool's lock, a line of thousands is not to be walked for each job of a flush. */
static void put_in_turn(struct kms_job_list *line, struct kms_hsm_job *from, struct kms_hsm_job *job)
{
    if (line->head == NULL || line->tail->pool.turn <= job->pool.turn) {
        kms_list_put(line, job);
        return;
    }
    struct kms_hsm_job **at = from != NULL && from->pool.turn <= job->pool.turn ? &from->next : &line->head;
    while ((*at)->pool.turn <= job->pool.turn) at = &(*at)->next;
    job->next = *at;
    *at = job;
    line->count++;
}

void kms_pool_line_up(struct kms_pool_turns *turns, struct kms_job_list *line, struct kms_job_list *jobs)
{
    struct kms_hsm_job *before = NULL;
    for (struct kms_hsm_job *job; (job = kms_list_take(jobs)) != NULL; before = job) {
        uint64_t *last = last_turn_of(turns, job->payer);
        job->pool.turn = (*last > turns->now ? *last : turns->now) + 1;
        *last = job->pool.turn;
        put_in_turn(line, before, job);
    }
}

void kms_pool_took_turns(struct kms_pool_turns *turns, uint64_t last, const struct kms_job_list *left)
{
    uint64_t now = left->head == NULL ? last : left->head->pool.turn - (left->head->pool.turn > 0);
    if (now > turns->now) turns->now = now;
}

void kms_list_merge(struct kms_job_list *to, struct kms_job_list *from)
{
    struct kms_job_list merged = {0};
    while (to->head != NULL && from->head != NULL)
        kms_list_put(&merged, kms_list_take(to->head->pool.turn <= from->head->pool.turn ? to : from));
    kms_list_move(&merged, to);
    kms_list_move(&merged, from);
    *to = merged;
}
