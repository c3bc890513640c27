/* The table of RPCs has a row for every RPC of the protos, with its path and reply. */
#include "client/lib/rpc.h"

#include <stdio.h>

#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/system.pb-c.h"
#include "tests/harness/suite.h"

static const ProtobufCServiceDescriptor *const services[] = {
    &kms__v1__crypto_service__descriptor,
    &kms__v1__key_service__descriptor,
    &kms__v1__system_service__descriptor,
};

static const struct kms_rpc *find(const char *path)
{
    for (int id = 0; id < KMS_RPC_COUNT; id++)
        if (strcmp(kms_rpc_of((enum kms_rpc_id)id)->path, path) == 0) return kms_rpc_of((enum kms_rpc_id)id);
    return NULL;
}

static void every_rpc_has_a_row(void)
{
    size_t rpcs = 0;
    for (size_t s = 0; s < KMS_COUNT(services); s++) {
        for (unsigned m = 0; m < services[s]->n_methods; m++, rpcs++) {
            char path[200];
            snprintf(path, sizeof path, "/%s/%s", services[s]->name, services[s]->methods[m].name);
            const struct kms_rpc *rpc = find(path);
            if (rpc == NULL) printf("no row for %s\n", path);
            CU_ASSERT_PTR_NOT_NULL_FATAL(rpc);
            CU_ASSERT_PTR_EQUAL(rpc->reply, services[s]->methods[m].output);
        }
    }
    CU_ASSERT_EQUAL(rpcs, KMS_RPC_COUNT);
}

static void changes_are_not_repeated_unasked(void)
{
    static const struct {
        enum kms_rpc_id id;
        enum kms_repeat repeat;
    } rows[] = {
        {KMS_RPC_ENCRYPT, KMS_REPEAT_ALWAYS},        {KMS_RPC_GET_STATUS, KMS_REPEAT_ALWAYS},
        {KMS_RPC_CREATE_KEY, KMS_REPEAT_WITH_TOKEN}, {KMS_RPC_ROTATE_KEY_ON_DEMAND, KMS_REPEAT_WITH_TOKEN},
        {KMS_RPC_PUT_KEY_POLICY, KMS_REPEAT_NEVER},  {KMS_RPC_DISABLE_KEY, KMS_REPEAT_NEVER},
        {KMS_RPC_DELETE_ALIAS, KMS_REPEAT_NEVER},    {KMS_RPC_UPDATE_ALIAS, KMS_REPEAT_NEVER},
        {KMS_RPC_CREATE_ALIAS, KMS_REPEAT_NEVER},    {KMS_RPC_ENABLE_KEY, KMS_REPEAT_NEVER},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        CU_ASSERT_EQUAL(kms_rpc_of(rows[i].id)->repeat, rows[i].repeat);
}

KMS_TEST_MAIN("client/lib/rpc", {"every rpc has a row", every_rpc_has_a_row},
              {"changes are not repeated unasked", changes_are_not_repeated_unasked})
