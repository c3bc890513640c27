/* Algorithms of the protocol, of policies and of jobs, one beside the other. */
#include "kmsd/service/asymmetric.h"

#include <string.h>

#include "base/text.h"
#include "hsm/spec.h"
#include "kmsd/service/access.h"

#define SIGNING(name) ((int)KMS__V1__SIGNING_ALGORITHM__SIGNING_ALGORITHM_##name)
#define MAC(name)     ((int)KMS__V1__MAC_ALGORITHM__MAC_ALGORITHM_##name)
enum {
    SIGNING_FROM = KMS_ALGORITHM_RSASSA_PSS_SHA_256 - SIGNING(RSASSA_PSS_SHA_256),
    SIGNING_LAST = SIGNING(ED25519_SHA_512),
    MAC_FROM = KMS_ALGORITHM_HMAC_SHA_256 - MAC(HMAC_SHA_256),
    MAC_LAST = MAC(HMAC_SHA_512),
};
/* Both lists have one order. */
_Static_assert(SIGNING_FROM + SIGNING(RSASSA_PKCS1_V1_5_SHA_512) == KMS_ALGORITHM_RSASSA_PKCS1_V1_5_SHA_512,
               "");
_Static_assert(SIGNING_FROM + SIGNING(ECDSA_SHA_512) == KMS_ALGORITHM_ECDSA_SHA_512, "");
_Static_assert(SIGNING_FROM + SIGNING_LAST == KMS_ALGORITHM_ED25519_SHA_512, "");
_Static_assert(MAC_FROM + MAC_LAST == KMS_ALGORITHM_HMAC_SHA_512, "");

unsigned kms_algorithm_of_signing(Kms__V1__SigningAlgorithm algorithm)
{
    int number = (int)algorithm;
    return number >= 1 && number <= SIGNING_LAST ? (unsigned)(number + SIGNING_FROM) : 0;
}

unsigned kms_algorithm_of_mac(Kms__V1__MacAlgorithm algorithm)
{
    int number = (int)algorithm;
    return number >= 1 && number <= MAC_LAST ? (unsigned)(number + MAC_FROM) : 0;
}

kms_err kms_encryption_algorithm(struct kms_call *call, Kms__V1__EncryptionAlgorithm given,
                                 unsigned *ret_algorithm)
{
    switch (given) {
    case KMS__V1__ENCRYPTION_ALGORITHM__ENCRYPTION_ALGORITHM_UNSPECIFIED:
    case KMS__V1__ENCRYPTION_ALGORITHM__ENCRYPTION_ALGORITHM_SYMMETRIC_DEFAULT:
        *ret_algorithm = KMS_ALGORITHM_SYMMETRIC_DEFAULT;
        return KMS_OK;
    case KMS__V1__ENCRYPTION_ALGORITHM__ENCRYPTION_ALGORITHM_RSAES_OAEP_SHA_256:
        *ret_algorithm = KMS_ALGORITHM_RSAES_OAEP_SHA_256;
        return KMS_OK;
    case KMS__V1__ENCRYPTION_ALGORITHM__ENCRYPTION_ALGORITHM_RSAES_OAEP_SHA_1:
        return kms_call_fail(call, KMS_FAIL(UNSUPPORTED),
                             "RSAES_OAEP_SHA_1 is not offered: RSAES_OAEP_SHA_256 is");
    default:
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "encryption_algorithm: SYMMETRIC_DEFAULT or RSAES_OAEP_SHA_256");
    }
}

kms_err kms_access_algorithm(struct kms_call *call, struct kms_access *access, unsigned algorithm,
                             bool digested)
{
    const struct kms_algorithm_row *row = kms_algorithm_of(algorithm);
    if (row->usage == KMS_USAGE_ENCRYPT_DECRYPT) {
        access->encryption_algorithm = row->name;
        return KMS_OK;
    }
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    if (row->usage == KMS_USAGE_GENERATE_VERIFY_MAC) {
        inputs->mac_algorithm = kms_bytes_text(row->name);
    } else {
        inputs->signing_algorithm = kms_bytes_text(row->name);
        inputs->message_type = kms_bytes_text(digested ? "DIGEST" : "RAW");
    }
    return KMS_OK;
}

/* Whoever reads it tells a label that is text from one that is not. */
static kms_err label_text(struct kms_call *call, struct kms_bytes label, struct kms_bytes *ret_text)
{
    enum { MARK = 7 };
    static const char mark[] = "base64:";
    bool marked = label.len >= MARK && memcmp(label.ptr, mark, MARK) == 0;
    *ret_text = label;
    if (kms_utf8_valid(label) && !marked) return KMS_OK;
    char *text = kms_call_alloc(call, MARK + kms_base64_len(label.len) + 1);
    if (text == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(text, mark, MARK);
    kms_base64(label, text + MARK);
    *ret_text = kms_bytes_text(text);
    return KMS_OK;
}

kms_err kms_access_label(struct kms_call *call, struct kms_access *access, unsigned algorithm,
                         ProtobufCBinaryData label)
{
    if (label.len == 0) return KMS_OK;
    if (algorithm != KMS_ALGORITHM_RSAES_OAEP_SHA_256)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "oaep_label: %s takes none: RSAES_OAEP_SHA_256 does",
                             kms_algorithm_of(algorithm)->name);
    if (label.len > KMS_OAEP_LABEL_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "oaep_label: at most %d bytes, not %zu",
                             KMS_OAEP_LABEL_BYTES, label.len);
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    return label_text(call, kms_bytes_of(label.data, label.len), &inputs->oaep_label);
}

