/* Makes the error that a client sees. */
#include "kmsd/rpc/status.h"

#include <grpc/status.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "google/rpc/status.pb-c.h"

static bool is_callers_business(int code)
{
    return code != GRPC_STATUS_INTERNAL && code != GRPC_STATUS_UNAVAILABLE && code != GRPC_STATUS_DATA_LOSS;
}

/* why was cut at a fixed length, perhaps inside a character; protobuf strings are UTF-8 or other clients
 * fail. */
static void keep_utf8(char *text)
{
    size_t len = strlen(text);
    for (size_t cut = 0; cut < 4 && cut < len; cut++) {
        if (!kms_utf8_valid(kms_bytes_of(text, len - cut))) continue;
        text[len - cut] = '\0';
        return;
    }
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
}

/* protobuf-c's members are not const though packing only reads them. */
static char *borrow(const char *text)
{
    return (char *)(uintptr_t)text;
}

static size_t pack_info(kms_err err, const struct kms_status_pair *pairs, size_t count, uint8_t *room,
                        size_t room_len)
{
    char domain[] = KMS_STATUS_DOMAIN, reason[64];
    snprintf(reason, sizeof reason, "%s", kms_err_reason(err));
    Google__Rpc__ErrorInfo__MetadataEntry entry[KMS_STATUS_PAIRS], *entries[KMS_STATUS_PAIRS];
    Google__Rpc__ErrorInfo info;
    google__rpc__error_info__init(&info);
    info.reason = reason;
    info.domain = domain;
    info.metadata = entries;
    for (; info.n_metadata < count && info.n_metadata < KMS_STATUS_PAIRS; info.n_metadata++) {
        size_t i = info.n_metadata;
        google__rpc__error_info__metadata_entry__init(&entry[i]);
        entry[i].key = borrow(pairs[i].name);
        entry[i].value = borrow(pairs[i].value);
        entries[i] = &entry[i];
    }
    return google__rpc__error_info__get_packed_size(&info) <= room_len
               ? google__rpc__error_info__pack(&info, room)
               : 0;
}

void kms_status_make(kms_err err, const struct kms_why *why, const struct kms_status_pair *pairs,
                     size_t count, struct kms_status *ret_status)
{
    struct kms_status *status = ret_status;
    status->code = kms_err_grpc_status(err);
    bool with_why = why != NULL && why->text[0] != '\0' && is_callers_business(status->code);
    snprintf(status->message, sizeof status->message, "%s%s%s", kms_err_text(err), with_why ? ": " : "",
             with_why ? why->text : "");
    keep_utf8(status->message);

    char type_url[] = "type.googleapis.com/google.rpc.ErrorInfo";
    uint8_t info[512];
    Google__Rpc__PackedDetail detail, *details = &detail;
    google__rpc__packed_detail__init(&detail);
    detail.type_url = type_url;
    detail.value.data = info;
    detail.value.len = pack_info(err, pairs, count, info, sizeof info);
    Google__Rpc__Status packed;
    google__rpc__status__init(&packed);
    packed.code = status->code;
    packed.message = status->message;
    packed.n_details = 1;
    packed.details = &details;
    status->details_len = google__rpc__status__get_packed_size(&packed) <= sizeof status->details
                              ? google__rpc__status__pack(&packed, status->details)
                              : 0;
}
