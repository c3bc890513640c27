/* Streams of grpc.reflection: one request, one answer, then the next request is read. */
#include <stdlib.h>
#include <string.h>

#include "kmsd/rpc/guest.h"
#include "kmsd/rpc/reflection.h"

enum { SERVICES = 64, NAME_BYTES = 64 };

struct kms_reflection {
    kms_descriptors *descriptors;
    const char *services[SERVICES + 1]; /* ended by NULL */
    size_t count;
    char names[SERVICES][NAME_BYTES];
};

static kms_err add(struct kms_reflection *reflection, const char *path)
{
    size_t len = strcspn(path + 1, "/");
    for (size_t i = 0; i < reflection->count; i++)
        if (strlen(reflection->names[i]) == len && memcmp(reflection->names[i], path + 1, len) == 0)
            return KMS_OK;
    if (reflection->count == SERVICES || len >= NAME_BYTES) return KMS_FAIL(INTERNAL);
    char *name = reflection->names[reflection->count];
    memcpy(name, path + 1, len);
    reflection->services[reflection->count++] = name;
    return KMS_OK;
}

/* What is registered: ours, those of foreign protocols that a door speaks, and the guests. */
static kms_err list(struct kms_reflection *reflection, const struct kms_rpc *rpc)
{
    for (size_t i = 0; i < rpc->row_count; i++) {
        char path[KMS_METHOD_PATH_BYTES];
        kms_row_path(&rpc->rows[i], path);
        KMS_TRY(add(reflection, path));
    }
    for (size_t row = 0; row < KMS_GUEST_ROWS; row++) KMS_TRY(add(reflection, kms_guest_path(row)));
    return KMS_OK;
}

kms_err kms_reflect_start(struct kms_rpc *rpc)
{
    if (!rpc->options.reflection) return KMS_OK;
    rpc->reflection = calloc(1, sizeof *rpc->reflection);
    if (rpc->reflection == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(list(rpc->reflection, rpc));
    return kms_descriptors_new(kms_descriptors_built_in(), &rpc->reflection->descriptors);
}

void kms_reflect_free(struct kms_rpc *rpc)
{
    if (rpc->reflection == NULL) return;
    kms_descriptors_free(rpc->reflection->descriptors);
    free(rpc->reflection);
}

void kms_reflect_answer(struct kms_guest *guest)
{
    const struct kms_reflection *reflection = guest->queue->rpc->reflection;
    const ProtobufCMessage *request;
    const Grpc__Reflection__V1__ServerReflectionResponse *response;
    struct kms_why why = {{0}};
    kms_arena arena;
    kms_err err = kms_guest_decode(guest, &grpc__reflection__v1__server_reflection_request__descriptor,
                                   &arena, &request, &why);
    if (!kms_failed(err))
        err = kms_reflect(reflection->descriptors, reflection->services,
                          (const Grpc__Reflection__V1__ServerReflectionRequest *)request, &arena, &response);
    if (kms_failed(err))
        kms_guest_end(guest, NULL, err, &why);
    else
        kms_guest_send(guest, &response->base);
    kms_arena_wipe(&arena);
}
