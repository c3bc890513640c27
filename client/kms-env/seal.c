/* One pass over the file: what each value becomes. */
#include "client/kms-env/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/ciphertext.h"

struct sealing {
    const struct kms_env_seal_options *options;
    struct kms_env_encrypter encrypter;
    char key[KMS_DOTENV_KEY_BYTES + 1], app[KMS_DOTENV_APP_BYTES + 1];
};

static kms_err refuse(struct kms_why *why, const struct kms_dotenv_entry *entry, const char *words)
{
    kms_why_set(why, "line %u: %.*s: %s", entry->line, (int)entry->name.len, (const char *)entry->name.ptr,
                words);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* Only the first of the candidates that is there; it was validated where it came from, but flags were not. */
static kms_err choose(char *to, size_t size, const char *flag, struct kms_bytes noted, const char *fallback,
                      bool (*valid)(struct kms_bytes))
{
    struct kms_bytes chosen = flag != NULL       ? kms_bytes_text(flag)
                              : noted.len > 0    ? noted
                              : fallback != NULL ? kms_bytes_text(fallback)
                                                 : kms_bytes_of(NULL, 0);
    if (!valid(chosen) || chosen.len >= size) return KMS_FAIL(INVALID_ARGUMENT);
    kms_copy(to, chosen.ptr, chosen.len);
    to[chosen.len] = '\0';
    return KMS_OK;
}

static bool has_ciphertext(const kms_dotenv *document)
{
    for (size_t i = 0; i < kms_dotenv_count(document); i++)
        if (kms_ciphertext_is_text(kms_dotenv_entry(document, i)->value)) return true;
    return false;
}

static kms_err choose_names(const kms_dotenv *document, struct sealing *s, struct kms_why *why)
{
    const struct kms_dotenv_header *header = kms_dotenv_header(document);
    const struct kms_env_seal_options *options = s->options;
    if (kms_failed(choose(s->key, sizeof s->key, options->key, header->key, NULL, kms_dotenv_key_valid))) {
        kms_why_set(why, "which key? --key KEY, or a line #kms-env app=APP key=KEY in the file");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    if (kms_failed(choose(s->app, sizeof s->app, options->app, header->app, options->fallback_app,
                          kms_dotenv_app_valid))) {
        kms_why_set(why, "the name of an application has 1 to %d of A-Z a-z 0-9 . _ / -",
                    KMS_DOTENV_APP_BYTES);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    /* one file, one application: the values that are there could not be read as another's */
    if (header->app.len > 0 && !kms_bytes_equal(header->app, kms_bytes_text(s->app)) &&
        has_ciphertext(document)) {
        kms_why_set(why, "the ciphertext in the file is of application %.*s, not of %s", (int)header->app.len,
                    (const char *)header->app.ptr, s->app);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return KMS_OK;
}

static kms_err check_only(const kms_dotenv *document, struct kms_env_names only, struct kms_why *why)
{
    for (size_t i = 0; i < only.count; i++) {
        if (kms_dotenv_find(document, only.names[i]) != NULL) continue;
        kms_why_set(why, "--only names %.*s, which the file does not set", (int)only.names[i].len,
                    (const char *)only.names[i].ptr);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return KMS_OK;
}

static kms_err check_ciphertext(const struct kms_dotenv_entry *entry, struct kms_why *why)
{
    KMS_OWN_BUF blob = {0};
    struct kms_ciphertext_header header;
    struct kms_bytes sealed;
    struct kms_why cause = {0};
    kms_err err = kms_ciphertext_from_text(entry->value, &blob, &cause);
    if (!kms_failed(err)) err = kms_ciphertext_parse(kms_buf_view(&blob), &header, &sealed, &cause);
    if (kms_failed(err)) kms_ignore(refuse(why, entry, cause.text)); /* for its words; the error is err */
    return err;
}

/* The answer replaces the only plain copy, so what is no ciphertext is not taken. */
static kms_err encrypt(const struct sealing *s, const struct kms_dotenv_entry *entry, kms_buf *text,
                       struct kms_why *why)
{
    KMS_OWN_BUF blob = {0}, name = {0};
    struct kms_ciphertext_header header;
    struct kms_bytes sealed;
    struct kms_why cause = {0};
    if (entry->value.len > KMS_PLAINTEXT_BYTES) return refuse(why, entry, "longer than 65536 bytes");
    KMS_TRY(kms_buf_append(&name, entry->name.ptr, entry->name.len));
    struct kms_env_binding to = {.key = s->key, .app = s->app, .name = (const char *)name.data};
    kms_err err = s->encrypter.encrypt(s->encrypter.self, &to, entry->value, &blob, &cause);
    if (!kms_failed(err)) err = kms_ciphertext_parse(kms_buf_view(&blob), &header, &sealed, &cause);
    if (!kms_failed(err)) return kms_ciphertext_to_text(kms_buf_view(&blob), text);
    kms_ignore(
        refuse(why, entry, cause.text[0] != '\0' ? cause.text : kms_err_text(err))); /* for its words */
    return err;
}

static kms_err seal_entry(const struct sealing *s, const struct kms_dotenv_entry *entry, size_t index,
                          kms_env_sealed *sealed, struct kms_why *why)
{
    if (!entry->assigned || !kms_env_names_have(s->options->only, entry->name)) return KMS_OK;
    if (kms_ciphertext_is_text(entry->value)) {
        sealed->already++;
        return check_ciphertext(entry, why);
    }
    if (kms_env_reference_is(entry->value)) {
        sealed->references++;
        return KMS_OK;
    }
    if (entry->value.len == 0) {
        sealed->empty++;
        return KMS_OK;
    }
    KMS_TRY(encrypt(s, entry, &sealed->texts[index], why));
    sealed->values[index] = kms_buf_view(&sealed->texts[index]);
    sealed->encrypted++;
    return KMS_OK;
}

static kms_err count_bytes(void *self, struct kms_bytes piece)
{
    *(size_t *)self += piece.len;
    return KMS_OK;
}

static kms_err check_len(const kms_dotenv *document, const kms_env_sealed *sealed, struct kms_why *why)
{
    size_t len = 0;
    KMS_TRY(kms_dotenv_write(document, sealed->values, kms_buf_view(&sealed->header),
                             (struct kms_dotenv_sink){.put = count_bytes, .self = &len}));
    if (len < KMS_DOTENV_BYTES) return KMS_OK;
    kms_why_set(why, "encrypted it would have %zu bytes, and kms-env reads less than %d: split it", len,
                KMS_DOTENV_BYTES);
    return KMS_FAIL(LIMIT_EXCEEDED);
}

kms_err kms_env_seal(const kms_dotenv *document, const struct kms_env_seal_options *options,
                     struct kms_env_encrypter encrypter, kms_env_sealed *sealed, struct kms_why *why)
{
    struct sealing s = {.options = options, .encrypter = encrypter};
    size_t count = kms_dotenv_count(document);
    KMS_TRY(choose_names(document, &s, why));
    KMS_TRY(check_only(document, options->only, why));
    sealed->values = calloc(count + 1, sizeof *sealed->values);
    sealed->texts = calloc(count + 1, sizeof *sealed->texts);
    if (sealed->values == NULL || sealed->texts == NULL) return KMS_FAIL(NO_MEMORY);
    sealed->count = count;
    for (size_t i = 0; i < count; i++) KMS_TRY(seal_entry(&s, kms_dotenv_entry(document, i), i, sealed, why));
    KMS_TRY(kms_buf_print(&sealed->header, "#kms-env app=%s key=%s", s.app, s.key));
    return check_len(document, sealed, why);
}

void kms_env_sealed_free(kms_env_sealed *sealed)
{
    for (size_t i = 0; i < sealed->count; i++) kms_buf_free(&sealed->texts[i]);
    free(sealed->values);
    free(sealed->texts);
    kms_buf_free(&sealed->header);
    *sealed = (kms_env_sealed){0};
}
