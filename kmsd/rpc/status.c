/* Makes the error that a client sees. */
#include "kmsd/rpc/status.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "google/rpc/status.pb-c.h"

/* When the same may be tried again, in ms; 0: that does not help. What does not answer is given time. */
static uint32_t retry_ms(kms_err err, bool passes)
{
    switch (err.code) {
    case KMS_E_LIMIT_EXCEEDED:
        return passes ? 100 : 0;
    case KMS_E_NO_MEMORY:
        return 100;
    case KMS_E_HSM_UNAVAILABLE:
    case KMS_E_KEYSTORE_UNAVAILABLE:
    case KMS_E_AUDIT_UNAVAILABLE:
    case KMS_E_DATABASE_UNAVAILABLE:
    case KMS_E_SHUTTING_DOWN:
    case KMS_E_STREAM_CROWDED_OUT:
        return 1000;
    default:
        return 0;
    }
}

enum { RETRY_BYTES = 32 }; /* two varints, and what is around them */
static size_t pack_retry(uint32_t ms, uint8_t room[RETRY_BYTES])
{
    Google__Rpc__PackedDuration delay = GOOGLE__RPC__PACKED_DURATION__INIT;
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    delay.seconds = ms / 1000;
    delay.nanos = (int32_t)(ms % 1000) * 1000000;
    retry.retry_delay = &delay;
    return google__rpc__retry_info__pack(&retry, room);
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
        entry[i].key = kms_lend(pairs[i].name);
        entry[i].value = kms_lend(pairs[i].value);
        entries[i] = &entry[i];
    }
    return google__rpc__error_info__get_packed_size(&info) <= room_len
               ? google__rpc__error_info__pack(&info, room)
               : 0;
}

void kms_status_make(kms_err err, const struct kms_why *why, const struct kms_status_info *info,
                     struct kms_status *ret_status)
{
    static const struct kms_status_info none;
    struct kms_status *status = ret_status;
    status->code = kms_err_grpc_status(err);
    kms_err_public(err, why, status->message, sizeof status->message);
    if (info == NULL) info = &none;

    char info_url[] = "type.googleapis.com/google.rpc.ErrorInfo",
         retry_url[] = "type.googleapis.com/google.rpc.RetryInfo";
    uint8_t room[512], retry_room[RETRY_BYTES];
    Google__Rpc__PackedDetail detail[2], *details[] = {&detail[0], &detail[1]};
    google__rpc__packed_detail__init(&detail[0]);
    google__rpc__packed_detail__init(&detail[1]);
    detail[0].type_url = info_url;
    detail[0].value =
        (ProtobufCBinaryData){pack_info(err, info->pairs, info->count, room, sizeof room), room};
    uint32_t retry = retry_ms(err, info->passes);
    detail[1].type_url = retry_url;
    detail[1].value = (ProtobufCBinaryData){pack_retry(retry, retry_room), retry_room};
    Google__Rpc__Status packed;
    google__rpc__status__init(&packed);
    packed.code = status->code;
    packed.message = status->message;
    packed.n_details = retry > 0 ? 2 : 1;
    packed.details = details;
    status->details_len = google__rpc__status__get_packed_size(&packed) <= sizeof status->details
                              ? google__rpc__status__pack(&packed, status->details)
                              : 0;
}
