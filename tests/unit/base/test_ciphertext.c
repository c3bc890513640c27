/* The ciphertext header, text form and context, against the vectors of tests/vectors (made by make.py, not by
 * us). */
#include "base/ciphertext.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

typedef json_t kms_json;
static void kms_json_drop(json_t **json)
{
    json_decref(*json);
}

static json_t *vectors(const char *name)
{
    char path[256];
    json_error_t error;
    snprintf(path, sizeof path, KMS_SOURCE_DIR "/tests/vectors/%s", name);
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (json == NULL) fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
    CU_ASSERT_FATAL(json != NULL && json_array_size(json) > 0);
    return json;
}

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    return text;
}

/* A string of hex digits as bytes in memory of its own. */
static kms_buf from_hex(const char *hex)
{
    size_t len = strlen(hex) / 2;
    uint8_t *data = malloc(len + 1);
    CU_ASSERT_FATAL(data != NULL && kms_unhex(hex, strlen(hex), data, len));
    return (kms_buf){.data = data, .len = len, .cap = len + 1};
}

/* Whether err is the one the vector names; says which vector when not. */
static bool is_the_error_of(json_t *vector, kms_err err)
{
    const char *want = json_string_value(json_object_get(vector, "error"));
    bool same = strcmp(kms_err_reason(err), want != NULL ? want : "OK") == 0;
    if (!same) fprintf(stderr, "\n%s: got %s\n", text_of(vector, "what"), kms_err_reason(err));
    return same;
}

static void headers_that_are_read(void)
{
    KMS_OWN(kms_json) cases = vectors("good/header.json");
    size_t i;
    json_t *one;
    json_array_foreach(cases, i, one)
    {
        KMS_OWN_BUF blob = from_hex(text_of(one, "ciphertext"));
        struct kms_ciphertext_header header;
        struct kms_bytes sealed;
        KMS_ASSERT_OK_FATAL(kms_ciphertext_parse(kms_buf_view(&blob), &header, &sealed, NULL));
        char id[KMS_ID_TEXT];
        kms_id_text(&header.key_id, id);
        CU_ASSERT_STRING_EQUAL(id, text_of(one, "key_id"));
        CU_ASSERT_EQUAL(header.algorithm, json_integer_value(json_object_get(one, "algorithm")));
        CU_ASSERT_EQUAL(header.key_version, json_integer_value(json_object_get(one, "key_version")));
        CU_ASSERT_EQUAL((json_int_t)sealed.len, json_integer_value(json_object_get(one, "sealed_bytes")));
        CU_ASSERT_PTR_EQUAL(sealed.ptr, blob.data + KMS_CIPHERTEXT_HEADER_BYTES);
        uint8_t again[KMS_CIPHERTEXT_HEADER_BYTES];
        kms_ciphertext_header_put(&header, again);
        CU_ASSERT_EQUAL(memcmp(again, blob.data, sizeof again), 0);
    }
}

static void headers_that_are_refused(void)
{
    KMS_OWN(kms_json) cases = vectors("bad/header.json");
    size_t i;
    json_t *one;
    json_array_foreach(cases, i, one)
    {
        KMS_OWN_BUF blob = from_hex(text_of(one, "ciphertext"));
        struct kms_ciphertext_header header = {.algorithm = 99};
        struct kms_bytes sealed = {.len = 99};
        struct kms_why why = {{0}};
        CU_ASSERT(is_the_error_of(one, kms_ciphertext_parse(kms_buf_view(&blob), &header, &sealed, &why)));
        CU_ASSERT(header.algorithm == 99 && sealed.len == 99);
        CU_ASSERT(strncmp(why.text, "ciphertext: ", 12) == 0);
    }
}

static void every_length_is_judged(void)
{
    static const struct {
        uint8_t algorithm;
        size_t shortest, longest; /* bytes */
    } cases[] = {{KMS_ALG_AES_256_GCM, 53, 65589}, {KMS_ALG_AES_256_GCM_DERIVED, 69, KMS_CIPHERTEXT_BYTES}};
    static uint8_t blob[KMS_CIPHERTEXT_BYTES + 2];
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_ciphertext_header header = {.algorithm = cases[i].algorithm, .key_version = 1};
        kms_ciphertext_header_put(&header, blob);
        for (size_t len = 0; len <= cases[i].longest + 1; len += len == 100 ? cases[i].longest - 101 : 1) {
            struct kms_bytes sealed;
            kms_err err = kms_ciphertext_parse(kms_bytes_of(blob, len), &header, &sealed, NULL);
            CU_ASSERT_EQUAL(kms_failed(err), len < cases[i].shortest || len > cases[i].longest);
        }
    }
}

