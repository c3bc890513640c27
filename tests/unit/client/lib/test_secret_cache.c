/* Each time of the secret cache, shown by the calls that the server gets. Time is what a test says. */
#include "client/lib/secret_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "client_fixture.h"
#include "kms/v1/secrets.pb-c.h"

static uint64_t now_us;
static uint64_t the_clock(void)
{
    return now_us;
}

/* A new value for each call: its number. */
struct server {
    uint32_t number;
    int status; /* what it answers; 0: a value */
    const char *reason;
    char asked[200];
};

static void answer(void *user, const char *path, struct kms_bytes request, struct fake_answer *ret_answer)
{
    struct server *server = user;
    CU_ASSERT_STRING_EQUAL(path, "/kms.v1.SecretService/GetSecretValue");
    Kms__V1__GetSecretValueRequest *message =
        kms__v1__get_secret_value_request__unpack(NULL, request.len, request.ptr);
    snprintf(server->asked, sizeof server->asked, "%s|%s|%s", message->secret_id, message->version_stage,
             message->version_id);
    if (server->status != 0) {
        *ret_answer = (struct fake_answer){.status = server->status, .reason = server->reason};
    } else {
        Kms__V1__GetSecretValueResponse reply;
        Kms__V1__SecretValue value;
        char text[16], *stage = message->version_stage;
        kms__v1__get_secret_value_response__init(&reply);
        kms__v1__secret_value__init(&value);
        snprintf(text, sizeof text, "%u", ++server->number);
        value.value_case = KMS__V1__SECRET_VALUE__VALUE_SECRET_STRING;
        value.secret_string = text;
        reply.value = &value;
        reply.name = message->secret_id;
        reply.version_id = text;
        reply.n_version_stages = 1;
        reply.version_stages = &stage;
        fake_answer_message(ret_answer, &reply.base);
    }
    kms__v1__get_secret_value_request__free_unpacked(message, NULL);
}

struct fixture {
    fake_server *fake;
    kms_client *client;
    kms_secret_cache *cache;
    struct server server;
    struct kms_error error; /* of the last call */
};

static const struct kms_secret_cache_options short_times = {
    .ttl_ms = 1000, .ahead_ms = 200, .jitter_percent = 1, .stale_ms = 5000, .refresh_ms = 30};

static void start(struct fixture *f, const struct kms_secret_cache_options *options)
{
    const char *socket = fresh_socket();
    *f = (struct fixture){.server = {.number = 0}};
    f->fake = fake_server_start(
        &(struct fake_server_options){.socket = socket, .handler = answer, .user = &f->server});
    f->client = open_client(socket, 20000);
    CU_ASSERT_TRUE_FATAL(kms_secret_cache_new(f->client, options, &f->cache, &f->error));
    kms_secret_cache_set_clock(f->cache, the_clock);
    now_us = 1000000;
}

static void stop(struct fixture *f)
{
    kms_secret_cache_free(f->cache);
    kms_client_close(f->client);
    fake_server_stop(f->fake);
}

/* The number of the value; 0: none. */
static uint32_t get_with(struct fixture *f, struct kms_get_secret_request request)
{
    struct kms_secret_value *value = NULL;
    uint32_t number = 0;
    char text[16] = "";
    if (!kms_secret_cache_get(f->cache, &request, NULL, &value, &f->error)) return 0;
    CU_ASSERT_EQUAL(f->error.code, 0);
    kms_copy(text, kms_plaintext_data(value->value), kms_plaintext_len(value->value));
    number = (uint32_t)strtoul(text, NULL, 10);
    CU_ASSERT_STRING_EQUAL(value->version_id, text);
    CU_ASSERT_STRING_EQUAL(value->name, request.secret_id);
    CU_ASSERT_EQUAL(value->version_stage_count, 1);
    kms_secret_value_free(value);
    return number;
}

static uint32_t get(struct fixture *f)
{
    return get_with(f, (struct kms_get_secret_request){.secret_id = "db"});
}

static void pass_ms(uint64_t ms)
{
    now_us += ms * 1000;
}

static void a_value_has_its_time(void)
{
    struct fixture f;
    start(&f, &short_times);
    CU_ASSERT_EQUAL(get(&f), 1);
    pass_ms(789); /* 1 % of jitter and 200 ms ahead */
    CU_ASSERT_EQUAL(get(&f), 1);
    pass_ms(11);
    CU_ASSERT_EQUAL(get(&f), 2);
    pass_ms(789);
    CU_ASSERT_EQUAL(get(&f), 2);
    CU_ASSERT_EQUAL(fake_server_calls(f.fake), 2);
    stop(&f);
}

