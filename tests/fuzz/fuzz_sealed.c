/* Manifests and sealed values: any bytes are read or refused. */
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/sealed/manifest.h"
#include "client/kmsctl/sealed/secret.h"
#include "client/kmsctl/sealed/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const uint8_t *data, size_t size)
{
    static const uint8_t key[CTL_SESSION_KEY_BYTES];
    struct kms_why why = {{0}};
    struct ctl_sealed parts;
    CTL_OWN_DATA plaintext = {0};
    if (kms_failed(ctl_sealed_split(kms_bytes_of(data, size), &parts, &why))) {
        if (why.text[0] == '\0') abort();
        return;
    }
    if (2 + parts.session.len + parts.box.len != size) abort();
    kms_err err = ctl_sealed_open(&parts, kms_bytes_of(key, sizeof key), &plaintext);
    if (!kms_failed(err) && plaintext.bytes.len + 16 != parts.box.len) abort();
}

static void check_data(const json_t *document)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(document, "data"), name, value)
    {
        CTL_OWN_DATA bytes = {0};
        if (!kms_failed(ctl_data_read(value, &bytes)) && bytes.bytes.len > json_string_length(value)) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kms_why why = {{0}};
    json_t *documents = NULL;
    check_value(data, size);
    kms_err err = ctl_manifest_read(kms_bytes_of(data, size), &documents, &why);
    if (kms_failed(err) && why.text[0] == '\0' && !kms_is(err, KMS_E_NO_MEMORY)) abort();
    for (size_t i = 0; i < json_array_size(documents); i++) check_data(json_array_get(documents, i));
    json_decref(documents);
    return 0;
}
