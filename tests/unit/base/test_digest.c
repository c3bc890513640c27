/* SHA-256 and HMAC-SHA-256 against FIPS 180-4 examples and RFC 4231. */
#include "base/digest.h"

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static void expect(kms_digest *d, struct kms_bytes input, const char *want)
{
    uint8_t out[KMS_DIGEST_BYTES];
    char text[2 * KMS_DIGEST_BYTES + 1];
    for (size_t cut = 0; cut <= input.len; cut += input.len / 3 + 1) { /* in parts, it is the same */
        struct kms_bytes parts[] = {kms_bytes_of(input.ptr, cut),
                                    kms_bytes_of(input.ptr + cut, input.len - cut)};
        KMS_ASSERT_OK(kms_digest_run(d, parts, 2, out));
        kms_hex(out, sizeof out, text);
        CU_ASSERT_STRING_EQUAL(text, want);
    }
}

static void sha256(void)
{
    KMS_OWN(kms_digest) d = NULL;
    KMS_ASSERT_OK_FATAL(kms_digest_new(&d));
    expect(d, kms_bytes_text(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(d, kms_bytes_text("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(d, kms_bytes_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void sha256_as_text(void)
{
    char text[2 * KMS_DIGEST_BYTES + 1];
    KMS_ASSERT_OK(kms_sha256_hex(kms_bytes_text("abc"), text));
    CU_ASSERT_STRING_EQUAL(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    FAULTS_EACH () {
        CU_ASSERT_EQUAL(kms_failed(kms_sha256_hex(kms_bytes_text(""), text)), faults_hit());
    }
}

/* RFC 4231, 4.2 to 4.8 without the truncated case 5 */
static const struct {
    const char *key, *data; /* hex */
    const char *mac;
} hmacs[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {"0102030405060708090a0b0c0d0e0f10111213141516171819",
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
};

static void hmac(void)
{
    for (size_t i = 0; i < KMS_COUNT(hmacs); i++) {
        uint8_t key[64], data[64];
        size_t key_len = strlen(hmacs[i].key) / 2, data_len = strlen(hmacs[i].data) / 2;
        CU_ASSERT_FATAL(kms_unhex(hmacs[i].key, 2 * key_len, key, key_len));
        CU_ASSERT_FATAL(kms_unhex(hmacs[i].data, 2 * data_len, data, data_len));
        KMS_OWN(kms_digest) d = NULL;
        KMS_ASSERT_OK_FATAL(kms_digest_new_keyed(kms_bytes_of(key, key_len), &d));
        memset(key, 0, sizeof key); /* it keeps a copy */
        expect(d, kms_bytes_of(data, data_len), hmacs[i].mac);
    }
}

static void long_keys_are_hashed(void)
{
    uint8_t key[131]; /* RFC 4231, 4.7 and 4.8 */
    memset(key, 0xaa, sizeof key);
    KMS_OWN(kms_digest) d = NULL;
    KMS_ASSERT_OK_FATAL(kms_digest_new_keyed(kms_bytes_of(key, sizeof key), &d));
    expect(d, kms_bytes_text("Test Using Larger Than Block-Size Key - Hash Key First"),
           "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    expect(d,
           kms_bytes_text(
               "This is a test using a larger than block-size key and a larger than block-size data. The key "
               "needs to be hashed before being used by the HMAC algorithm."),
           "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void every_failure_is_clean(void)
{
    FAULTS_EACH () {
        KMS_OWN(kms_digest) plain = NULL;
        KMS_OWN(kms_digest) keyed = NULL;
        kms_err err = kms_digest_new(&plain);
        if (!kms_failed(err)) err = kms_digest_new_keyed(kms_bytes_text("key"), &keyed);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
    }
    kms_digest_free(NULL);
}

KMS_TEST_MAIN("base/digest", {"SHA-256", sha256}, {"SHA-256 as text", sha256_as_text}, {"HMAC-SHA-256", hmac},
              {"long keys are hashed", long_keys_are_hashed},
              {"every failure is clean", every_failure_is_clean})
