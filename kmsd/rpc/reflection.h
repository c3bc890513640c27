/* Answers of grpc.reflection: a request to a response. Thread-safe. */
#ifndef KMS_RPC_REFLECTION_H
#define KMS_RPC_REFLECTION_H

#include "base/arena.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "kmsd/rpc/descriptors.h"

/* The response borrows from request, from the set of descriptors, and from services: full names, ended by
 * NULL. NO_MEMORY. */
KMS_MUST_USE kms_err kms_reflect(const kms_descriptors *descriptors, const char *const *services,
                                 const Grpc__Reflection__V1__ServerReflectionRequest *request,
                                 kms_arena *arena,
                                 const Grpc__Reflection__V1__ServerReflectionResponse **ret_response);

#endif
