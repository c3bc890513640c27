/* Mutual TLS: who is let in, who is believed, and what a user reads when either fails. */
#include "client_fixture.h"
#include "tests/doubles/certificates.h"

static struct certificate ca, other_ca, server_cert, client_cert, foreign_client;
static struct fake_server_options options = {
    .ca_pem = ca.cert_pem, .cert_pem = server_cert.cert_pem, .key_pem = server_cert.key_pem, .handler = play};

static const char *file(const char *name, const char *text)
{
    static char paths[8][300];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, 300, "%s/%s", kms_temp_dir(), name);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void make_certificates(void)
{
    certificate_make("ca", NULL, NULL, &ca);
    certificate_make("other ca", NULL, NULL, &other_ca);
    certificate_make("server", "DNS:kms.test", &ca, &server_cert);
    certificate_make("client", "URI:spiffe://x/app", &ca, &client_cert);
    certificate_make("client", "URI:spiffe://x/app", &other_ca, &foreign_client);
}

static void handshakes(void)
{
    static const struct {
        const struct certificate *trusted, *client;
        const char *server_name;
        const char *says; /* NULL: let in */
    } rows[] = {
        {&ca, &client_cert, "kms.test", NULL},
        {&ca, &client_cert, "other.test", "other.test is not in peer certificate"},
        {&ca, &client_cert, NULL, "127.0.0.1 is not in peer certificate"},
        {&other_ca, &client_cert, "kms.test", "certificate verify failed"},
        {&ca, &foreign_client, "kms.test", ""}, /* the server hangs up */
    };
    static const struct fake_answer fine = {0};
    make_certificates();
    struct script script = {.answers = &fine, .count = 1};
    options.user = &script;
    fake_server *server = fake_server_start(&options);
    char endpoint[32];
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%d", fake_server_port(server));
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_client_options to = {.endpoint = endpoint,
                                        .ca_file = file("ca.pem", rows[i].trusted->cert_pem),
                                        .cert_file = file("cert.pem", rows[i].client->cert_pem),
                                        .key_file = file("key.pem", rows[i].client->key_pem),
                                        .server_name = rows[i].server_name,
                                        .attempts = 2};
        kms_client *client = NULL;
        struct kms_status *status = NULL;
        struct kms_error error = {0};
        CU_ASSERT_TRUE_FATAL(kms_client_open(&to, &client, &error));
        bool ok = kms_client_get_status(client, NULL, &status, &error);
        CU_ASSERT_EQUAL(ok, rows[i].says == NULL);
        if (!ok) CU_ASSERT_STRING_EQUAL(error.reason, "UNAVAILABLE");
        if (!ok) CU_ASSERT_PTR_NOT_NULL(strstr(error.message, rows[i].says));
        kms_status_free(status);
        kms_client_close(client);
    }
    fake_server_stop(server);
}

/* What core would only call an empty list of addresses. */
static void files_are_checked_first(void)
{
    make_certificates();
    const char *ca_file = file("ca.pem", ca.cert_pem), *junk = "-----BEGIN X-----\nAAAA\n-----END X-----\n";
    const char *junk_file = file("junk.pem", junk), *cert = file("cert.pem", client_cert.cert_pem);
    const char *key = file("key.pem", client_cert.key_pem),
               *other_key = file("other.pem", server_cert.key_pem);
    const struct {
        const char *ca, *cert, *key, *says; /* NULL: fine */
    } rows[] = {
        {ca_file, cert, key, NULL},
        {ca_file, cert, other_key, "other.pem: is not the key of the certificate"},
        {ca_file, cert, cert, "cert.pem: holds no private key without a passphrase"},
        {ca_file, junk_file, key, "junk.pem: holds no certificate"},
        {key, cert, key, "key.pem: holds no certificate"},
        {ca_file, cert, NULL, "key file is missing"},
        {ca_file, NULL, key, "certificate file is missing"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_client_options to = {.endpoint = "127.0.0.1:1",
                                        .ca_file = rows[i].ca,
                                        .cert_file = rows[i].cert,
                                        .key_file = rows[i].key};
        kms_client *client = NULL;
        struct kms_error error = {0};
        CU_ASSERT_EQUAL(kms_client_open(&to, &client, &error), rows[i].says == NULL);
        if (rows[i].says != NULL) CU_ASSERT_STRING_EQUAL(error.reason, "CONFIG_INVALID");
        if (rows[i].says != NULL) CU_ASSERT_PTR_NOT_NULL(strstr(error.message, rows[i].says));
        kms_client_close(client);
    }
}

KMS_TEST_MAIN("client/lib over mutual TLS", {"handshakes", handshakes},
              {"files are checked first", files_are_checked_first})
