/* The wrapped key's bytes, and that its binding covers every field. */
#include "hsm/wrapped.h"
#include "tests/harness/suite.h"

static const uint8_t blob[40] = {5};
static const struct kms_key_ref ref = {{{1}}, 2, KMS_SPEC_AES_256, KMS_USAGE_ENCRYPT_DECRYPT, KMS_LEVEL_HSM};

static struct kms_bytes public_key; /* of a pair; empty: none */

static size_t stored(uint8_t memory[256])
{
    struct kms_wrapped w = {
        .root_id = 3, .binding = {9}, .blob = {blob, sizeof blob}, .public_key = public_key};
    struct kms_writer out = kms_writer_over(memory, 256);
    kms_wrapped_put(&out, &w);
    return (size_t)(out.at - memory);
}

static void round_trips(void)
{
    uint8_t memory[256];
    struct kms_wrapped got;
    size_t len = stored(memory);
    CU_ASSERT_EQUAL(len, KMS_WRAPPED_OVERHEAD + sizeof blob);
    KMS_ASSERT_OK_FATAL(kms_wrapped_get(kms_bytes_of(memory, len), &got));
    CU_ASSERT_TRUE(got.root_id == 3 && got.binding[0] == 9 &&
                   kms_bytes_equal(got.blob, kms_bytes_of(blob, sizeof blob)));
}

static void damage_is_corrupt(void)
{
    uint8_t memory[256];
    struct kms_wrapped got;
    size_t len = stored(memory);
    for (size_t cut = 0; cut < len; cut++)
        KMS_ASSERT_CODE(kms_wrapped_get(kms_bytes_of(memory, cut), &got), CORRUPT);
    KMS_ASSERT_CODE(kms_wrapped_get(kms_bytes_of(memory, len + 1), &got), CORRUPT);
    memory[0] = public_key.len > 0 ? KMS_WRAPPED_VERSION : KMS_WRAPPED_PAIR_VERSION;
    KMS_ASSERT_CODE(kms_wrapped_get(kms_bytes_of(memory, len), &got), CORRUPT);
    memory[0] = KMS_WRAPPED_PAIR_VERSION + 1;
    KMS_ASSERT_CODE(kms_wrapped_get(kms_bytes_of(memory, len), &got), CORRUPT);
}

static struct kms_bytes message(uint8_t *memory, struct kms_key_ref r, struct kms_wrapped w)
{
    struct kms_writer out = kms_writer_over(memory, KMS_BINDING_MESSAGE_BYTES);
    kms_binding_message(&out, &r, &w);
    return kms_bytes_of(memory, (size_t)(out.at - memory));
}

static void the_binding_covers_every_field(void)
{
    static uint8_t a[KMS_BINDING_MESSAGE_BYTES], b[KMS_BINDING_MESSAGE_BYTES];
    const struct kms_wrapped w = {.root_id = 3, .blob = {blob, sizeof blob}, .public_key = public_key};
    struct kms_bytes good = message(a, ref, w);
    for (unsigned field = 0; field < (public_key.len > 0 ? 8 : 7); field++) {
        struct kms_key_ref r = ref;
        struct kms_wrapped changed = w;
        r.key_id.bytes[15] ^= field == 0;
        r.version += field == 1;
        r.spec ^= field == 2;
        r.usage ^= field == 3;
        r.level ^= field == 4;
        changed.root_id += field == 5;
        changed.blob.len -= field == 6;
        changed.public_key.len -= field == 7;
        CU_ASSERT_FALSE(kms_bytes_equal(good, message(b, r, changed)));
        CU_ASSERT_EQUAL(kms_ref_equal(&r, &ref), field >= 5);
    }
}

/* The same with a public key beside the blob: version 2. */
static void pairs_too(void)
{
    static const uint8_t der[91] = {6};
    uint8_t memory[256];
    struct kms_wrapped got;
    public_key = kms_bytes_of(der, sizeof der);
    size_t len = stored(memory);
    CU_ASSERT_EQUAL(memory[0], KMS_WRAPPED_PAIR_VERSION);
    KMS_ASSERT_OK_FATAL(kms_wrapped_get(kms_bytes_of(memory, len), &got));
    CU_ASSERT_TRUE(kms_bytes_equal(got.public_key, public_key) && got.blob.len == sizeof blob);
    damage_is_corrupt();
    the_binding_covers_every_field();
    public_key = kms_bytes_of(NULL, 0);
}

KMS_TEST_MAIN("hsm/wrapped", {"round-trips", round_trips}, {"pairs too", pairs_too},
              {"damage is CORRUPT", damage_is_corrupt},
              {"the binding covers every field", the_binding_covers_every_field})
