/* A real server whose pipeline makes pages, and libkms, which reads them. */
#include <jansson.h>
#include <kms/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kmsd/rpc/tls.h"
#include "tests/harness/suite.h"
#include "world.h"

#define STREAM "AuditService/StreamAuditRecords"
enum { PATIENCE_MS = 30000, LARGE = 60000 };

static struct kms_pipeline pipeline;
static struct kms_authn authn;
static kms_rpc *rpc;
static kms_client *client;
static struct kms_error error;

static void open_world(unsigned threads)
{
    struct kms_why why = {""};
    struct kms_rpc_options options = world_options();
    char endpoint[64];
    options.threads = threads;
    pipeline_open(&pipeline);
    KMS_ASSERT_OK_FATAL(world_start(&options, &authn, &pipeline, &rpc, &why));
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%d", kms_rpc_port(rpc));
    const struct kms_client_options to = {.endpoint = endpoint,
                                          .ca_file = world_path("ca.pem"),
                                          .cert_file = world_path("client.pem"),
                                          .key_file = world_path("client.key"),
                                          .server_name = "localhost",
                                          .correlation_id = "pages"};
    CU_ASSERT_TRUE_FATAL(kms_client_open(&to, &client, &error));
}

static void close_world(void)
{
    kms_client_close(client);
    kms_rpc_free(rpc);
    CU_ASSERT_EQUAL(pipeline.begun, pipeline.released);
    pipeline_close(&pipeline);
}

static kms_json_stream *begin(unsigned pages, unsigned bytes, const char *marker)
{
    char request[128];
    kms_json_stream *stream = NULL;
    snprintf(request, sizeof request, "{\"limit\":%u,\"last\":%u,\"marker\":\"%s\"}", pages, bytes, marker);
    CU_ASSERT_TRUE_FATAL(kms_client_stream_json(client, STREAM, request, &stream, &error));
    return stream;
}

/* The number that the next page bears; 0: the end, -1: the error. */
static long next(kms_json_stream *stream)
{
    char *text = NULL;
    bool ended = false;
    if (!kms_json_stream_next(stream, PATIENCE_MS, &text, &ended, &error)) return -1;
    CU_ASSERT_FATAL(text != NULL || ended);
    json_t *page = text != NULL ? json_loads(text, 0, NULL) : NULL;
    long number = (long)json_integer_value(json_object_get(page, "bytes_left"));
    json_decref(page);
    kms_json_free(text);
    return number;
}

static void wait_until(const atomic_size_t *count, size_t least)
{
    for (int i = 0; i < PATIENCE_MS && atomic_load(count) < least; i++) usleep(1000);
    CU_ASSERT_TRUE_FATAL(atomic_load(count) >= least);
}

static void wait_until_idle(void)
{
    for (int i = 0; i < PATIENCE_MS && kms_rpc_active(rpc) > 0; i++) usleep(1000);
    CU_ASSERT_EQUAL_FATAL(kms_rpc_active(rpc), 0);
}

static void all_pages_in_their_order(void)
{
    open_world(2);
    for (unsigned pages = 1; pages <= 200; pages += 66) {
        kms_json_stream *stream = begin(pages, pages % 2 == 0 ? LARGE : 10, "");
        for (unsigned i = 1; i <= pages; i++) CU_ASSERT_EQUAL_FATAL(next(stream), i);
        CU_ASSERT_EQUAL(next(stream), 0);
        CU_ASSERT_EQUAL(next(stream), 0); /* the end remains the end */
        kms_json_stream_close(stream);
    }
    struct seen last = pipeline_last(&pipeline);
    CU_ASSERT_STRING_EQUAL(last.principal, "cn:client");
    CU_ASSERT_STRING_EQUAL(last.correlation_id, "pages");
    CU_ASSERT_FALSE(last.has_deadline);
    wait_until_idle();
    CU_ASSERT_EQUAL(pipeline.unwritten, 0);
    close_world();
}

static void an_error_before_and_behind_pages(void)
{
    open_world(1);
    for (unsigned pages = 0; pages < 3; pages++) {
        pipeline.ending = pages == 0;
        kms_json_stream *stream = begin(pages, 10, "fail");
        for (unsigned i = 1; i <= pages; i++) CU_ASSERT_EQUAL(next(stream), i);
        CU_ASSERT_EQUAL(next(stream), -1);
        CU_ASSERT_STRING_EQUAL(error.reason, pages == 0 ? "SHUTTING_DOWN" : "KEY_DISABLED");
        CU_ASSERT_NOT_EQUAL(error.request_id[0], '\0');
        kms_json_stream_close(stream);
    }
    pipeline.commit_fails = true; /* at its end: what was told is told, but not that it was all */
    kms_json_stream *stream = begin(1, 10, "");
    CU_ASSERT_EQUAL(next(stream), 1);
    CU_ASSERT_EQUAL(next(stream), -1);
    CU_ASSERT_STRING_EQUAL(error.reason, "AUDIT_UNAVAILABLE");
    kms_json_stream_close(stream);
    close_world();
}

