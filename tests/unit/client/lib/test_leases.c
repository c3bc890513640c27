/* LeaseService: what is sent is what was given, and passwords come back in locked memory. */
#include <kms/leases.h>

#include "client/lib/message.h"
#include "client/lib/rpc.h"
#include "kms/v1/leases.pb-c.h"
#include "last_call.h"
#include "tests/harness/faults.h"

static void fill_reply(Kms__V1__GenerateCredentialsResponse *reply)
{
    kms__v1__generate_credentials_response__init(reply);
    reply->lease_id = kms_borrow_text("reader/abc");
    reply->username = kms_borrow_text("kms-abc");
    reply->password = kms_borrow_text("s3cr3t");
    reply->lease_duration = 3600;
    reply->expires_us = 7;
}

static void generate(void)
{
    Kms__V1__GenerateCredentialsResponse reply;
    fill_reply(&reply);
    begin(&reply.base);
    struct kms_generate_credentials_request request = {.role_name = "reader", .ttl_s = 90};
    struct kms_database_credentials *got = NULL;
    CU_ASSERT_TRUE_FATAL(kms_client_generate_credentials(client, &request, NULL, &got, NULL));
    CU_ASSERT_STRING_EQUAL(got->lease_id, "reader/abc");
    CU_ASSERT_STRING_EQUAL(got->username, "kms-abc");
    CU_ASSERT_EQUAL_FATAL(kms_plaintext_len(got->password), 6);
    CU_ASSERT_EQUAL(memcmp(kms_plaintext_data(got->password), "s3cr3t", 6), 0);
    CU_ASSERT_EQUAL(got->lease_duration_s, 3600);
    CU_ASSERT_EQUAL(got->expires_us, 7);
    kms_plaintext *taken = got->password;
    got->password = NULL;
    kms_database_credentials_free(got);
    kms_plaintext_free(taken);
    CU_ASSERT_STRING_EQUAL(last.path, "/kms.v1.LeaseService/GenerateCredentials");
    Kms__V1__GenerateCredentialsRequest *sent = DECODED(generate_credentials_request);
    CU_ASSERT_STRING_EQUAL(sent->role_name, "reader");
    CU_ASSERT_EQUAL(sent->ttl, 90);
    FREE(generate_credentials_request, sent);
    end();
}

static void renew(void)
{
    Kms__V1__RenewLeaseResponse reply;
    kms__v1__renew_lease_response__init(&reply);
    reply.lease_id = kms_borrow_text("reader/abc");
    reply.lease_duration = 60;
    reply.expires_us = 9;
    begin(&reply.base);
    struct kms_renew_lease_request request = {.lease_id = "reader/abc", .increment_s = 120};
    struct kms_lease_end got = {0};
    CU_ASSERT_TRUE(kms_client_renew_lease(client, &request, NULL, &got, NULL));
    CU_ASSERT_EQUAL(got.lease_duration_s, 60);
    CU_ASSERT_EQUAL(got.expires_us, 9);
    CU_ASSERT_STRING_EQUAL(last.path, "/kms.v1.LeaseService/RenewLease");
    Kms__V1__RenewLeaseRequest *sent = DECODED(renew_lease_request);
    CU_ASSERT_STRING_EQUAL(sent->lease_id, "reader/abc");
    CU_ASSERT_EQUAL(sent->increment, 120);
    FREE(renew_lease_request, sent);
    end();
}

static void answer_nothing(void *user, const char *path, struct kms_bytes request,
                           struct fake_answer *ret_answer)
{
    remember(user, path, request, ret_answer);
    ret_answer->status = 0;
}

static void revoke(void)
{
    const char *socket = fresh_socket();
    server = fake_server_start(
        &(struct fake_server_options){.socket = socket, .handler = answer_nothing, .user = &last});
    client = open_client(socket, 10000);
    CU_ASSERT_TRUE(kms_client_revoke_lease(client, "reader/abc", NULL, NULL));
    CU_ASSERT_STRING_EQUAL(last.path, "/kms.v1.LeaseService/RevokeLease");
    Kms__V1__RevokeLeaseRequest *sent = DECODED(revoke_lease_request);
    CU_ASSERT_STRING_EQUAL(sent->lease_id, "reader/abc");
    FREE(revoke_lease_request, sent);
    end();
}

static void failures_are_told(void)
{
    struct kms_generate_credentials_request request = {.role_name = "reader"};
    struct kms_renew_lease_request renewal = {.lease_id = "reader/abc"};
    struct kms_database_credentials *none = NULL;
    struct kms_lease_end end_of_none = {0};
    struct kms_error error;
    begin(NULL);
    CU_ASSERT_FALSE(kms_client_generate_credentials(client, &request, NULL, &none, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "UNSUPPORTED");
    CU_ASSERT_PTR_NULL(none);
    CU_ASSERT_FALSE(kms_client_renew_lease(client, &renewal, NULL, &end_of_none, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "UNSUPPORTED");
    CU_ASSERT_EQUAL(end_of_none.lease_duration_s, 0);
    CU_ASSERT_FALSE(kms_client_revoke_lease(client, "reader/abc", NULL, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "UNSUPPORTED");
    end();
}

/* A user may have been made though its answer was lost: another would be one too many. */
static void users_are_asked_for_once(void)
{
    static const struct fake_answer away[] = {{.status = 14, .reason = "DATABASE_UNAVAILABLE"}};
    static struct script script = {.answers = away, .count = 1};
    const char *socket = fresh_socket();
    server =
        fake_server_start(&(struct fake_server_options){.socket = socket, .handler = play, .user = &script});
    client = open_client(socket, 10000);
    struct kms_generate_credentials_request request = {.role_name = "reader"};
    struct kms_database_credentials *none = NULL;
    struct kms_error error;
    CU_ASSERT_FALSE(kms_client_generate_credentials(client, &request, NULL, &none, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "DATABASE_UNAVAILABLE");
    CU_ASSERT_EQUAL(fake_server_calls(server), 1);
    CU_ASSERT_FALSE(kms_client_revoke_lease(client, "reader/abc", NULL, &error));
    CU_ASSERT(fake_server_calls(server) > 2);
    end();
}

static void incomplete(const char *lease_id, const char *username, const char *password)
{
    Kms__V1__GenerateCredentialsResponse reply;
    struct kms_why why = {{0}};
    void *result = NULL;
    fill_reply(&reply);
    reply.lease_id = kms_borrow_text(lease_id);
    reply.username = kms_borrow_text(username);
    reply.password = kms_borrow_text(password);
    KMS_ASSERT_CODE(kms_take_database_credentials(&reply.base, &result, &why), INTERNAL);
    CU_ASSERT_STRING_EQUAL(why.text, "the server answered without a lease, a user or a password");
    CU_ASSERT_PTR_NULL(result);
}

static void replies_leak_nothing(void)
{
    Kms__V1__GenerateCredentialsResponse reply;
    struct kms_why why;
    incomplete("", "u", "p");
    incomplete("l", "", "p");
    incomplete("l", "u", "");
    fill_reply(&reply);
    FAULTS_EACH () {
        void *result = NULL;
        kms_err err = kms_take_database_credentials(&reply.base, &result, &why);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        if (kms_failed(err)) KMS_ASSERT_CODE(err, NO_MEMORY);
        kms_database_credentials_free(result);
    }
}

KMS_TEST_MAIN("client/lib/leases", {"generate", generate}, {"renew", renew}, {"revoke", revoke},
              {"failures are told", failures_are_told},
              {"users are asked for once", users_are_asked_for_once},
              {"replies leak nothing", replies_leak_nothing})
