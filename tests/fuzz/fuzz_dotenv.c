/* Files of variables: any bytes are read or refused, and what was read is written back without damage. */
#include <stdlib.h>

#include "client/kms-env/dotenv.h"

static const char replacement[] = "kms:v1:S01T+/==";

static kms_err put(void *self, struct kms_bytes piece)
{
    return kms_buf_append(self, piece.ptr, piece.len);
}

static void rewrite(const kms_dotenv *document, const char *header, struct kms_bytes value, kms_buf *out)
{
    size_t count = kms_dotenv_count(document);
    struct kms_bytes *values = calloc(count + 1, sizeof *values);
    if (values == NULL) abort();
    for (size_t i = 0; i < count; i++) values[i] = value;
    kms_err err =
        kms_dotenv_write(document, values, kms_bytes_text(header), (struct kms_dotenv_sink){put, out});
    if (kms_failed(err)) abort();
    free(values);
}

/* Every value replaced: the same names in the same order, and nothing but the replacement. */
static void check_replaced(const kms_dotenv *document, enum kms_dotenv_dialect dialect)
{
    KMS_OWN_BUF text = {0};
    KMS_OWN(kms_dotenv) again = NULL;
    rewrite(document, "#kms-env app=a key=k", kms_bytes_text(replacement), &text);
    kms_err err = kms_dotenv_parse(kms_buf_view(&text), dialect, &again, NULL);
    if (kms_is(err, KMS_E_LIMIT_EXCEEDED)) return;
    if (kms_failed(err) || kms_dotenv_count(again) != kms_dotenv_count(document)) abort();
    if (!kms_bytes_equal(kms_dotenv_header(again)->app, kms_bytes_text("a"))) abort();
    for (size_t i = 0; i < kms_dotenv_count(again); i++) {
        const struct kms_dotenv_entry *was = kms_dotenv_entry(document, i), *is = kms_dotenv_entry(again, i);
        if (!kms_bytes_equal(was->name, is->name) || was->assigned != is->assigned) abort();
        if (is->assigned && !kms_bytes_equal(is->value, kms_bytes_text(replacement))) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the dialect. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    enum kms_dotenv_dialect dialect = (enum kms_dotenv_dialect)(data[0] % 3);
    struct kms_bytes text = kms_bytes_of(data + 1, size - 1);
    struct kms_why why = {0};
    KMS_OWN(kms_dotenv) document = NULL;
    kms_err err = kms_dotenv_parse(text, dialect, &document, &why);
    if (kms_failed(err)) {
        if (why.text[0] == '\0' && !kms_is(err, KMS_E_NO_MEMORY)) abort();
        return 0;
    }
    KMS_OWN_BUF same = {0};
    rewrite(document, "", kms_bytes_of(NULL, 0), &same);
    if (!kms_bytes_equal(kms_buf_view(&same), text)) abort();
    check_replaced(document, dialect);
    return 0;
}
