/* The method table against the protos: each rpc has one row, each row its functions, class and path. */
#include "kmsd/service/method.h"

#include <stdio.h>

#include "kms/v1/approvals.pb-c.h"
#include "kms/v1/audit.pb-c.h"
#include "kms/v1/batch.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/grants.pb-c.h"
#include "kms/v1/import.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/leases.pb-c.h"
#include "kms/v1/policy.pb-c.h"
#include "kms/v1/secrets.pb-c.h"
#include "kms/v1/system.pb-c.h"
#include "tests/harness/suite.h"

static const ProtobufCServiceDescriptor *const services[] = {
    &kms__v1__batch_service__descriptor,    &kms__v1__import_service__descriptor,
    &kms__v1__approval_service__descriptor, &kms__v1__crypto_service__descriptor,
    &kms__v1__grant_service__descriptor,    &kms__v1__key_service__descriptor,
    &kms__v1__policy_service__descriptor,   &kms__v1__system_service__descriptor,
    &kms__v1__audit_service__descriptor,    &kms__v1__secret_service__descriptor,
    &kms__v1__lease_service__descriptor};

static size_t rows_of(const ProtobufCServiceDescriptor *service, const char *rpc)
{
    size_t rows = 0;
    for (size_t i = 0; i < kms_method_count; i++)
        rows += kms_methods[i].service == service && strcmp(kms_methods[i].rpc, rpc) == 0;
    return rows;
}

static void every_rpc_has_one_row(void)
{
    size_t rpcs = 0;
    for (size_t s = 0; s < KMS_COUNT(services); s++) {
        for (unsigned m = 0; m < services[s]->n_methods; m++)
            CU_ASSERT_EQUAL(rows_of(services[s], services[s]->methods[m].name), 1);
        rpcs += services[s]->n_methods;
    }
    CU_ASSERT_EQUAL(rpcs, kms_method_count);
    for (size_t i = 0; i < kms_method_count; i++) CU_ASSERT_PTR_NOT_NULL(kms_method_codec(&kms_methods[i]));
}