static void jitter_differs(void)
{
    struct fixture f;
    unsigned early = 0;
    start(&f, &(struct kms_secret_cache_options){.ttl_ms = 1000, .ahead_ms = 1, .jitter_percent = 50});
    for (int i = 0; i < 64; i++) { /* from 499 to 999 ms: half of them before 749 */
        kms_secret_cache_forget(f.cache, NULL);
        uint32_t first = get(&f);
        pass_ms(498);
        CU_ASSERT_EQUAL(get(&f), first);
        pass_ms(251);
        if (get(&f) != first) early++;
        pass_ms(250);
        CU_ASSERT_NOT_EQUAL(get(&f), first);
    }
    CU_ASSERT(early > 5 && early < 59); /* missed once in 10^12 */
    stop(&f);
}

static void the_old_value_bridges_an_absence(void)
{
    struct fixture f;
    start(&f, &short_times);
    CU_ASSERT_EQUAL(get(&f), 1);
    f.server.status = 14;
    f.server.reason = "UNAVAILABLE";
    pass_ms(1500);
    CU_ASSERT_EQUAL(get(&f), 1);
    uint64_t calls = fake_server_calls(f.fake);
    CU_ASSERT(calls >= 2);
    pass_ms(999); /* until the next try nobody waits for one */
    CU_ASSERT_EQUAL(get(&f), 1);
    CU_ASSERT_EQUAL(fake_server_calls(f.fake), calls);
    pass_ms(1);
    CU_ASSERT_EQUAL(get(&f), 1);
    CU_ASSERT(fake_server_calls(f.fake) > calls);
    f.server.status = 0; /* back, and found after two seconds more */
    pass_ms(1999);
    CU_ASSERT_EQUAL(get(&f), 1);
    pass_ms(1);
    CU_ASSERT_EQUAL(get(&f), 2);
    stop(&f);
}

static void but_not_for_ever(void)
{
    struct fixture f;
    start(&f, &short_times);
    CU_ASSERT_EQUAL(get(&f), 1);
    f.server.status = 8; /* not repeated by the client itself */
    f.server.reason = "LIMIT_EXCEEDED";
    pass_ms(5999);
    CU_ASSERT_EQUAL(get(&f), 1);
    pass_ms(1);
    CU_ASSERT_EQUAL(get(&f), 0);
    CU_ASSERT_STRING_EQUAL(f.error.reason, "LIMIT_EXCEEDED");
    stop(&f);
}

static void a_lost_right_ends_it(void)
{
    struct fixture f;
    start(&f, &short_times);
    CU_ASSERT_EQUAL(get(&f), 1);
    f.server.status = 7;
    f.server.reason = "ACCESS_DENIED";
    CU_ASSERT_EQUAL(get(&f), 1); /* it does not show before it is asked for again */
    pass_ms(800);
    CU_ASSERT_EQUAL(get(&f), 0);
    CU_ASSERT_STRING_EQUAL(f.error.reason, "ACCESS_DENIED");
    f.server.status = 0;
    CU_ASSERT_EQUAL(get(&f), 2);
    stop(&f);
}

static void each_version_has_its_own(void)
{
    struct fixture f;
    start(&f, &short_times);
    CU_ASSERT_EQUAL(get(&f), 1);
    CU_ASSERT_EQUAL(get_with(&f, (struct kms_get_secret_request){"db", "AWSCURRENT", NULL}), 1);
    CU_ASSERT_EQUAL(get_with(&f, (struct kms_get_secret_request){"db", "", ""}), 1);
    CU_ASSERT_EQUAL(get_with(&f, (struct kms_get_secret_request){"db", "AWSPREVIOUS", NULL}), 2);
    CU_ASSERT_EQUAL(get_with(&f, (struct kms_get_secret_request){"db", NULL, "v1"}), 3);
    CU_ASSERT_STRING_EQUAL(f.server.asked, "db||v1");
    CU_ASSERT_EQUAL(get_with(&f, (struct kms_get_secret_request){"db2", NULL, NULL}), 4);
    CU_ASSERT_EQUAL(get_with(&f, (struct kms_get_secret_request){"db", "AWSPREVIOUS", NULL}), 2);
    kms_secret_cache_forget(f.cache, "db");
    CU_ASSERT_EQUAL(get_with(&f, (struct kms_get_secret_request){"db2", NULL, NULL}), 4);
    CU_ASSERT_EQUAL(get_with(&f, (struct kms_get_secret_request){"db", "AWSPREVIOUS", NULL}), 5);
    stop(&f);
}

