/* Turns of those that wait for a worker. */
#include "hsm/pool.h"
#include "tests/harness/suite.h"

enum { JOBS = 32, LIGHT = 1000 };

static struct kms_hsm_job jobs[JOBS];
static struct kms_pool_turns turns;
static struct kms_job_list line;

static void begin(void)
{
    memset(jobs, 0, sizeof jobs);
    turns = (struct kms_pool_turns){0};
    line = (struct kms_job_list){0};
}

/* Jobs from..from + count - 1 of this payer come. */
static void come(unsigned from, unsigned count, uint64_t payer)
{
    struct kms_job_list fresh = {0};
    for (unsigned i = from; i < from + count; i++) {
        jobs[i].payer = payer;
        kms_list_put(&fresh, &jobs[i]);
    }
    kms_pool_line_up(&turns, &line, &fresh);
    CU_ASSERT(fresh.head == NULL && fresh.count == 0);
}

/* So many of the line are served. */
static void serve(unsigned count)
{
    uint64_t last = line.tail != NULL ? line.tail->pool.turn : 0;
    for (unsigned i = 0; i < count; i++) CU_ASSERT_PTR_NOT_NULL(kms_list_take(&line));
    kms_pool_took_turns(&turns, last, &line);
}

static void stands(const char *wanted)
{
    char got[3 * JOBS + 1] = "";
    size_t count = 0, len = 0;
    const struct kms_hsm_job *last = NULL;
    for (const struct kms_hsm_job *job = line.head; job != NULL; last = job, job = job->next, count++)
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%zd", len > 0 ? " " : "", job - jobs);
    CU_ASSERT_STRING_EQUAL(got, wanted);
    CU_ASSERT(line.count == count && line.tail == last);
}

static void one_payer_stands_as_it_came(void)
{
    begin();
    come(0, 3, 7);
    come(3, 2, 7);
    stands("0 1 2 3 4");
    serve(2);
    come(5, 1, 7);
    stands("2 3 4 5");
}

static void few_pass_many(void)
{
    begin();
    come(0, 8, 7);
    come(8, 2, LIGHT);
    stands("0 8 1 9 2 3 4 5 6 7");
    serve(4);
    come(10, 1, LIGHT); /* it was served twice: its turn is that of the others' third */
    stands("2 10 3 4 5 6 7");
}

/* Who comes later is not paid for the time that it did not wait. */
static void nobody_saves_turns(void)
{
    begin();
    come(0, 8, 7);
    serve(6);
    come(8, 4, LIGHT);
    stands("6 8 7 9 10 11");
    serve(6);
    come(12, 3, 7);
    come(15, 2, LIGHT);
    stands("12 15 13 16 14");
}

static void who_comes_meanwhile_is_merged(void)
{
    begin();
    come(0, 4, 7);
    struct kms_job_list taken = line;
    line = (struct kms_job_list){0};
    come(4, 1, LIGHT);
    come(5, 1, 7);
    kms_list_take(&taken);
    kms_pool_took_turns(&turns, 4, &taken);
    kms_list_merge(&taken, &line);
    CU_ASSERT(line.head == NULL && line.count == 0);
    line = taken;
    stands("4 1 2 3 5");
    kms_list_put_front(&line, &jobs[0]); /* its worker died: it is next */
    come(6, 1, LIGHT);
    stands("0 4 1 6 2 3 5");
}

/* Several payers' in one flush, into a line that is there. */
static void a_flush_of_several(void)
{
    static const uint64_t payers[] = {7, LIGHT, 7, 7, LIGHT};
    struct kms_job_list fresh = {0};
    begin();
    come(0, 3, 7);
    for (unsigned i = 3; i < 8; i++) {
        jobs[i].payer = payers[i - 3];
        kms_list_put(&fresh, &jobs[i]);
    }
    kms_pool_line_up(&turns, &line, &fresh);
    stands("0 4 1 7 2 3 5 6");
}

static unsigned refused_count;

static void note_refused(struct kms_hsm_job *job)
{
    refused_count += kms_is(job->err, KMS_E_DEADLINE_EXCEEDED);
}

/* No worker is there, and the line is drained of what nobody waits for any more: it cost no turn. */
static void what_was_late_is_not_paid_for(void)
{
    static struct kms_hsm hsm = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = -1};
    static struct kms_pool_lane lanes[2];
    static struct kms_pool_worker places[KMS_POOL_KINDS - 1];
    struct kms_job_list fresh = {0};
    begin();
    refused_count = 0;
    hsm.lanes = lanes;
    hsm.workers = places;
    for (unsigned i = 0; i < 8; i++) {
        jobs[i].payer = 7;
        jobs[i].done = note_refused;
        jobs[i].pool.deadline_us = 1;
        kms_list_put(&fresh, &jobs[i]);
    }
    kms_pool_line_up(&hsm.turns[KMS_QUEUE_SMALL], &hsm.waiting[KMS_QUEUE_SMALL], &fresh);
    hsm.waiting_count[KMS_QUEUE_SMALL] = 8;
    kms_pool_drain(&hsm);
    CU_ASSERT_EQUAL(hsm.waiting_count[KMS_QUEUE_SMALL], 0);
    for (struct kms_hsm_job *job; (job = kms_list_take(&hsm.finished)) != NULL;) job->done(job);
    CU_ASSERT_EQUAL(refused_count, 8);
    turns = hsm.turns[KMS_QUEUE_SMALL];
    come(8, 2, 7);
    come(10, 1, LIGHT);
    stands("8 10 9");
    CU_ASSERT_EQUAL(jobs[8].pool.turn, jobs[10].pool.turn);
}

/* A lot of payers for few places: everybody is served all the same. */
static void a_crowd(void)
{
    begin();
    for (unsigned i = 0; i < JOBS; i++) come(i, 1, i * 0x10001);
    for (unsigned i = 1; i < JOBS; i++) CU_ASSERT(jobs[i].pool.turn >= 1 && jobs[i].pool.turn <= JOBS);
    CU_ASSERT_EQUAL(line.count, JOBS);
    serve(JOBS);
    CU_ASSERT_PTR_NULL(line.head);
    come(0, 1, 7);
    come(1, 1, LIGHT);
    CU_ASSERT_EQUAL(jobs[0].pool.turn, jobs[1].pool.turn);
}

KMS_TEST_MAIN("hsm/pool_fair", {"one payer stands as it came", one_payer_stands_as_it_came},
              {"few pass many", few_pass_many}, {"nobody saves turns", nobody_saves_turns},
              {"who comes meanwhile is merged", who_comes_meanwhile_is_merged}, {"a crowd", a_crowd},
              {"a flush of several", a_flush_of_several},
              {"what was late is not paid for", what_was_late_is_not_paid_for})