static void every_row_has_the_functions_of_its_lane(void)
{
    for (size_t i = 0; i < kms_method_count; i++) {
        const struct kms_method *m = &kms_methods[i];
        bool crypto = m->lane == KMS_LANE_CRYPTO;
        CU_ASSERT(crypto || m->lane == KMS_LANE_ADMIN);
        CU_ASSERT(m->gather != NULL);
        CU_ASSERT((m->plan != NULL) == (crypto && m->item == NULL));
        CU_ASSERT((m->finish != NULL) == crypto && (m->act != NULL) == !crypto);
    }
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* What only looks is read; what uses key material is usage, in the crypto service; all else administers. */
static enum kms_action_class class_by_name(const struct kms_method *m)
{
    if (begins(m->rpc, "GetParameters")) return KMS_CLASS_ADMIN; /* it makes and stores a wrapping key */
    if (strcmp(m->rpc, "GetSecretValue") == 0) return KMS_CLASS_USAGE; /* it hands out a value */
    if (m->changes) return KMS_CLASS_USAGE; /* what its principal gets is his to use, prolong and give back */
    if (begins(m->rpc, "Describe") || begins(m->rpc, "Get") || begins(m->rpc, "List")) return KMS_CLASS_READ;
    if (m->stream != NULL || begins(m->rpc, "Simulate") || strcmp(m->rpc, "GenerateRandom") == 0)
        return KMS_CLASS_READ;
    if (m->service == &kms__v1__batch_service__descriptor) return KMS_CLASS_USAGE;
    return m->service == &kms__v1__crypto_service__descriptor ? KMS_CLASS_USAGE : KMS_CLASS_ADMIN;
}

static void classes(void)
{
    for (size_t i = 0; i < kms_method_count; i++) {
        const struct kms_method *m = &kms_methods[i];
        CU_ASSERT_EQUAL(kms_action_class_of(m->action), class_by_name(m));
        if (kms_action_class_of(m->action) != class_by_name(m)) printf("\n%s", m->rpc);
        /* what changes stored state needs an attempt's record: never in the lane that has none */
        CU_ASSERT(m->lane == KMS_LANE_ADMIN || kms_action_class_of(m->action) != KMS_CLASS_ADMIN);
    }
}

/* A batch is the method whose name it bears, many times: with its messages, class and lane. */
static void batches(void)
{
    size_t batch_count = 0;
    for (size_t i = 0; i < kms_method_count; i++) {
        const struct kms_method *m = &kms_methods[i], *item = m->item;
        if (item == NULL) continue;
        batch_count++;
        size_t len = strlen(item->rpc);
        CU_ASSERT(begins(m->rpc, item->rpc) && strcmp(m->rpc + len, "Batch") == 0);
        CU_ASSERT(item->item == NULL && item->action == m->action && item->lane == m->lane);
        const ProtobufCMethodDescriptor *many = kms_method_codec(m), *one = kms_method_codec(item);
        CU_ASSERT_PTR_EQUAL(many->input->fields[0].descriptor, one->input);
        const ProtobufCMessageDescriptor *result = many->output->fields[0].descriptor;
        CU_ASSERT_PTR_EQUAL(protobuf_c_message_descriptor_get_field_by_name(result, "success")->descriptor,
                            one->output);
        CU_ASSERT_PTR_EQUAL(protobuf_c_message_descriptor_get_field_by_name(result, "error")->descriptor,
                            &kms__v1__batch_error__descriptor);
    }
    CU_ASSERT_EQUAL(batch_count, kms__v1__batch_service__descriptor.n_methods);
}

/* ReEncrypt needs two; what tags a secret has AWS's name of the action, which KMS has as an rpc, too. */
static const char *action_named(const char *rpc)
{
    if (strcmp(rpc, "ReEncrypt") == 0) return "ReEncryptFrom";
    if (strcmp(rpc, "TagSecret") == 0) return "TagResource";
    return strcmp(rpc, "UntagSecret") == 0 ? "UntagResource" : rpc;
}

/* The action bears the rpc's name. A batch has that of its items, a stream that of the list. */
static void actions(void)
{
    for (size_t i = 0; i < kms_method_count; i++) {
        if (kms_methods[i].item != NULL || kms_methods[i].stream != NULL) continue;
        const char *name = kms_action_name(kms_methods[i].action), *rpc = kms_methods[i].rpc;
        CU_ASSERT(begins(name, "kms:") || begins(name, "secretsmanager:"));
        CU_ASSERT_STRING_EQUAL(strchr(name, ':') + 1, action_named(rpc));
        for (size_t k = 0; k < i; k++)
            if (kms_methods[k].item == NULL && kms_methods[k].stream == NULL)
                CU_ASSERT_NOT_EQUAL(kms_methods[k].action, kms_methods[i].action);
    }
}

/* The stream alone needs what another method is named after. */
static void streams(void)
{
    size_t found = 0;
    for (size_t i = 0; i < kms_method_count; i++) {
        const struct kms_method *m = &kms_methods[i];
        CU_ASSERT_EQUAL(m->stream != NULL, begins(m->rpc, "Stream"));
        CU_ASSERT_EQUAL(kms_method_streams(m->rpc), m->stream != NULL);
        if (m->stream == NULL) continue;
        CU_ASSERT(m->lane == KMS_LANE_ADMIN && m->act != NULL);
        CU_ASSERT(m->stream->page != NULL && m->stream->due != NULL && m->stream->close != NULL);
        CU_ASSERT_STRING_EQUAL(kms_action_name(m->action) + strlen("kms:List"), m->rpc + strlen("Stream"));
        found++;
    }
    CU_ASSERT_EQUAL(found, 1);
    CU_ASSERT_FALSE(kms_method_streams("Nothing"));
}

static void paths(void)
{
    char path[KMS_METHOD_PATH_BYTES], first[KMS_METHOD_PATH_BYTES];
    kms_method_path(&kms_methods[0], first);
    CU_ASSERT_STRING_EQUAL(first, "/kms.v1.CryptoService/Encrypt");
    for (size_t i = 0; i < kms_method_count; i++) {
        kms_method_path(&kms_methods[i], path);
        size_t service = strlen(kms_methods[i].service->name);
        CU_ASSERT_EQUAL(strlen(path), service + strlen(kms_methods[i].rpc) + 2); /* none is cut */
        CU_ASSERT(begins(path, "/kms.v1."));
    }
}

/* The changes that an approval rule holds up: these, by name, and no other. */
static void guarded(void)
{
    static const char *const names[] = {
        "CancelKeyDeletion", "CreateGrant",  "DeleteImportedKeyMaterial", "DisableKey", "ImportKeyMaterial",
        "PutApprovalRule",   "PutKeyPolicy", "ScheduleKeyDeletion",       "UpdateAlias"};
    size_t found = 0;
    for (size_t i = 0; i < kms_method_count; i++) {
        const struct kms_method *m = &kms_methods[i];
        bool want = false;
        for (size_t k = 0; k < KMS_COUNT(names); k++) want = want || strcmp(names[k], m->rpc) == 0;
        CU_ASSERT_EQUAL(m->guarded, want);
        if (m->guarded != want) printf("\n%s: KMS_GUARDED in method.def?", m->rpc);
        CU_ASSERT(!m->guarded ||
                  (m->lane == KMS_LANE_ADMIN && kms_action_class_of(m->action) == KMS_CLASS_ADMIN));
        found += m->guarded;
    }
    CU_ASSERT(found >= 4);
}

KMS_TEST_MAIN("service/method", {"every rpc has one row", every_rpc_has_one_row},
              {"every row has the functions of its lane", every_row_has_the_functions_of_its_lane},
              {"guarded", guarded}, {"classes", classes}, {"batches", batches}, {"actions", actions},
              {"streams", streams}, {"paths", paths})