/* The next page is made when the one before is on its way: who does not read stops the maker. */
static void a_slow_client(void)
{
    open_world(2);
    kms_json_stream *stream = begin(0, LARGE, "");
    CU_ASSERT_EQUAL(next(stream), 1);
    size_t before, after = atomic_load(&pipeline.pages);
    do { /* until it stands still: the first windows fill */
        before = after;
        usleep(300000);
        after = atomic_load(&pipeline.pages);
    } while (after != before);
    CU_ASSERT_TRUE(after < 400);
    for (unsigned i = 2; i <= after + 20; i++) CU_ASSERT_EQUAL_FATAL(next(stream), i);
    CU_ASSERT_EQUAL(pipeline.unwritten, 0);
    kms_json_stream_close(stream); /* in the middle: what cannot be written comes back */
    wait_until_idle();
    CU_ASSERT_EQUAL(pipeline.unwritten, 1);
    close_world();
}

/* The pipeline does not wait for a client that does not read: it says what the client hears. */
static void a_cancelled_page(void)
{
    open_world(2);
    kms_json_stream *stream = begin(0, LARGE, "");
    for (int i = 0; i < PATIENCE_MS && pipeline.unwritten == 0; i++) {
        usleep(10000);
        pipeline_cancel(&pipeline, KMS_FAIL(DEADLINE_EXCEEDED));
    }
    wait_until(&pipeline.unwritten, 1);
    wait_until_idle();
    long number;
    while ((number = next(stream)) > 0) continue;
    CU_ASSERT_EQUAL(number, -1);
    CU_ASSERT_STRING_EQUAL(error.reason, "DEADLINE_EXCEEDED");
    kms_json_stream_close(stream);
    close_world();
}

static void a_client_that_goes_while_nothing_is_written(void)
{
    open_world(2);
    pipeline_hold(&pipeline, true);
    kms_json_stream *stream = begin(0, 10, "");
    pipeline_wait_begun(&pipeline, 1);
    kms_json_stream_close(stream);
    struct kms_call *call = pipeline.calls;
    for (int i = 0; i < PATIENCE_MS && !atomic_load(&call->gone); i++) usleep(1000);
    CU_ASSERT_TRUE(atomic_load(&call->gone));
    pipeline_hold(&pipeline, false);
    wait_until_idle();
    CU_ASSERT_TRUE(pipeline.gone);
    close_world();
}

static void stopping_ends_streams(void)
{
    enum { STREAMS = 6 };
    open_world(2);
    kms_json_stream *streams[STREAMS];
    for (size_t i = 0; i < STREAMS; i++) {
        streams[i] = begin(0, 10, "");
        CU_ASSERT_EQUAL(next(streams[i]), 1);
    }
    kms_rpc_drain_and_stop(rpc);
    CU_ASSERT_EQUAL(kms_rpc_active(rpc), 0);
    for (size_t i = 0; i < STREAMS; i++) {
        long number;
        while ((number = next(streams[i])) > 0) continue;
        CU_ASSERT_EQUAL(number, -1);
        CU_ASSERT_EQUAL(error.code, 14); /* SHUTTING_DOWN, but for one that was cancelled */
        kms_json_stream_close(streams[i]);
    }
    close_world();
}

static void one_after_the_other(void)
{
    open_world(2);
    for (unsigned i = 0; i < 100; i++) {
        kms_json_stream *stream = begin(i % 5, i % 3 * 20000, i % 7 == 0 ? "fail" : "");
        for (unsigned k = 0; k < i % 4; k++) CU_ASSERT_TRUE(next(stream) >= (i % 7 == 0 ? -1 : 0));
        kms_json_stream_close(stream);
    }
    wait_until_idle();
    close_world();
}

static void what_is_no_stream(void)
{
    char *reply = NULL;
    kms_json_stream *stream = NULL;
    open_world(1);
    CU_ASSERT_FALSE(kms_client_call_json(client, STREAM, "{}", NULL, &reply, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "many messages"));
    CU_ASSERT_FALSE(kms_client_stream_json(client, "KeyService/DescribeKey", "{}", &stream, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "one message"));
    CU_ASSERT_FALSE(kms_client_stream_json(client, STREAM, "{\"x\":1}", &stream, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    CU_ASSERT_PTR_NULL(stream);
    close_world();
}

static CU_TestInfo tests[] = {{"all pages in their order", all_pages_in_their_order},
                              {"an error before and behind pages", an_error_before_and_behind_pages},
                              {"a slow client", a_slow_client},
                              {"a cancelled page", a_cancelled_page},
                              {"a client that goes", a_client_that_goes_while_nothing_is_written},
                              {"stopping ends streams", stopping_ends_streams},
                              {"a hundred, one after the other", one_after_the_other},
                              {"what is no stream", what_is_no_stream},
                              CU_TEST_INFO_NULL};

int main(void)
{
    if (kms_failed(kms_tls_only_13()) || !world_certificates()) return 1;
    return kms_run_suite("rpc/stream", tests);
}