static kms_err check_message(struct kms_call *call, const struct kms_use *use)
{
    const struct kms_algorithm_row *row = kms_algorithm_of(use->algorithm);
    if (use->digested && row->family == KMS_FAMILY_ED)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "message_type: %s signs RAW messages only",
                             row->name);
    if (use->digested && use->message.len != row->hash / 8U)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "message: a digest for %s has %d bytes, not %zu", row->name, row->hash / 8,
                             use->message.len);
    if (use->message.len < 1 || use->message.len > KMS_MESSAGE_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "message: 1 to %d bytes, not %zu",
                             KMS_MESSAGE_BYTES, use->message.len);
    return KMS_OK;
}

kms_err kms_use_gather(struct kms_call *call, enum kms_action action, const struct kms_use *use)
{
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, action, use->key_id, &access));
    if (use->algorithm == 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "%s_algorithm: one must be given",
                             action == KMS_ACT_SIGN || action == KMS_ACT_VERIFY ? "signing" : "mac");
    KMS_TRY(check_message(call, use));
    return kms_access_algorithm(call, access, use->algorithm, use->digested);
}

kms_err kms_use_check(struct kms_call *call, unsigned algorithm)
{
    const struct kms_key *key = call->access[0].key;
    if (kms_algorithm_fits(algorithm, key->spec, key->usage)) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_KEY_USAGE), "key %s is %s for %s: %s is not for it",
                         key->id_text, kms_spec_of(key->spec)->name, kms_usage_name(key->usage),
                         kms_algorithm_of(algorithm)->name);
}

kms_err kms_use_plan(struct kms_call *call, enum kms_hsm_op op, const struct kms_use *use)
{
    struct kms_access *access = &call->access[0];
    KMS_TRY(kms_use_check(call, use->algorithm));
    const struct kms_key_version *version = kms_key_current(access->key);
    access->version = version->version;
    call->job.op = op;
    call->job.key = kms_key_for_hsm(access->key, version);
    call->job.algorithm = (uint8_t)use->algorithm;
    call->job.digested = use->digested;
    call->job.input = kms_bytes_of(use->message.data, use->message.len);
    call->job.output_cap = kms_hsm_output_bound(&call->job);
    call->job.output = kms_call_alloc(call, call->job.output_cap > 0 ? call->job.output_cap : 1);
    return call->job.output != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_rsa_plan(struct kms_call *call, enum kms_hsm_op op, ProtobufCBinaryData message,
                     ProtobufCBinaryData label)
{
    enum { OAEP_BYTES = 2 * 32 + 2 }; /* RFC 8017, 7.1.1, with SHA-256 */
    const struct kms_use use = {.message = message, .algorithm = KMS_ALGORITHM_RSAES_OAEP_SHA_256};
    KMS_TRY(kms_use_check(call, use.algorithm));
    if (call->access[0].context_count > 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "encryption_context: an RSA key takes none");
    const struct kms_spec *spec = kms_spec_of(call->access[0].key->spec);
    size_t most = spec->bits / 8U - OAEP_BYTES;
    if (op == KMS_HSM_RSA_ENCRYPT && message.len > most)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "plaintext: %s encrypts at most %zu bytes, not %zu: encrypt a data key with it",
                             spec->name, most, message.len);
    call->job.aad = kms_bytes_of(label.data, label.len);
    return kms_use_plan(call, op, &use);
}

static void add_algorithm(unsigned algorithm, struct kms_algorithms *to)
{
    if (algorithm == KMS_ALGORITHM_SYMMETRIC_DEFAULT)
        to->encryption[to->encryption_count++] =
            KMS__V1__ENCRYPTION_ALGORITHM__ENCRYPTION_ALGORITHM_SYMMETRIC_DEFAULT;
    else if (algorithm == KMS_ALGORITHM_RSAES_OAEP_SHA_256)
        to->encryption[to->encryption_count++] =
            KMS__V1__ENCRYPTION_ALGORITHM__ENCRYPTION_ALGORITHM_RSAES_OAEP_SHA_256;
    else if (algorithm >= KMS_ALGORITHM_HMAC_SHA_256)
        to->mac[to->mac_count++] = (Kms__V1__MacAlgorithm)((int)algorithm - MAC_FROM);
    else
        to->signing[to->signing_count++] = (Kms__V1__SigningAlgorithm)((int)algorithm - SIGNING_FROM);
}

bool kms_algorithms_of_key(struct kms_call *call, const struct kms_key *key,
                           struct kms_algorithms *ret_algorithms)
{
    enum { MOST = KMS_ALGORITHM_HMAC_SHA_512 };
    struct kms_algorithms *to = ret_algorithms;
    *to = (struct kms_algorithms){.encryption = kms_call_alloc(call, MOST * sizeof *to->encryption),
                                  .signing = kms_call_alloc(call, MOST * sizeof *to->signing),
                                  .mac = kms_call_alloc(call, MOST * sizeof *to->mac)};
    if (to->encryption == NULL || to->signing == NULL || to->mac == NULL) return false;
    for (unsigned algorithm = 1; algorithm <= MOST; algorithm++)
        if (kms_algorithm_fits(algorithm, key->spec, key->usage)) add_algorithm(algorithm, to);
    return true;
}

kms_err kms_begin_rsa(struct kms_call *call, unsigned spec)
{
    if (kms_spec_of(spec)->family != KMS_FAMILY_RSA || call->makes_rsa) return KMS_OK;
    KMS_TRY(kms_authn_begin_rsa(call->core->authn, call->identity, &call->why));
    call->makes_rsa = true;
    return KMS_OK;
}
