/* Endpoints and the files of a connection. */
#include "client/lib/channel.h"

#include <stdio.h>

#include "tests/harness/suite.h"

static void targets(void)
{
    static const struct {
        const char *endpoint, *want; /* NULL: refused */
    } rows[] = {
        {"kms.example.com:8443", "dns:///kms.example.com:8443"},
        {"127.0.0.1:8443", "dns:///127.0.0.1:8443"},
        {"[::1]:8443", "dns:///[::1]:8443"},
        {"unix:/run/kmsd/kmsd.sock", "unix:/run/kmsd/kmsd.sock"},
        {"unix:relative", NULL},
        {"unix:", NULL},
        {"kms.example.com", NULL},
        {":8443", NULL},
        {"kms:", NULL},
        {"kms:0", NULL},
        {"kms:65536", NULL},
        {"kms:84x", NULL},
        {"kms: 84", NULL},
        {"::1:8443", NULL},
        {"https://kms:8443", NULL},
        {"xds:///kms:8443", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char target[64] = "";
        kms_err err = kms_channel_target(rows[i].endpoint, target, sizeof target, NULL);
        CU_ASSERT_EQUAL(kms_failed(err), rows[i].want == NULL);
        if (rows[i].want != NULL) CU_ASSERT_STRING_EQUAL(target, rows[i].want);
    }
    char small[8];
    KMS_ASSERT_CODE(kms_channel_target("kms.example.com:8443", small, sizeof small, NULL), CONFIG_INVALID);
}

static const char *write_file(const char *name, const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", kms_temp_dir(), name);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void missing_and_foreign_files(void)
{
    kms_client *client = NULL;
    struct kms_error error;
    struct kms_client_options options = {.endpoint = "127.0.0.1:1"};
    CU_ASSERT_FALSE(kms_client_open(&options, &client, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "CONFIG_INVALID");
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "CA file is missing"));
    options.ca_file = "/nonexistent/ca.pem";
    CU_ASSERT_FALSE(kms_client_open(&options, &client, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "/nonexistent/ca.pem: No such file"));
    options.ca_file = write_file("ca.pem", "not PEM");
    CU_ASSERT_FALSE(kms_client_open(&options, &client, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "is not a PEM file"));
    options.ca_file = "/";
    CU_ASSERT_FALSE(kms_client_open(&options, &client, &error));
    options.endpoint = "nowhere";
    CU_ASSERT_FALSE(kms_client_open(&options, &client, NULL));
    CU_ASSERT_PTR_NULL(client);
    kms_client_close(NULL);
}

static void defaults(void)
{
    kms_client *client = NULL;
    struct kms_client_options options = {.endpoint = "unix:/nonexistent/kmsd.sock"};
    CU_ASSERT_TRUE_FATAL(kms_client_open(&options, &client, NULL));
    CU_ASSERT_EQUAL(client->timeout_ms, 10000);
    CU_ASSERT_EQUAL(client->attempts, 5);
    kms_client_close(client);
}

static void correlation_ids(void)
{
    char longest[KMS_CLIENT_CORRELATION_BYTES + 1];
    memset(longest, 'x', sizeof longest);
    longest[KMS_CLIENT_CORRELATION_BYTES] = '\0';
    const char *const bad[] = {"", "a\nb", "caf\xc3\xa9", "\x7f", longest}, *const good[] = {
                                                                                "a", "id with \"quotes\"",
                                                                                longest + 1};
    struct kms_client_options options = {.endpoint = "unix:/nonexistent/kmsd.sock"};
    for (size_t i = 0; i < KMS_COUNT(bad); i++) {
        kms_client *client = NULL;
        struct kms_error error;
        options.correlation_id = bad[i];
        CU_ASSERT_FALSE(kms_client_open(&options, &client, &error));
        CU_ASSERT_STRING_EQUAL(error.reason, "CONFIG_INVALID");
        CU_ASSERT_STRING_EQUAL(error.message, "a correlation id is 1 to 127 characters of printable ASCII");
    }
    for (size_t i = 0; i < KMS_COUNT(good); i++) {
        kms_client *client = NULL;
        options.correlation_id = good[i];
        CU_ASSERT_TRUE_FATAL(kms_client_open(&options, &client, NULL));
        CU_ASSERT_STRING_EQUAL(client->correlation_id, good[i]);
        kms_client_close(client);
    }
}

KMS_TEST_MAIN("client/lib/channel", {"endpoints", targets},
              {"missing and foreign files are named", missing_and_foreign_files}, {"defaults", defaults},
              {"correlation ids", correlation_ids})
