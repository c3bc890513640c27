/* What is watched, when a change is told, and what is said when the service is away. */
#include "client/kms-env/watch.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "tests/harness/suite.h"

struct world {
    const char *db, *api; /* versions of AWSCURRENT; NULL: cannot be asked */
    bool refuse;          /* the new values cannot be had */
    unsigned asked, changes, said;
    char words[600];
    pthread_mutex_t lock;
    pthread_cond_t news;
};

static kms_err version(void *self, const char *name, const char *stage,
                       char version_id[KMS_ENV_REFERENCE_VERSION_BYTES + 1], struct kms_why *why)
{
    struct world *w = self;
    CU_ASSERT_STRING_EQUAL(stage, "AWSCURRENT");
    w->asked++;
    const char *now = strcmp(name, "db") == 0 ? w->db : w->api;
    if (now == NULL) {
        kms_why_set(why, "no connection");
        return KMS_FAIL(INTERNAL);
    }
    snprintf(version_id, KMS_ENV_REFERENCE_VERSION_BYTES + 1, "%s", now);
    return KMS_OK;
}

static kms_err changed(void *self, struct kms_why *why)
{
    struct world *w = self;
    w->changes++;
    if (!w->refuse) return KMS_OK;
    kms_why_set(why, "1 value could not be had");
    return KMS_FAIL(NOT_FOUND);
}

static void say(void *self, const char *words)
{
    struct world *w = self;
    pthread_mutex_lock(&w->lock);
    w->said++;
    snprintf(w->words, sizeof w->words, "%s", words);
    w->db = "1"; /* here again from now on */
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
}

static struct world world;

/* A watch over what three variables refer to. */
static kms_env_watch *begin(void)
{
    static const char *const texts[] = {"kms-secret://db#a", "kms-secret://db#b", "kms-secret://api",
                                        "kms-secret://api?version=7", "kms-db://ro#username"};
    KMS_OWN(kms_env_fetches) fetches = NULL;
    kms_env_watch *watch = NULL;
    world = (struct world){.db = "1", .api = "1", .lock = PTHREAD_MUTEX_INITIALIZER};
    kms_cond_init(&world.news);
    KMS_ASSERT_OK_FATAL(kms_env_fetches_new(&fetches));
    for (size_t i = 0; i < KMS_COUNT(texts); i++) {
        struct kms_env_reference reference;
        size_t at;
        KMS_ASSERT_OK_FATAL(kms_env_reference_parse(kms_bytes_text(texts[i]), &reference, NULL));
        KMS_ASSERT_OK_FATAL(kms_env_fetches_add(fetches, &reference, &at));
        snprintf(kms_env_fetches_at(fetches, at)->version_id, 2, "1");
    }
    KMS_ASSERT_OK_FATAL(
        kms_env_watch_new(fetches, (struct kms_env_watcher){version, changed, say, &world}, &watch));
    CU_ASSERT_EQUAL(kms_env_watch_count(watch), 2); /* a version does not change, nor does a role */
    return watch;
}

static void a_change_is_told_once(void)
{
    KMS_OWN(kms_env_watch) watch = begin();
    KMS_ASSERT_OK(kms_env_watch_check(watch, NULL));
    CU_ASSERT_EQUAL(world.changes, 0);
    world.db = world.api = "2"; /* both at once are one change */
    KMS_ASSERT_OK(kms_env_watch_check(watch, NULL));
    CU_ASSERT_EQUAL(world.changes, 1);
    KMS_ASSERT_OK(kms_env_watch_check(watch, NULL));
    CU_ASSERT_EQUAL(world.changes, 1);
    world.api = "1"; /* moved back */
    KMS_ASSERT_OK(kms_env_watch_check(watch, NULL));
    CU_ASSERT_EQUAL(world.changes, 2);
    CU_ASSERT_EQUAL(world.asked, 8);
}

static void what_fails_does_not_hide_the_rest(void)
{
    KMS_OWN(kms_env_watch) watch = begin();
    struct kms_why why = {0};
    world.db = NULL;
    world.api = "2";
    KMS_ASSERT_CODE(kms_env_watch_check(watch, &why), INTERNAL);
    CU_ASSERT_STRING_EQUAL(why.text, "secret db: no connection");
    CU_ASSERT_EQUAL(world.changes, 1);
}

static void values_that_cannot_be_had_are_tried_again(void)
{
    KMS_OWN(kms_env_watch) watch = begin();
    struct kms_why why = {0};
    world.db = "2";
    world.refuse = true;
    KMS_ASSERT_CODE(kms_env_watch_check(watch, &why), NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(why.text, "1 value could not be had");
    KMS_ASSERT_CODE(kms_env_watch_check(watch, &why), NOT_FOUND);
    world.refuse = false;
    KMS_ASSERT_OK(kms_env_watch_check(watch, &why));
    KMS_ASSERT_OK(kms_env_watch_check(watch, &why));
    CU_ASSERT_EQUAL(world.changes, 3);
}

static void the_thread_says_when_it_cannot_ask(void)
{
    KMS_OWN(kms_env_watch) watch = begin();
    world.db = NULL;
    KMS_ASSERT_OK_FATAL(kms_env_watch_start(watch, 1));
    pthread_mutex_lock(&world.lock);
    while (world.said < 1) pthread_cond_wait(&world.news, &world.lock);
    if (world.said == 1)
        CU_ASSERT_STRING_EQUAL(world.words,
                               "secret db: no connection: the program goes on with the values it has");
    while (world.said < 2) pthread_cond_wait(&world.news, &world.lock);
    CU_ASSERT_STRING_EQUAL(world.words, "secrets can be watched again");
    pthread_mutex_unlock(&world.lock);
    while (!kms_env_watch_stop(watch)) continue; /* busy with a look, which is short here */
    CU_ASSERT_EQUAL(world.said, 2);
    CU_ASSERT_EQUAL(world.changes, 0);
}

KMS_TEST_MAIN("client/kms-env/watch", {"a change is told once", a_change_is_told_once},
              {"what fails does not hide the rest", what_fails_does_not_hide_the_rest},
              {"values that cannot be had are tried again", values_that_cannot_be_had_are_tried_again},
              {"the thread says when it cannot ask", the_thread_says_when_it_cannot_ask})
