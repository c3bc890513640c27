/* The PIN: read from its file into locked memory, tried once, and never again until the file changes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "hsm/pkcs11/cryptoki.h"

enum { PIN_BYTES = 256 };

static void mark_of(const struct stat *st, struct kms_pin_mark *mark)
{
    snprintf(mark->text, sizeof mark->text, "%llu:%llu:%lld:%lld%09ld", (unsigned long long)st->st_dev,
             (unsigned long long)st->st_ino, (long long)st->st_size, (long long)st->st_mtim.tv_sec,
             st->st_mtim.tv_nsec);
}

static const char *objection(const struct stat *st)
{
    if (!S_ISREG(st->st_mode)) return "is not a regular file";
    if ((st->st_mode & 077) != 0) return "is open to group or others: chmod 0600";
    if (st->st_uid != geteuid() && st->st_uid != 0) return "belongs to another user";
    if (st->st_size == 0 || st->st_size > PIN_BYTES) return "is empty or too long for a PIN";
    return NULL;
}

static kms_err read_pin(const char *path, kms_secret *pin, size_t *ret_len, struct kms_pin_mark *ret_mark,
                        struct kms_why *why)
{
    struct stat st;
    KMS_OWN_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        kms_why_set(why, "the PIN file %s cannot be read: %s", path, strerror(errno));
        return KMS_FAIL(CONFIG_INVALID);
    }
    const char *wrong = objection(&st);
    if (wrong != NULL) {
        kms_why_set(why, "the PIN file %s %s", path, wrong);
        return KMS_FAIL(CONFIG_INVALID);
    }
    uint8_t *text = kms_secret_data(pin);
    ssize_t got = read(fd, text, PIN_BYTES);
    size_t len = 0;
    while (got > 0 && len < (size_t)got && text[len] != '\n' && text[len] != '\r' && text[len] != '\0') len++;
    if (len == 0) {
        kms_why_set(why, "the PIN file %s has no PIN in its first line", path);
        return KMS_FAIL(CONFIG_INVALID);
    }
    mark_of(&st, ret_mark);
    *ret_len = len;
    return KMS_OK;
}

/* A token with one try left is not risked: a person has to look. */
static kms_err check_tries(kms_token *token, struct kms_why *why)
{
    CK_TOKEN_INFO info;
    CK_RV rv = token->fn->C_GetTokenInfo(token->slot, &info);
    if (rv != CKR_OK) return kms_ckr_note(token, "C_GetTokenInfo", rv);
    if (info.flags & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY)) {
        kms_why_set(why,
                    "token '%s': the PIN is locked or has one try left; log in by hand to reset the count",
                    token->label);
        return KMS_FAIL(PIN_REFUSED);
    }
    return KMS_OK;
}

kms_err kms_login(kms_token *token, const char *pin_path, const struct kms_pin_mark *refused,
                  struct kms_pin_mark *ret_refused, struct kms_why *why)
{
    KMS_OWN(kms_secret) pin = NULL;
    struct kms_pin_mark mark;
    size_t len;
    KMS_TRY(kms_secret_new(PIN_BYTES, &pin));
    KMS_TRY(read_pin(pin_path, pin, &len, &mark, why));
    if (strcmp(mark.text, refused->text) == 0) {
        kms_why_set(why, "the PIN in %s was refused before and is not tried again until that file changes",
                    pin_path);
        return KMS_FAIL(PIN_REFUSED);
    }
    KMS_TRY(check_tries(token, why));
    CK_RV rv = token->fn->C_Login(token->pinned, CKU_USER, kms_secret_data(pin), len);
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) return KMS_OK;
    kms_err err = kms_ckr_note(token, "C_Login", rv);
    kms_why_set(why, "token '%s' did not accept the PIN in %s: %s", token->label, pin_path, token->trouble);
    if (kms_is(err, KMS_E_PIN_REFUSED)) *ret_refused = mark;
    return err;
}
