/* Makes the error that a client sees. */
#include "kmsd/rpc/status.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "google/rpc/status.pb-c.h"

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
    kms_err_public(err, why, status->message, sizeof status->message);

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
