/* kmsctl sign, verify, mac, verify-mac, public-key. */

#include "base/text.h"
#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"

enum { MESSAGE_BYTES = 4096, PROOF_BYTES = 6144 }; /* AWS's limits */

/* Key, message and, where there is one, the signature or MAC to verify, as a request in JSON. NULL:
 * ctl->error. */
static json_t *request_of(struct ctl *ctl, const char *algorithm, const char *proof)
{
    KMS_OWN_BUF message = {0}, given = {0};
    struct kms_why why = {{0}};
    if (ctl->key == NULL) ctl_fail_usage(ctl, "with which key? --key KEY");
    if (ctl->key != NULL && ctl->algorithm == NULL) ctl_fail_usage(ctl, "how? --algorithm NAME");
    if (proof != NULL && ctl->proof == NULL) ctl_fail_usage(ctl, "verify which %s? --%s FILE", proof, proof);
    if (ctl->usage) return NULL;
    kms_err err = ctl_read_text(ctl->in, MESSAGE_BYTES, &message, &why);
    if (!kms_failed(err) && proof != NULL) err = ctl_read_text(ctl->proof, PROOF_BYTES, &given, &why);
    if (kms_failed(err)) {
        ctl_fail(ctl, err, &why);
        return NULL;
    }
    json_t *request = json_pack("{s:s, s:o, s:s}", "key_id", ctl->key, "message",
                                ctl_json_base64(message.data, message.len), algorithm, ctl->algorithm);
    if (ctl->digest) json_object_set_new(request, "message_type", json_string("DIGEST"));
    if (proof != NULL) json_object_set_new(request, proof, ctl_json_base64(given.data, given.len));
    return request;
}

/* The bytes of a member of the reply, as they are or as text. */
static bool write_member(struct ctl *ctl, const json_t *reply, const char *member, bool as_text)
{
    const char *text = json_string_value(json_object_get(reply, member));
    if (text == NULL) return ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    if (as_text) return ctl_print(ctl, json_string(text));
    uint8_t bytes[PROOF_BYTES];
    size_t len = 0;
    const struct kms_bytes given = kms_bytes_text(text);
    if (given.len / 4 * 3 > sizeof bytes || !kms_unbase64(given, bytes, &len))
        return ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    return ctl_write(ctl, kms_bytes_of(bytes, len));
}

static bool make(struct ctl *ctl, const char *method, const char *algorithm, const char *member)
{
    json_t *request = request_of(ctl, algorithm, NULL), *reply;
    if (request == NULL || !ctl_call(ctl, method, request, &reply)) return false;
    if (ctl_wants_json(ctl)) return ctl_print(ctl, reply);
    bool ok = write_member(ctl, reply, member, ctl->base64);
    json_decref(reply);
    return ok;
}

bool ctl_sign(struct ctl *ctl)
{
    return make(ctl, "CryptoService/Sign", "signing_algorithm", "signature");
}

bool ctl_verify(struct ctl *ctl)
{
    json_t *request = request_of(ctl, "signing_algorithm", "signature");
    return request != NULL && ctl_call_print(ctl, "CryptoService/Verify", request);
}

bool ctl_mac(struct ctl *ctl)
{
    return make(ctl, "CryptoService/GenerateMac", "mac_algorithm", "mac");
}

bool ctl_verify_mac(struct ctl *ctl)
{
    json_t *request = request_of(ctl, "mac_algorithm", "mac");
    return request != NULL && ctl_call_print(ctl, "CryptoService/VerifyMac", request);
}

bool ctl_public_key(struct ctl *ctl)
{
    json_t *request = json_pack("{s:s}", "key_id", ctl->arguments[0]), *reply;
    if (!ctl_call(ctl, "CryptoService/GetPublicKey", request, &reply)) return false;
    if (ctl_wants_json(ctl)) return ctl_print(ctl, reply);
    const char *pem = json_string_value(json_object_get(reply, "public_key_pem"));
    bool ok = ctl->der      ? write_member(ctl, reply, "public_key", false)
              : pem != NULL ? ctl_write(ctl, kms_bytes_text(pem))
                            : ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    json_decref(reply);
    return ok;
}
