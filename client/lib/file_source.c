/* Bytes of an encrypted file, wherever they come from. */
#include "client/lib/file_source.h"

#include "client/lib/failure.h"

void kms_file_complete(struct kms_error *said)
{
    if (said->reason[0] == '\0')
        kms_error_local(said, KMS_FAIL(IO), NULL);
    else if (said->code == 0)
        said->code = kms_err_grpc_status(KMS_FAIL(IO));
}

bool kms_file_source_read(const struct kms_file_source *source, struct kms_file_span span, uint8_t *to,
                          size_t *ret_len, struct kms_error *error)
{
    size_t len = 0;
    for (size_t got = 1; len < span.len && got > 0; len += got) {
        struct kms_error said = {0};
        got = 0;
        if (source->read(source->self, span.offset + len, to + len, span.len - len, &got, &said) &&
            got <= span.len - len)
            continue;
        kms_file_complete(&said);
        if (error != NULL) *error = said;
        return false;
    }
    *ret_len = len;
    return true;
}

static bool refuse(kms_err err, const struct kms_why *why, struct kms_error *error)
{
    kms_error_local(error, err, why);
    return false;
}

bool kms_file_source_header(const struct kms_file_source *source, struct kms_file_header *ret_header,
                            struct kms_error *error)
{
    uint8_t bytes[KMS_FILE_HEADER_BYTES];
    struct kms_why why = {{0}};
    size_t got = 0, more = 0, len = 0;
    const struct kms_file_span start = {0, KMS_FILE_START_BYTES};
    if (!kms_file_source_read(source, start, bytes, &got, error)) return false;
    kms_err err = kms_file_header_len(kms_bytes_of(bytes, got), &len, &why);
    if (kms_failed(err)) return refuse(err, &why, error);
    const struct kms_file_span rest = {got, len - got};
    if (!kms_file_source_read(source, rest, bytes + got, &more, error)) return false;
    err = kms_file_header_take(kms_bytes_of(bytes, got + more), ret_header, &why);
    return kms_failed(err) ? refuse(err, &why, error) : true;
}

bool kms_file_inspect(const struct kms_file_source *source, struct kms_file_info *ret_info,
                      struct kms_error *error)
{
    struct kms_file_header header;
    struct kms_file_shape shape;
    struct kms_why why = {{0}};
    const bool sized = source->file_bytes != KMS_FILE_UNKNOWN;
    if (!kms_file_source_header(source, &header, error)) return false;
    kms_err err = sized ? kms_file_shape_of(&header, source->file_bytes, &shape, &why) : KMS_OK;
    if (kms_failed(err)) return refuse(err, &why, error);
    kms_file_describe(&header, sized ? &shape : NULL, ret_info);
    return true;
}
