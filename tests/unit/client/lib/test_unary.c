/* Calls against a scripted server: what is repeated, what is not, and that every call ends. */
#include "client/lib/unary.h"

#include <pthread.h>

#include "client_fixture.h"

enum { DEADLINE_EXCEEDED = 4, PERMISSION_DENIED = 7, UNAVAILABLE = 14 };
enum call_kind { STATUS, CREATE, CREATE_WITH_TOKEN, ENABLE };

static bool make_call(kms_client *client, enum call_kind kind, struct kms_error *error)
{
    struct kms_status *status = NULL;
    struct kms_key_metadata *metadata = NULL;
    struct kms_create_key_request request = {.client_request_token = kind == CREATE_WITH_TOKEN ? "t" : NULL};
    bool ok = kind == STATUS   ? kms_client_get_status(client, NULL, &status, error)
              : kind == ENABLE ? kms_client_enable_key(client, "k", NULL, error)
                               : kms_client_create_key(client, &request, NULL, &metadata, error);
    kms_status_free(status);
    kms_key_metadata_free(metadata);
    return ok;
}

/* Runs one call against the script; tells how many requests the server saw. */
static unsigned run_script(const struct fake_answer *answers, size_t count, enum call_kind kind,
                           struct kms_error *error)
{
    struct script script = {.answers = answers, .count = count};
    const char *socket = fresh_socket();
    fake_server *server =
        fake_server_start(&(struct fake_server_options){.socket = socket, .handler = play, .user = &script});
    kms_client *client = open_client(socket, 10000);
    CU_ASSERT_EQUAL(make_call(client, kind, error), error->code == 0);
    unsigned calls = fake_server_calls(server);
    kms_client_close(client);
    fake_server_stop(server);
    return calls;
}

static void what_is_repeated(void)
{
    const struct fake_answer down = {.status = UNAVAILABLE, .reason = "HSM_UNAVAILABLE"};
    const struct fake_answer denied = {.status = PERMISSION_DENIED, .reason = "ACCESS_DENIED"};
    const struct fake_answer fine = {0};
    const struct {
        enum call_kind kind;
        struct fake_answer answers[3];
        unsigned calls;
        const char *reason; /* "": success */
    } rows[] = {
        {STATUS, {down, down, fine}, 3, ""},
        {STATUS, {down, down, down}, 5, "HSM_UNAVAILABLE"},
        {STATUS, {denied, fine, fine}, 1, "ACCESS_DENIED"},
        {STATUS, {down, denied, fine}, 2, "ACCESS_DENIED"},
        {ENABLE, {down, fine, fine}, 1, "HSM_UNAVAILABLE"},
        {ENABLE, {fine, fine, fine}, 1, ""},
        {CREATE, {down, fine, fine}, 1, "HSM_UNAVAILABLE"},
        {CREATE_WITH_TOKEN, {down, denied, fine}, 2, "ACCESS_DENIED"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_error error;
        unsigned calls = run_script(rows[i].answers, 3, rows[i].kind, &error);
        CU_ASSERT_EQUAL(calls, rows[i].calls);
        CU_ASSERT_STRING_EQUAL(error.reason, rows[i].reason);
    }
}

static void silence_ends_at_the_deadline(void)
{
    static const struct fake_answer never = {.never = true};
    struct script script = {.answers = &never, .count = 1};
    const char *socket = fresh_socket();
    fake_server *server =
        fake_server_start(&(struct fake_server_options){.socket = socket, .handler = play, .user = &script});
    kms_client *client = open_client(socket, 0);
    struct kms_status *status = NULL;
    struct kms_error error;
    struct kms_call_options options = {.timeout_ms = 200};
    CU_ASSERT_FALSE(kms_client_get_status(client, &options, &status, &error));
    CU_ASSERT_EQUAL(error.code, DEADLINE_EXCEEDED);
    CU_ASSERT_STRING_EQUAL(error.reason, "DEADLINE_EXCEEDED");
    CU_ASSERT_PTR_NULL(status);
    CU_ASSERT_FALSE(kms_client_get_status(client, &options, &status, NULL));
    kms_client_close(client);
    fake_server_stop(server);
}

/* Pauses would pass the deadline: the error of the last attempt is told instead. */
static void nobody_listens(void)
{
    kms_client *client = open_client(fresh_socket(), 150);
    struct kms_status *status = NULL;
    struct kms_error error;
    CU_ASSERT_FALSE(kms_client_get_status(client, NULL, &status, &error));
    CU_ASSERT_EQUAL(error.code, UNAVAILABLE);
    CU_ASSERT_STRING_EQUAL(error.reason, "UNAVAILABLE");
    CU_ASSERT_TRUE(error.retryable);
    kms_client_close(client);
}

/* A server that comes back is found again by the same client. */
static void a_server_that_comes_late(void)
{
    static const struct fake_answer fine = {0};
    struct script script = {.answers = &fine, .count = 1};
    const char *socket = fresh_socket();
    kms_client *client = open_client(socket, 10000);
    struct kms_error error;
    CU_ASSERT_FALSE(make_call(client, ENABLE, &error)); /* not repeated, so the connection has failed once */
    fake_server *server =
        fake_server_start(&(struct fake_server_options){.socket = socket, .handler = play, .user = &script});
    CU_ASSERT_TRUE(make_call(client, STATUS, &error));
    kms_client_close(client);
    fake_server_stop(server);
}

struct threads {
    kms_client *client;
    unsigned failed; /* atomic */
};

static void *many_calls(void *argument)
{
    struct threads *threads = argument;
    for (int i = 0; i < 20; i++) {
        struct kms_error error;
        if (!make_call(threads->client, STATUS, &error))
            __atomic_add_fetch(&threads->failed, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void many_threads_share_a_client(void)
{
    static const struct fake_answer fine = {0};
    struct script script = {.answers = &fine, .count = 1};
    const char *socket = fresh_socket();
    fake_server *server =
        fake_server_start(&(struct fake_server_options){.socket = socket, .handler = play, .user = &script});
    struct threads threads = {.client = open_client(socket, 10000)};
    pthread_t ids[8];
    for (size_t i = 0; i < KMS_COUNT(ids); i++) pthread_create(&ids[i], NULL, many_calls, &threads);
    for (size_t i = 0; i < KMS_COUNT(ids); i++) pthread_join(ids[i], NULL);
    CU_ASSERT_EQUAL(threads.failed, 0);
    CU_ASSERT_EQUAL(fake_server_calls(server), 160);
    kms_client_close(threads.client);
    fake_server_stop(server);
}

KMS_TEST_MAIN("client/lib/unary", {"what is repeated", what_is_repeated},
              {"silence ends at the deadline", silence_ends_at_the_deadline},
              {"nobody listens", nobody_listens}, {"a server that comes late", a_server_that_comes_late},
              {"many threads share a client", many_threads_share_a_client})
