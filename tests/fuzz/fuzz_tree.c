/* Files of kmsctl reencrypt: any bytes are read or refused, and new values change nothing but the values. */
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/tree/find.h"
#include "client/kmsctl/tree/source.h"

/* A ciphertext by its form. */
static const char replacement[] =
    "kms:v1:S01TAQEBAgMAAAAAAAAAAAAAAAAAAAAAAfv7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v///////////8=";

static void check_replaced(enum ctl_format format, enum kms_dotenv_dialect dialect, const ctl_source *source,
                           const ctl_values *values)
{
    kms_buf *texts = calloc(values->count + 1, sizeof *texts);
    if (texts == NULL) abort();
    for (size_t i = 0; i < values->count; i++)
        if (values->items[i].wrong == NULL &&
            kms_failed(kms_buf_append(&texts[i], replacement, strlen(replacement))))
            abort();
    KMS_OWN_SOURCE new = {0};
    if (kms_failed(ctl_source_with(source, values, texts, &new))) abort();
    KMS_OWN_VALUES again = ctl_values_of(ctl_source_text(&new));
    kms_err err = ctl_find(format, dialect, &again, NULL);
    if (kms_failed(err) && !kms_is(err, KMS_E_LIMIT_EXCEEDED)) abort();
    for (size_t i = 0; !kms_failed(err) && i < values->count; i++) {
        if (again.count != values->count || strcmp(again.items[i].name, values->items[i].name) != 0) abort();
        if ((again.items[i].wrong == NULL) != (values->items[i].wrong == NULL)) abort();
    }
    for (size_t i = 0; i < values->count; i++) kms_buf_free(&texts[i]);
    free(texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses format and dialect. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum ctl_format formats[] = {CTL_FORMAT_JSON, CTL_FORMAT_YAML, CTL_FORMAT_ENV};
    if (size == 0 || memchr(data, 0, size) != NULL) return 0; /* binary files are not read */
    enum ctl_format format = formats[data[0] % 3];
    enum kms_dotenv_dialect dialect = (enum kms_dotenv_dialect)(data[0] / 3 % 3);
    ctl_source source = {.memory = malloc(size), .cap = size, .len = size - 1};
    if (source.memory == NULL) abort();
    memcpy(source.memory, data + 1, size - 1);
    struct kms_why why = {0};
    KMS_OWN_VALUES values = ctl_values_of(ctl_source_text(&source));
    kms_err err = ctl_find(format, dialect, &values, &why);
    if (kms_failed(err) && why.text[0] == '\0' && !kms_is(err, KMS_E_NO_MEMORY)) abort();
    if (!kms_failed(err)) check_replaced(format, dialect, &source, &values);
    ctl_source_free(&source);
    return 0;
}
