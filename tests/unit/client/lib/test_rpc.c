/* The table of RPCs has a row for every RPC of the protos, with its path and reply. */
#include "client/lib/json.h"
#include "client/lib/rpc.h"

#include <stdio.h>

#include "kms/v1/batch.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/leases.pb-c.h"
#include "kms/v1/secrets.pb-c.h"
#include "kms/v1/system.pb-c.h"
#include "tests/harness/suite.h"

static const ProtobufCServiceDescriptor *const services[] = {
    &kms__v1__batch_service__descriptor,  &kms__v1__crypto_service__descriptor,
    &kms__v1__key_service__descriptor,    &kms__v1__lease_service__descriptor,
    &kms__v1__secret_service__descriptor, &kms__v1__system_service__descriptor,
};

static const struct kms_rpc *find(const char *path)
{
    for (int id = 0; id < KMS_RPC_COUNT; id++)
        if (strcmp(kms_rpc_of((enum kms_rpc_id)id)->path, path) == 0) return kms_rpc_of((enum kms_rpc_id)id);
    return NULL;
}

/* What carries plaintext has a row; the rest may, or goes by kms_client_call_json. No row is of no method. */
static void every_rpc_with_secrets_has_a_row(void)
{
    size_t rows = 0;
    for (size_t s = 0; s < KMS_COUNT(services); s++) {
        for (unsigned m = 0; m < services[s]->n_methods; m++) {
            const ProtobufCMethodDescriptor *method = &services[s]->methods[m];
            char path[200];
            snprintf(path, sizeof path, "/%s/%s", services[s]->name, method->name);
            const struct kms_rpc *rpc = find(path);
            bool secret = kms_json_secret(method->input) || kms_json_secret(method->output);
            if (rpc == NULL && secret) printf("no row for %s\n", path);
            CU_ASSERT_FALSE(rpc == NULL && secret);
            if (rpc == NULL) continue;
            CU_ASSERT_PTR_EQUAL(rpc->reply, method->output);
            rows++;
        }
    }
    CU_ASSERT_EQUAL(rows, KMS_RPC_COUNT);
}

static void changes_are_not_repeated_unasked(void)
{
    static const struct {
        enum kms_rpc_id id;
        enum kms_repeat repeat;
    } rows[] = {
        {KMS_RPC_ENCRYPT, KMS_REPEAT_ALWAYS},
        {KMS_RPC_GET_STATUS, KMS_REPEAT_ALWAYS},
        {KMS_RPC_CREATE_KEY, KMS_REPEAT_WITH_TOKEN},
        {KMS_RPC_ROTATE_KEY_ON_DEMAND, KMS_REPEAT_WITH_TOKEN},
        {KMS_RPC_PUT_KEY_POLICY, KMS_REPEAT_NEVER},
        {KMS_RPC_DISABLE_KEY, KMS_REPEAT_NEVER},
        {KMS_RPC_DELETE_ALIAS, KMS_REPEAT_NEVER},
        {KMS_RPC_UPDATE_ALIAS, KMS_REPEAT_NEVER},
        {KMS_RPC_CREATE_ALIAS, KMS_REPEAT_NEVER},
        {KMS_RPC_ENABLE_KEY, KMS_REPEAT_NEVER},
        {KMS_RPC_GENERATE_CREDENTIALS, KMS_REPEAT_NEVER},
        {KMS_RPC_RENEW_LEASE, KMS_REPEAT_ALWAYS},
        {KMS_RPC_REVOKE_LEASE, KMS_REPEAT_ALWAYS},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        CU_ASSERT_EQUAL(kms_rpc_of(rows[i].id)->repeat, rows[i].repeat);
}

KMS_TEST_MAIN("client/lib/rpc", {"every rpc with secrets has a row", every_rpc_with_secrets_has_a_row},
              {"changes are not repeated unasked", changes_are_not_repeated_unasked})