static void text_forms(void)
{
    KMS_OWN(kms_json) good = vectors("good/sealed.json");
    KMS_OWN(kms_json) bad = vectors("bad/text.json");
    size_t i;
    json_t *one;
    json_array_foreach(good, i, one)
    {
        KMS_OWN_BUF want = from_hex(text_of(one, "ciphertext"));
        KMS_OWN_BUF text = {0}, back = {0};
        KMS_ASSERT_OK(kms_ciphertext_to_text(kms_buf_view(&want), &text));
        CU_ASSERT_STRING_EQUAL(text.data, text_of(one, "text"));
        KMS_ASSERT_OK(kms_ciphertext_from_text(kms_buf_view(&text), &back, NULL));
        CU_ASSERT(kms_bytes_equal(kms_buf_view(&want), kms_buf_view(&back)));
    }
    json_array_foreach(bad, i, one)
    {
        json_t *text = json_object_get(one, "text");
        KMS_OWN_BUF blob = {0};
        struct kms_why why = {{0}};
        struct kms_bytes input = kms_bytes_of(json_string_value(text), json_string_length(text));
        CU_ASSERT(is_the_error_of(one, kms_ciphertext_from_text(input, &blob, &why)));
        CU_ASSERT(blob.len == 0 && why.text[0] != '\0');
    }
}

static void a_text_too_long_is_refused(void)
{
    KMS_OWN_BUF blob = {0}, text = {0};
    for (size_t i = 0; i < KMS_CIPHERTEXT_BYTES + 3; i++) KMS_ASSERT_OK_FATAL(kms_buf_append(&blob, "x", 1));
    KMS_ASSERT_OK_FATAL(kms_ciphertext_to_text(kms_buf_view(&blob), &text));
    KMS_OWN_BUF back = {0};
    KMS_ASSERT_CODE(kms_ciphertext_from_text(kms_buf_view(&text), &back, NULL), INVALID_CIPHERTEXT);
}

enum { ROOM = KMS_CONTEXT_PAIRS_MAX + 1 };
struct context {
    struct kms_context_pair pairs[ROOM];
    kms_buf memory[2 * ROOM];
    size_t count;
};

static void context_of(json_t *vector, struct context *ret_context)
{
    json_t *pairs = json_object_get(vector, "pairs");
    ret_context->count = json_array_size(pairs);
    CU_ASSERT_FATAL(ret_context->count <= ROOM);
    for (size_t i = 0; i < ret_context->count; i++) {
        for (size_t part = 0; part < 2; part++)
            ret_context->memory[2 * i + part] =
                from_hex(json_string_value(json_array_get(json_array_get(pairs, i), part)));
        ret_context->pairs[i].name = kms_buf_view(&ret_context->memory[2 * i]);
        ret_context->pairs[i].value = kms_buf_view(&ret_context->memory[2 * i + 1]);
    }
}

static void context_free(struct context *context)
{
    for (size_t i = 0; i < 2 * context->count; i++) kms_buf_free(&context->memory[i]);
}

static void contexts(void)
{
    static const char *const files[] = {"good/context.json", "bad/context.json"};
    for (size_t f = 0; f < KMS_COUNT(files); f++) {
        KMS_OWN(kms_json) cases = vectors(files[f]);
        size_t i;
        json_t *one;
        json_array_foreach(cases, i, one)
        {
            struct context context;
            context_of(one, &context);
            KMS_OWN_BUF out = {0};
            KMS_ASSERT_OK_FATAL(kms_buf_append(&out, "before", 6));
            struct kms_why why = {{0}};
            CU_ASSERT(is_the_error_of(one, kms_context_canonical(context.pairs, context.count, &out, &why)));
            KMS_OWN_BUF want = from_hex(f == 0 ? text_of(one, "canonical") : "");
            CU_ASSERT(kms_bytes_equal(kms_bytes_of(out.data + 6, out.len - 6), kms_buf_view(&want)));
            CU_ASSERT_EQUAL(strncmp(why.text, "encryption context", 18) == 0, f == 1);
            for (const char *c = why.text; *c != '\0'; c++) CU_ASSERT(*c >= ' ' && *c < 127);
            context_free(&context);
        }
    }
}

/* The sealed part of algorithm 2 opened as FORMAT.md says; the worker's own code is held against the same
 * vectors. */
