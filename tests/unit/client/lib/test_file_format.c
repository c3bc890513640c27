/* The bytes of an encrypted file: keys of the vectors, headers, and lengths at their limits. */
#include "client/lib/file_format.h"

#include "file_fixture.h"

static void keys_are_those_of_the_vectors(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector)
    {
        KMS_OWN_BUF file = bytes_of(vector, "file");
        KMS_OWN(kms_plaintext) data_key = data_key_of(vector);
        struct kms_file_header header, made;
        uint8_t key[KMS_FILE_KEY_BYTES], commitment[KMS_FILE_COMMITMENT_BYTES];
        char hex[2 * sizeof key + 1];
        KMS_ASSERT_OK_FATAL(kms_file_header_take(kms_bytes_of(file.data, 175), &header, NULL));
        KMS_ASSERT_OK_FATAL(kms_file_derive(&header, kms_plaintext_data(data_key), key, commitment));
        kms_hex(key, sizeof key, hex);
        CU_ASSERT_STRING_EQUAL(hex, text_of(vector, "file_key"));
        kms_hex(commitment, sizeof commitment, hex);
        CU_ASSERT_STRING_EQUAL(hex, text_of(vector, "commitment"));
        KMS_ASSERT_OK_FATAL(kms_file_header_make(header.chunk_bytes, header.bytes + 8,
                                                 kms_file_wrapped(&header), &made, NULL));
        kms_file_commit(&made, commitment);
        CU_ASSERT_EQUAL_FATAL(made.len, header.len);
        CU_ASSERT_EQUAL(memcmp(made.bytes, header.bytes, made.len), 0);
    }
}

static void the_longest_header(void)
{
    static uint8_t salt[KMS_FILE_SALT_BYTES], wrapped[KMS_FILE_WRAPPED_BYTES + 1];
    struct kms_file_header header, again;
    struct kms_why why;
    KMS_ASSERT_OK(
        kms_file_header_make(1024, salt, kms_bytes_of(wrapped, KMS_FILE_WRAPPED_BYTES), &header, &why));
    CU_ASSERT_EQUAL(header.len, KMS_FILE_HEADER_BYTES);
    KMS_ASSERT_OK(kms_file_header_take(kms_bytes_of(header.bytes, header.len), &again, &why));
    KMS_ASSERT_CODE(kms_file_header_make(1024, salt, kms_bytes_of(wrapped, sizeof wrapped), &header, &why),
                    INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_file_header_make(1024, salt, kms_bytes_of(wrapped, 0), &header, &why),
                    INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "a wrapped data key of 0 bytes"));
    KMS_ASSERT_CODE(kms_file_header_take(kms_bytes_of(again.bytes, again.len - 1), &again, &why),
                    INVALID_CIPHERTEXT);
}

static void lengths(void)
{
    const struct kms_file_header small = {.len = 175, .chunk_bytes = 1024};
    const struct kms_file_header large = {.len = 175, .chunk_bytes = 1024 * 1024};
    const uint64_t tag = KMS_FILE_TAG_BYTES, four = UINT64_C(1) << 42, sixteen = UINT64_C(1) << 44;
    const struct {
        const struct kms_file_header *header;
        uint64_t body, chunks, plaintext; /* chunks 0: refused */
    } rows[] = {
        {&small, 0, 0, 0},
        {&small, 15, 0, 0},
        {&small, 16, 1, 0},
        {&small, 17, 1, 1},
        {&small, 1040, 1, 1024},
        {&small, 1041, 0, 0},
        {&small, 1056, 0, 0},
        {&small, 1057, 2, 1025},
        {&small, four + (four >> 10) * tag, four >> 10, four},
        {&small, four + (four >> 10) * tag + tag + 1, 0, 0},
        {&large, sixteen + (sixteen >> 20) * tag, sixteen >> 20, sixteen},
        {&large, sixteen + (sixteen >> 20) * tag + tag + 1, 0, 0},
        {&small, UINT64_MAX - 176, 0, 0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_file_shape shape = {0};
        struct kms_why why = {{0}};
        kms_err err = kms_file_shape_of(rows[i].header, 175 + rows[i].body, &shape, &why);
        CU_ASSERT_EQUAL(shape.chunks, rows[i].chunks);
        CU_ASSERT_EQUAL(shape.plaintext_bytes, rows[i].plaintext);
        CU_ASSERT_EQUAL(err.code, rows[i].chunks > 0 ? KMS_E_OK : KMS_E_INVALID_CIPHERTEXT);
    }
    CU_ASSERT_EQUAL(kms_file_chunk_at(&small, 3), 175 + 3 * 1040);
}

KMS_TEST_MAIN("client/lib/file_format", {"keys are those of the vectors", keys_are_those_of_the_vectors},
              {"the longest header", the_longest_header}, {"lengths", lengths})
