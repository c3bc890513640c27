/* References and the JSON that they reach into: any bytes are read or refused with words. */
#include <stdlib.h>
#include <string.h>

#include "base/field.h"
#include "client/kms-env/reference.h"

static bool inside(struct kms_bytes part, struct kms_bytes text)
{
    return part.len == 0 || (part.ptr >= text.ptr && part.ptr + part.len <= text.ptr + text.len);
}

static void check_reference(struct kms_bytes text)
{
    struct kms_env_reference r;
    struct kms_why why = {0};
    if (kms_failed(kms_env_reference_parse(text, &r, &why))) {
        if (why.text[0] == '\0') abort();
        return;
    }
    if (!kms_env_reference_is(text) || !kms_env_reference_name_valid(r.name)) abort();
    if (!inside(r.name, text) || !inside(r.field, text) || !inside(r.version, text)) abort();
    if (r.kind == KMS_ENV_REFERENCE_SECRET && (r.stage.len > 0) == (r.version.len > 0)) abort();
    if (memchr(r.name.ptr, 0, r.name.len) != NULL) abort();
}

static void check_field(struct kms_bytes json)
{
    kms_secret *value = NULL;
    struct kms_why why = {0};
    kms_err err = kms_field(json, kms_bytes_text("k"), &value, &why);
    if (kms_failed(err) && (value != NULL || (why.text[0] == '\0' && !kms_is(err, KMS_E_NO_MEMORY)))) abort();
    if (value != NULL && kms_secret_len(value) > json.len) abort();
    kms_secret_free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536) return 0;
    check_reference(kms_bytes_of(data, size));
    check_field(kms_bytes_of(data, size));
    return 0;
}