static bool open_derived(struct kms_bytes backing_key, struct kms_bytes sealed, struct kms_bytes aad,
                         uint8_t *plaintext)
{
    static const uint8_t counter[4] = {0, 0, 0, 1}, separator[1] = {0}, bits[4] = {0, 0, 1, 0};
    struct kms_bytes input[] = {kms_bytes_of(counter, 4), kms_bytes_text("kmsd.aes-256-gcm.v1"),
                                kms_bytes_of(separator, 1), kms_bytes_of(sealed.ptr, 16),
                                kms_bytes_of(bits, 4)};
    uint8_t key[KMS_DIGEST_BYTES], tag[16];
    KMS_OWN(kms_digest) mac = NULL;
    KMS_ASSERT_OK_FATAL(kms_digest_new_keyed(backing_key, &mac));
    KMS_ASSERT_OK_FATAL(kms_digest_run(mac, input, KMS_COUNT(input), key));
    EVP_CIPHER_CTX *gcm = EVP_CIPHER_CTX_new();
    int len, text_len = (int)sealed.len - 16 - 12 - 16;
    memcpy(tag, sealed.ptr + 28 + text_len, 16);
    bool ok = EVP_DecryptInit_ex2(gcm, EVP_aes_256_gcm(), key, sealed.ptr + 16, NULL) == 1 &&
              EVP_DecryptUpdate(gcm, NULL, &len, aad.ptr, (int)aad.len) == 1 &&
              EVP_DecryptUpdate(gcm, plaintext, &len, sealed.ptr + 28, text_len) == 1 &&
              EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1 &&
              EVP_DecryptFinal_ex(gcm, plaintext + text_len, &len) == 1;
    EVP_CIPHER_CTX_free(gcm);
    return ok;
}

/* Opens one vector with nothing but this room's functions and the page. */
static bool opens(json_t *vector, const struct kms_ciphertext_header *header, struct kms_bytes sealed,
                  uint8_t *plaintext)
{
    struct kms_context_pair pairs[8];
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(vector, "context"), name, value)
    {
        CU_ASSERT_FATAL(count < KMS_COUNT(pairs));
        pairs[count++] =
            (struct kms_context_pair){kms_bytes_text(name), kms_bytes_text(json_string_value(value))};
    }
    KMS_OWN_BUF key = from_hex(text_of(vector, "backing_key")), aad = {0};
    uint8_t head[KMS_CIPHERTEXT_HEADER_BYTES];
    kms_ciphertext_header_put(header, head);
    KMS_ASSERT_OK_FATAL(kms_buf_append(&aad, head, sizeof head));
    KMS_ASSERT_OK_FATAL(kms_context_canonical(pairs, count, &aad, NULL));
    const char *want_aad = json_string_value(json_object_get(vector, "aad"));
    if (want_aad != NULL) {
        KMS_OWN_BUF want = from_hex(want_aad);
        CU_ASSERT(kms_bytes_equal(kms_buf_view(&aad), kms_buf_view(&want)));
    }
    return open_derived(kms_buf_view(&key), sealed, kms_buf_view(&aad), plaintext);
}

static void sealed_parts(void)
{
    static const char *const files[] = {"good/sealed.json", "bad/sealed.json"};
    for (size_t f = 0; f < KMS_COUNT(files); f++) {
        KMS_OWN(kms_json) cases = vectors(files[f]);
        size_t i;
        json_t *one;
        json_array_foreach(cases, i, one)
        {
            KMS_OWN_BUF blob = from_hex(text_of(one, "ciphertext"));
            struct kms_ciphertext_header header;
            struct kms_bytes sealed;
            KMS_ASSERT_OK_FATAL(kms_ciphertext_parse(kms_buf_view(&blob), &header, &sealed, NULL));
            if (header.algorithm != KMS_ALG_AES_256_GCM_DERIVED) continue;
            uint8_t plaintext[256];
            CU_ASSERT_EQUAL(opens(one, &header, sealed, plaintext), f == 0);
            if (f != 0) continue;
            KMS_OWN_BUF want = from_hex(text_of(one, "plaintext"));
            CU_ASSERT(kms_bytes_equal(kms_bytes_of(plaintext, want.len), kms_buf_view(&want)));
        }
    }
}

static void every_failure_leaves_nothing(void)
{
    FAULTS_EACH () {
        struct kms_context_pair pair = {kms_bytes_text("name"), kms_bytes_text("value")};
        KMS_OWN_BUF out = {0}, text = {0}, back = {0};
        kms_err err = kms_context_canonical(&pair, 1, &out, NULL);
        if (!kms_failed(err)) err = kms_ciphertext_to_text(kms_buf_view(&out), &text);
        if (!kms_failed(err)) err = kms_ciphertext_from_text(kms_buf_view(&text), &back, NULL);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT(!kms_failed(err) || kms_is(err, KMS_E_NO_MEMORY));
        CU_ASSERT_EQUAL(back.len, faults_hit() ? 0 : out.len);
    }
}

KMS_TEST_MAIN("base/ciphertext", {"headers that are read", headers_that_are_read},
              {"headers that are refused", headers_that_are_refused},
              {"every length is judged", every_length_is_judged}, {"text forms, good and bad", text_forms},
              {"a text too long is refused", a_text_too_long_is_refused},
              {"contexts, good and bad", contexts},
              {"sealed parts of algorithm 2 open, changed ones do not", sealed_parts},
              {"every failure leaves nothing", every_failure_leaves_nothing})
