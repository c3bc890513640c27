/* Encrypted files in memory: the vectors of tests/vectors, a source, and a data key that needs no kmsd. */
#ifndef KMS_TESTS_FILE_FIXTURE_H
#define KMS_TESTS_FILE_FIXTURE_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/lib/failure.h"
#include "client/lib/file_io.h"
#include "client/lib/store.h"
#include "tests/harness/suite.h"

typedef json_t file_vectors;
static inline void file_vectors_drop(json_t **json)
{
    json_decref(*json);
}

static inline json_t *read_vectors(const char *name)
{
    char path[256];
    json_error_t error;
    snprintf(path, sizeof path, KMS_SOURCE_DIR "/tests/vectors/%s", name);
    json_t *json = json_load_file(path, 0, &error);
    if (json == NULL) fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
    CU_ASSERT_FATAL(json != NULL && json_array_size(json) > 0);
    return json;
}

static inline const char *text_of(const json_t *vector, const char *name)
{
    const char *text = json_string_value(json_object_get(vector, name));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    return text;
}

/* A base64 member as bytes of its own; exactly as much memory, so that a sanitizer sees reads behind it. */
static inline kms_buf bytes_of(const json_t *vector, const char *name)
{
    const char *text = text_of(vector, name);
    size_t room = strlen(text) / 4 * 3 + 1, len = 0;
    uint8_t *data = malloc(room);
    CU_ASSERT_FATAL(data != NULL && (text[0] == '\0' || kms_unbase64(kms_bytes_text(text), data, &len)));
    return (kms_buf){.data = data, .len = len, .cap = room};
}

/* The data key of a vector; NULL when its wrapped one does not open. */
static inline kms_plaintext *data_key_of(const json_t *vector)
{
    const char *hex = json_string_value(json_object_get(vector, "data_key"));
    uint8_t key[KMS_FILE_KEY_BYTES];
    if (hex == NULL) return NULL;
    size_t len = strlen(hex) / 2;
    CU_ASSERT_FATAL(len <= sizeof key && kms_unhex(hex, strlen(hex), key, len));
    return kms_plaintext_of((ProtobufCBinaryData){.data = key, .len = len});
}

static inline bool unwrap_by_vector(void *self, struct kms_blob wrapped, kms_plaintext **ret_key,
                                    struct kms_error *error)
{
    const json_t *vector = self;
    CU_ASSERT_TRUE(wrapped.len > 0);
    if (json_is_null(json_object_get(vector, "data_key"))) {
        struct kms_why why = {"the data key does not open"};
        kms_error_local(error, KMS_FAIL(INVALID_CIPHERTEXT), &why);
        return false;
    }
    *ret_key = data_key_of(vector);
    if (*ret_key == NULL) kms_error_local(error, KMS_FAIL(NO_MEMORY), NULL);
    return *ret_key != NULL;
}

/* A file in memory that is read at most `most` bytes at a time; fails at the read that reaches fail_at. */
struct memory_file {
    struct kms_bytes data;
    size_t most;
    uint64_t fail_at;  /* 0: never */
    uint64_t next;     /* of a pipe: where the next read must begin */
    bool pipe, silent; /* fails without words */
};

static inline bool read_memory(void *self, uint64_t offset, void *to, size_t len, size_t *ret_len,
                               struct kms_error *error)
{
    struct memory_file *file = self;
    if (file->pipe) CU_ASSERT_EQUAL(offset, file->next);
    size_t left = offset < file->data.len ? file->data.len - (size_t)offset : 0;
    if (len > left) len = left;
    if (len > file->most) len = file->most;
    if (file->fail_at != 0 && offset + len >= file->fail_at) {
        if (!file->silent) snprintf(error->reason, sizeof error->reason, "DISK_ON_FIRE");
        return false;
    }
    kms_copy(to, file->data.ptr + offset, len);
    file->next = offset + len;
    *ret_len = len;
    return true;
}

static inline struct kms_file_source source_of(struct memory_file *file)
{
    return (struct kms_file_source){
        .read = read_memory, .self = file, .file_bytes = file->pipe ? KMS_FILE_UNKNOWN : file->data.len};
}

#endif
