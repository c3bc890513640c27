/* The table of foreign methods against ours, and against the services that it names. */
#include "kmsd/dialect/dialect.h"

#include <stdio.h>

#include "tests/harness/suite.h"

static const struct kms_method *method_of(const struct kms_dialect *dialect)
{
    for (size_t i = 0; i < kms_method_count; i++)
        if (strcmp(kms_methods[i].rpc, dialect->method) == 0) return &kms_methods[i];
    return NULL;
}

static void every_row_is_a_method_of_ours(void)
{
    CU_ASSERT(kms_dialect_count > 0);
    for (size_t i = 0; i < kms_dialect_count; i++) {
        const struct kms_dialect *d = &kms_dialects[i];
        const struct kms_method *method = method_of(d);
        CU_ASSERT_PTR_NOT_NULL_FATAL(method);
        CU_ASSERT(method->item == NULL && method->stream == NULL);
        CU_ASSERT(d->protocol != KMS_PROTOCOL_KMS);
        CU_ASSERT_EQUAL((d->from != NULL) + (d->split != NULL) + (d->answer != NULL), 1);
        CU_ASSERT_EQUAL(d->from != NULL, d->to != NULL);
        if (d->split == NULL) continue;
        CU_ASSERT(d->split->split != NULL && d->split->from != NULL && d->split->to != NULL);
        CU_ASSERT(d->split->join != NULL && d->split->name != NULL);
    }
}

static void every_foreign_rpc_has_one_row(void)
{
    for (size_t i = 0; i < kms_dialect_count; i++) {
        const ProtobufCServiceDescriptor *service = kms_dialects[i].service;
        for (unsigned m = 0; m < service->n_methods; m++) {
            size_t rows = 0;
            for (size_t k = 0; k < kms_dialect_count; k++)
                rows += kms_dialects[k].service == service &&
                        strcmp(kms_dialects[k].rpc, service->methods[m].name) == 0;
            CU_ASSERT_EQUAL(rows, 1);
        }
        CU_ASSERT_PTR_NOT_NULL(
            protobuf_c_service_descriptor_get_method_by_name(service, kms_dialects[i].rpc));
    }
}

/* gRPC would refuse a path that is there twice, and only when a door speaks it. */
static void paths_are_nobody_elses(void)
{
    char path[KMS_METHOD_PATH_BYTES], other[KMS_METHOD_PATH_BYTES];
    for (size_t i = 0; i < kms_dialect_count; i++) {
        kms_method_path(&(struct kms_method){.service = kms_dialects[i].service, .rpc = kms_dialects[i].rpc},
                        path);
        for (size_t k = 0; k < kms_method_count; k++) {
            kms_method_path(&kms_methods[k], other);
            CU_ASSERT_STRING_NOT_EQUAL(path, other);
        }
    }
}

static void names(void)
{
    CU_ASSERT_STRING_EQUAL(kms_protocol_name(KMS_PROTOCOL_KMS), "kms");
    CU_ASSERT_STRING_EQUAL(kms_protocol_name(KMS_PROTOCOL_SOPS), "sops");
    CU_ASSERT_STRING_EQUAL(kms_protocol_name(KMS_PROTOCOL_KUBERNETES), "kubernetes");
    CU_ASSERT_STRING_EQUAL(kms_protocol_name(KMS_PROTOCOL_CSI), "csi");
}

KMS_TEST_MAIN("dialect", {"every row is a method of ours", every_row_is_a_method_of_ours},
              {"every foreign rpc has one row", every_foreign_rpc_has_one_row},
              {"paths are nobody else's", paths_are_nobody_elses}, {"names", names})
