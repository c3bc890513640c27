/* Fills a kms_error from our own failures and from gRPC statuses with google.rpc.ErrorInfo. */
#include "client/lib/failure.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/text.h"
#include "client/lib/message.h"
#include "google/rpc/status.pb-c.h"

enum { CODE_CANCELLED = 1, CODE_RESOURCE_EXHAUSTED = 8, CODE_UNAVAILABLE = 14, DETAILS_BYTES = 64 * 1024 };

/* https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
static const char *const code_names[] = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

const char *kms_error_code_name(int code)
{
    bool known = code >= 0 && (size_t)code < sizeof code_names / sizeof code_names[0];
    return known ? code_names[code] : "UNKNOWN";
}

void kms_error_clear(struct kms_error *error)
{
    if (error != NULL) *error = (struct kms_error){0};
}

/* A server's words end up on terminals and in logs: no control characters, no broken UTF-8. */
static void set_message(struct kms_error *error, struct kms_bytes text)
{
    size_t len = text.len < sizeof error->message - 1 ? text.len : sizeof error->message - 1;
    kms_copy(error->message, text.ptr, len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)error->message[i] < 0x20 || error->message[i] == 0x7f) error->message[i] = ' ';
    while (len > 0 && len < text.len && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len--; /* a cut sequence */
    error->message[len] = '\0';
    if (kms_utf8_valid(kms_bytes_of(error->message, len))) return;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)error->message[i] >= 0x80) error->message[i] = '?';
}

static void set_code(struct kms_error *error, int code, const char *reason)
{
    *error = (struct kms_error){.code = code};
    error->retryable = code == CODE_UNAVAILABLE || code == CODE_RESOURCE_EXHAUSTED;
    snprintf(error->reason, sizeof error->reason, "%s", reason);
}

void kms_error_local(struct kms_error *error, kms_err err, const struct kms_why *why)
{
    if (error == NULL) return;
    set_code(error, kms_err_grpc_status(err), kms_err_reason(err));
    bool has_words = why != NULL && why->text[0] != '\0';
    set_message(error, kms_bytes_text(has_words ? why->text : kms_err_text(err)));
}

static bool is_reason(const char *reason)
{
    size_t len = strspn(reason, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return len > 0 && reason[len] == '\0' && len < KMS_ERROR_REASON_BYTES;
}

/* The reason of the first ErrorInfo of ours in a google.rpc.Status, copied to reason; false: there is none.
 */
static bool find_reason(struct kms_bytes details, int code, char reason[KMS_ERROR_REASON_BYTES])
{
    static const char type_url[] = "type.googleapis.com/google.rpc.ErrorInfo";
    kms_arena arena;
    kms_arena_init(&arena, DETAILS_BYTES);
    ProtobufCAllocator allocator = kms_arena_allocator(&arena);
    bool found = false;
    Google__Rpc__Status *status = google__rpc__status__unpack(&allocator, details.len, details.ptr);
    for (size_t i = 0; status != NULL && status->code == code && !found && i < status->n_details; i++) {
        const Google__Rpc__PackedDetail *detail = status->details[i];
        if (strcmp(detail->type_url, type_url) != 0) continue;
        const Google__Rpc__ErrorInfo *info =
            google__rpc__error_info__unpack(&allocator, detail->value.len, detail->value.data);
        found = info != NULL && strcmp(info->domain, "kmsd") == 0 && is_reason(info->reason);
        if (found) snprintf(reason, KMS_ERROR_REASON_BYTES, "%s", info->reason);
    }
    kms_arena_wipe(&arena);
    return found;
}

void kms_error_remote(struct kms_error *error, int code, struct kms_bytes message, struct kms_bytes details)
{
    if (error == NULL) return;
    char reason[KMS_ERROR_REASON_BYTES];
    /* This library cancels nothing: a call cancelled without a word of kmsd has crossed its farewell. */
    if (code == CODE_CANCELLED && details.len == 0) code = CODE_UNAVAILABLE;
    bool found = details.len > 0 && details.len <= DETAILS_BYTES && find_reason(details, code, reason);
    set_code(error, code, found ? reason : kms_error_code_name(code));
    set_message(error, message.len > 0 ? message : kms_bytes_text(error->reason));
}

void kms_error_request(struct kms_error *error, struct kms_bytes id)
{
    struct kms_id parsed;
    if (error == NULL || !kms_id_parse(id, &parsed)) return;
    _Static_assert(sizeof error->request_id == KMS_ID_TEXT, "a UUID as text");
    kms_id_text(&parsed, error->request_id);
}

void kms_error_item(struct kms_error *error, uint32_t code, const char *reason, const char *message)
{
    enum { CODE_UNKNOWN = 2, CODES = 17 };
    int known = code > 0 && code < CODES ? (int)code : CODE_UNKNOWN;
    set_code(error, known, is_reason(reason) ? reason : kms_error_code_name(known));
    set_message(error, kms_bytes_text(message[0] != '\0' ? message : error->reason));
}