static void the_one_unused_for_longest_goes(void)
{
    struct fixture f;
    start(&f, &(struct kms_secret_cache_options){.max_entries = 2});
    const struct kms_get_secret_request a = {.secret_id = "a"}, b = {.secret_id = "b"},
                                        c = {.secret_id = "c"};
    CU_ASSERT_EQUAL(get_with(&f, a), 1);
    CU_ASSERT_EQUAL(get_with(&f, b), 2);
    CU_ASSERT_EQUAL(get_with(&f, a), 1);
    CU_ASSERT_EQUAL(get_with(&f, c), 3);
    CU_ASSERT_EQUAL(get_with(&f, a), 1);
    CU_ASSERT_EQUAL(get_with(&f, b), 4);
    stop(&f);
}

static void forgetting_wipes(void)
{
    struct fixture f;
    start(&f, NULL);
    size_t before = kms_locked_used();
    for (int i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        CU_ASSERT_NOT_EQUAL(get_with(&f, (struct kms_get_secret_request){.secret_id = name}), 0);
    }
    kms_secret_cache_forget(f.cache, NULL);
    CU_ASSERT(kms_locked_used() <= before + 64 * 1024); /* slabs stay, values do not pile up */
    CU_ASSERT_EQUAL(get_with(&f, (struct kms_get_secret_request){.secret_id = "s0"}), 9);
    stop(&f);
}

static void limits_are_checked(void)
{
    static const struct {
        struct kms_secret_cache_options options;
        const char *words;
    } rows[] = {
        {{.ttl_ms = 86400001}, "secret cache: ttl_ms is at most 86400000"},
        {{.ttl_ms = 1000, .ahead_ms = 1000}, "secret cache: ahead_ms is at most 999"},
        {{.jitter_percent = 51}, "secret cache: jitter_percent is at most 50"},
        {{.stale_ms = 86400001}, "secret cache: stale_ms is at most 86400000"},
        {{.max_entries = 1025}, "secret cache: max_entries is at most 1024"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        kms_secret_cache *cache = NULL;
        struct kms_error error;
        CU_ASSERT_FALSE(kms_secret_cache_new(NULL, &rows[i].options, &cache, &error));
        CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
        CU_ASSERT_STRING_EQUAL(error.message, rows[i].words);
    }
}

static void a_child_is_refused(void)
{
    struct fixture f;
    int status = 0;
    start(&f, NULL);
    CU_ASSERT_EQUAL(get(&f), 1);
    pid_t child = fork();
    if (child == 0) {
        struct kms_secret_value *value = NULL;
        struct kms_error error;
        struct kms_get_secret_request request = {.secret_id = "db"};
        bool refused = !kms_secret_cache_get(f.cache, &request, NULL, &value, &error) &&
                       strcmp(error.reason, "UNSUPPORTED") == 0;
        kms_secret_cache_free(f.cache);
        _exit(refused ? 0 : 1);
    }
    CU_ASSERT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    stop(&f);
}

/* Eight threads use one cache whose values are over all the time. */
struct crowd {
    struct fixture *f;
    atomic_uint failed;
};

static void *use(void *self)
{
    struct crowd *crowd = self;
    for (int i = 0; i < 50; i++) {
        struct kms_get_secret_request request = {.secret_id = i % 2 == 0 ? "a" : "b"};
        struct kms_secret_value *value = NULL;
        struct kms_error error;
        if (!kms_secret_cache_get(crowd->f->cache, &request, NULL, &value, &error))
            crowd->failed++;
        else
            kms_secret_value_free(value);
        if (i % 10 == 0) kms_secret_cache_forget(crowd->f->cache, "a");
    }
    return NULL;
}

static void threads_share_it(void)
{
    struct fixture f;
    struct crowd crowd = {.f = &f};
    pthread_t threads[8];
    start(&f, &(struct kms_secret_cache_options){.ttl_ms = 1, .max_entries = 1});
    kms_secret_cache_set_clock(f.cache, kms_monotonic_us);
    for (size_t i = 0; i < KMS_COUNT(threads); i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, use, &crowd), 0);
    for (size_t i = 0; i < KMS_COUNT(threads); i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(crowd.failed, 0);
    stop(&f);
}

KMS_TEST_MAIN("client/lib/secret_cache", {"a value has its time", a_value_has_its_time},
              {"jitter differs", jitter_differs},
              {"the old value bridges an absence", the_old_value_bridges_an_absence},
              {"but not for ever", but_not_for_ever}, {"a lost right ends it", a_lost_right_ends_it},
              {"each version has its own", each_version_has_its_own},
              {"the one unused for longest goes", the_one_unused_for_longest_goes},
              {"forgetting wipes", forgetting_wipes}, {"limits are checked", limits_are_checked},
              {"a child is refused", a_child_is_refused}, {"threads share it", threads_share_it})
