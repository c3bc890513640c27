/* grpc.reflection.v1; v1alpha has the same messages, byte for byte. A look-up that fails is an answer. */
#include "kmsd/rpc/reflection.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;

enum { NOT_FOUND = 5, INVALID_ARGUMENT = 3 }; /* gRPC's status codes */

struct question {
    const kms_descriptors *descriptors;
    const char *const *services;
    const request_t *request;
    kms_arena *arena;
};

static kms_err refuse(const struct question *q, response_t *response, int code, const char *text)
{
    Grpc__Reflection__V1__ErrorResponse *error = kms_arena_alloc(q->arena, sizeof *error);
    if (error == NULL) return KMS_FAIL(NO_MEMORY);
    grpc__reflection__v1__error_response__init(error);
    error->error_code = code;
    error->error_message = kms_arena_print(q->arena, "%s", text);
    response->error_response = error;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    return error->error_message != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err give_file(const struct question *q, response_t *response, struct kms_bytes file)
{
    Grpc__Reflection__V1__FileDescriptorResponse *files = kms_arena_alloc(q->arena, sizeof *files);
    ProtobufCBinaryData *data = kms_arena_alloc(q->arena, sizeof *data);
    if (files == NULL || data == NULL) return KMS_FAIL(NO_MEMORY);
    *data = (ProtobufCBinaryData){.len = file.len, .data = (uint8_t *)(uintptr_t)file.ptr};
    grpc__reflection__v1__file_descriptor_response__init(files);
    files->n_file_descriptor_proto = 1;
    files->file_descriptor_proto = data;
    response->file_descriptor_response = files;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    return KMS_OK;
}

/* Nothing here extends a message: there is no proto2. */
static kms_err give_extensions(const struct question *q, response_t *response)
{
    const char *type = q->request->all_extension_numbers_of_type;
    if (!kms_descriptors_is_message(q->descriptors, type))
        return refuse(q, response, NOT_FOUND, "no such message");
    Grpc__Reflection__V1__ExtensionNumberResponse *numbers = kms_arena_alloc(q->arena, sizeof *numbers);
    if (numbers == NULL) return KMS_FAIL(NO_MEMORY);
    grpc__reflection__v1__extension_number_response__init(numbers);
    numbers->base_type_name = kms_lend(type);
    response->all_extension_numbers_response = numbers;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    return KMS_OK;
}

static kms_err give_services(const struct question *q, response_t *response)
{
    size_t count = 0;
    while (q->services[count] != NULL) count++;
    Grpc__Reflection__V1__ListServiceResponse *list = kms_arena_alloc(q->arena, sizeof *list);
    Grpc__Reflection__V1__ServiceResponse *rows = kms_arena_alloc(q->arena, (count + 1) * sizeof *rows);
    Grpc__Reflection__V1__ServiceResponse **links = kms_arena_alloc(q->arena, (count + 1) * sizeof *links);
    if (list == NULL || rows == NULL || links == NULL) return KMS_FAIL(NO_MEMORY);
    grpc__reflection__v1__list_service_response__init(list);
    list->service = links;
    for (size_t i = 0; i < count; i++) {
        grpc__reflection__v1__service_response__init(&rows[i]);
        rows[i].name = kms_lend(q->services[i]);
        links[list->n_service++] = &rows[i];
    }
    response->list_services_response = list;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    return KMS_OK;
}

static kms_err answer(const struct question *q, response_t *response)
{
    const request_t *request = q->request;
    struct kms_bytes file;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        file = kms_descriptors_file(q->descriptors, request->file_by_filename);
        if (file.len == 0) return refuse(q, response, NOT_FOUND, "no such file");
        return give_file(q, response, file);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        file = kms_descriptors_symbol(q->descriptors, request->file_containing_symbol);
        if (file.len == 0) return refuse(q, response, NOT_FOUND, "no such symbol");
        return give_file(q, response, file);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        return refuse(q, response, NOT_FOUND, "no message has extensions");
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        return give_extensions(q, response);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        return give_services(q, response);
    default:
        return refuse(q, response, INVALID_ARGUMENT, "the request asks nothing");
    }
}

kms_err kms_reflect(const kms_descriptors *descriptors, const char *const *services, const request_t *request,
                    kms_arena *arena, const response_t **ret_response)
{
    const struct question question = {descriptors, services, request, arena};
    response_t *response = kms_arena_alloc(arena, sizeof *response);
    if (response == NULL) return KMS_FAIL(NO_MEMORY);
    grpc__reflection__v1__server_reflection_response__init(response);
    response->valid_host = request->host;
    response->original_request = (request_t *)(uintptr_t)request;
    KMS_TRY(answer(&question, response));
    *ret_response = response;
    return KMS_OK;
}
