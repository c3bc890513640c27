/* Writes a file of variables again: the text piece by piece, with other values where they are given. */
#include <string.h>

#include "client/kms-env/scan.h"

struct output {
    const kms_dotenv *document;
    struct kms_dotenv_sink sink;
    const uint8_t *at; /* what comes before it is written */
};

static kms_err put(struct output *out, struct kms_bytes piece)
{
    return piece.len == 0 ? KMS_OK : out->sink.put(out->sink.self, piece);
}

static const uint8_t *text_end(const kms_dotenv *document)
{
    return document->text.ptr + document->text.len;
}

static kms_err put_until(struct output *out, const uint8_t *end)
{
    KMS_TRY(put(out, kms_bytes_of(out->at, (size_t)(end - out->at))));
    out->at = end;
    return KMS_OK;
}

static kms_err replace(struct output *out, struct kms_bytes old, struct kms_bytes new)
{
    KMS_TRY(put_until(out, old.ptr));
    KMS_TRY(put(out, new));
    out->at = old.ptr + old.len;
    return KMS_OK;
}

/* Lines are ended as the first one is. */
static struct kms_bytes line_end(const kms_dotenv *document)
{
    const uint8_t *first =
        document->text.len > 0 ? memchr(document->text.ptr, '\n', document->text.len) : NULL;
    bool cr = first != NULL && first > document->text.ptr && first[-1] == '\r';
    return kms_bytes_text(cr ? "\r\n" : "\n");
}

static kms_err put_header_first(struct output *out, struct kms_bytes header)
{
    const kms_dotenv *document = out->document;
    bool marked = document->text.len >= 3 && memcmp(document->text.ptr, "\xef\xbb\xbf", 3) == 0;
    if (marked) KMS_TRY(put_until(out, document->text.ptr + 3));
    KMS_TRY(put(out, header));
    return put(out, line_end(document));
}

/* `NAME="a"#b` has a comment only because of the quotes: without them, a space has to stand before it. */
static kms_err put_value(struct output *out, struct kms_bytes old, struct kms_bytes new)
{
    const uint8_t *end = text_end(out->document);
    KMS_TRY(replace(out, old, new));
    const uint8_t *behind = out->at;
    while (behind < end && scan_blank(*behind)) behind++;
    if (behind == end || *behind != '#' || (behind > out->at && behind[-1] == ' ')) return KMS_OK;
    KMS_TRY(put_until(out, behind));
    return put(out, kms_bytes_text(" "));
}

kms_err kms_dotenv_write(const kms_dotenv *document, const struct kms_bytes *values, struct kms_bytes header,
                         struct kms_dotenv_sink sink)
{
    struct output out = {.document = document, .sink = sink, .at = document->text.ptr};
    bool pending = header.len > 0;
    if (pending && document->header.line.len == 0) {
        KMS_TRY(put_header_first(&out, header));
        pending = false;
    }
    for (size_t i = 0; i < document->count; i++) {
        const struct kms_dotenv_entry *entry = &document->entries[i];
        if (pending && document->header.line.ptr < entry->name.ptr) {
            KMS_TRY(replace(&out, document->header.line, header));
            pending = false;
        }
        if (values[i].ptr != NULL && entry->assigned) KMS_TRY(put_value(&out, entry->source, values[i]));
    }
    if (pending) KMS_TRY(replace(&out, document->header.line, header));
    return document->text.len > 0 ? put_until(&out, text_end(document)) : KMS_OK;
}
