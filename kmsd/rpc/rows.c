/* What can be called: the methods of the service, and those of foreign protocols that a door speaks. */
#include <stdlib.h>
#include <string.h>

#include "kmsd/rpc/internal.h"

/* service and rpc as they are called. */
static struct kms_method named(const struct kms_rpc_row *row)
{
    if (row->dialect == NULL) return *row->method;
    return (struct kms_method){.service = row->dialect->service, .rpc = row->dialect->rpc};
}

void kms_row_path(const struct kms_rpc_row *row, char path[KMS_METHOD_PATH_BYTES])
{
    const struct kms_method method = named(row);
    kms_method_path(&method, path);
}

static kms_err add(struct kms_rpc *rpc, struct kms_rpc_row row, struct kms_why *why)
{
    char path[KMS_METHOD_PATH_BYTES];
    kms_row_path(&row, path);
    const struct kms_method method = named(&row);
    const ProtobufCMethodDescriptor *codec = kms_method_codec(&method);
    if (codec != NULL && row.method != NULL) {
        row.input = codec->input;
        row.registered = grpc_server_register_method(rpc->server, path, NULL,
                                                     GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    }
    if (row.registered == NULL) {
        kms_why_set(why, "method %s is unknown or there twice", path);
        return KMS_FAIL(INTERNAL);
    }
    rpc->rows[rpc->row_count++] = row;
    return KMS_OK;
}

static bool spoken(const struct kms_rpc *rpc, enum kms_protocol protocol)
{
    for (size_t i = 0; i < rpc->options.socket_count; i++)
        if (rpc->options.sockets[i].door.protocol == protocol) return true;
    return false;
}

static const struct kms_method *method_of(const struct kms_rpc *rpc, const struct kms_dialect *dialect)
{
    for (size_t i = 0; i < rpc->parts.method_count; i++)
        if (strcmp(rpc->parts.methods[i].rpc, dialect->method) == 0) return &rpc->parts.methods[i];
    return NULL;
}

kms_err kms_rows_register(struct kms_rpc *rpc, struct kms_why *why)
{
    const struct kms_rpc_parts *parts = &rpc->parts;
    rpc->rows = calloc(parts->method_count + parts->dialect_count + 1, sizeof *rpc->rows);
    if (rpc->rows == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < parts->method_count; i++) {
        const struct kms_method *method = &parts->methods[i];
        bool hot = method->lane == KMS_LANE_CRYPTO;
        const struct kms_rpc_row row = {.method = method,
                                        .slots = hot ? KMS_RPC_HOT_SLOTS : KMS_RPC_COLD_SLOTS};
        KMS_TRY(add(rpc, row, why));
    }
    /* Of a protocol that nobody speaks they would only cost: every waiting slot does. */
    for (size_t i = 0; i < parts->dialect_count; i++) {
        const struct kms_dialect *dialect = &parts->dialects[i];
        const struct kms_rpc_row row = {
            .method = method_of(rpc, dialect), .dialect = dialect, .slots = KMS_RPC_FOREIGN_SLOTS};
        if (spoken(rpc, dialect->protocol)) KMS_TRY(add(rpc, row, why));
    }
    return KMS_OK;
}
