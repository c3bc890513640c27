/* kmsctl import parameters, material, delete. */
#include "base/text.h"
#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"

enum { PUBLIC_KEY_BYTES = 1024, MATERIAL_BYTES = 4096 };

/* The wrapping key to --out, in DER; the rest is printed. */
bool ctl_import_parameters(struct ctl *ctl)
{
    json_t *request = json_pack("{s:s}", "key_id", ctl->arguments[0]), *reply;
    if (ctl->wrapping != NULL) json_object_set_new(request, "wrapping_algorithm", json_string(ctl->wrapping));
    if (!ctl_call(ctl, "ImportService/GetParametersForImport", request, &reply)) return false;
    uint8_t der[PUBLIC_KEY_BYTES];
    size_t len = 0;
    const char *text = json_string_value(json_object_get(reply, "public_key"));
    const struct kms_bytes given = kms_bytes_text(text != NULL ? text : "");
    bool ok = ctl->out == NULL || (given.len / 4 * 3 <= sizeof der && kms_unbase64(given, der, &len));
    if (!ok) ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    if (ok && ctl->out != NULL) ok = ctl_write(ctl, kms_bytes_of(der, len));
    if (ok) return ctl_print(ctl, reply);
    json_decref(reply);
    return false;
}

bool ctl_import_material(struct ctl *ctl)
{
    KMS_OWN_BUF material = {0};
    struct kms_why why = {{0}};
    uint64_t expires_us = ctl->expires != NULL ? ctl_moment_us(ctl->expires) : 0;
    if (ctl->import_token == NULL)
        return ctl_fail_usage(ctl, "--token is required, as import parameters printed it");
    if (ctl->expires != NULL && expires_us == 0)
        return ctl_fail_usage(ctl, "--expires %s: not like 90d, 12h or 2027-01-31T12:00:00Z", ctl->expires);
    kms_err err = ctl_read_text(ctl->arguments[1], MATERIAL_BYTES, &material, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    return ctl_call_print(
        ctl, "ImportService/ImportKeyMaterial",
        json_pack("{s:s, s:s, s:o, s:s, s:I, s:s}", "key_id", ctl->arguments[0], "import_token",
                  ctl->import_token, "encrypted_key_material", ctl_json_base64(material.data, material.len),
                  "expiration_model",
                  expires_us != 0 ? "EXPIRATION_MODEL_KEY_MATERIAL_EXPIRES"
                                  : "EXPIRATION_MODEL_KEY_MATERIAL_DOES_NOT_EXPIRE",
                  "valid_to_time_us", (json_int_t)expires_us, "import_type",
                  ctl->new_material ? "IMPORT_TYPE_NEW_KEY_MATERIAL" : "IMPORT_TYPE_EXISTING_KEY_MATERIAL"));
}

bool ctl_import_delete(struct ctl *ctl)
{
    return ctl_call_print(ctl, "ImportService/DeleteImportedKeyMaterial",
                          json_pack("{s:s}", "key_id", ctl->arguments[0]));
}
