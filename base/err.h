/*
 * kms_err: what every fallible function of this project returns.
 *
 * A one-member struct, not an int: PKCS#11, SQLite, OpenSSL and gRPC disagree on what 0 and 1 mean, and an
 * int would let them mix without a warning. Thread-safe: values only.
 */
#ifndef KMS_BASE_ERR_H
#define KMS_BASE_ERR_H

#include <stdbool.h>

enum kms_code {
#define KMS_ERR(name, grpc, text) KMS_E_##name,
#include "base/err.def"
#undef KMS_ERR
    KMS_E_COUNT
};

typedef struct {
    enum kms_code code;
} kms_err;

#define KMS_OK       ((kms_err){KMS_E_OK})
#define KMS_FAIL(n)  ((kms_err){KMS_E_##n})
#define KMS_MUST_USE __attribute__((warn_unused_result))

static inline bool kms_failed(kms_err e)
{
    return e.code != KMS_E_OK;
}
static inline bool kms_is(kms_err e, enum kms_code code)
{
    return e.code == code;
}
static inline void kms_ignore(kms_err e)
{
    (void)e;
} /* say why, beside each use */

/* Leave this function when expr failed; owned locals clean themselves (own.h). */
#define KMS_TRY(expr)                                                                                        \
    do {                                                                                                     \
        kms_err try_err_ = (expr);                                                                           \
        if (kms_failed(try_err_)) return try_err_;                                                           \
    } while (0)

const char *kms_err_reason(kms_err e); /* "ACCESS_DENIED": stable, static */
const char *kms_err_text(kms_err e);   /* one sentence, static, safe to show a client */
int kms_err_grpc_status(kms_err e);    /* a grpc_status_code */

/*
 * The words that go with an error: what was wrong, where, what to do. Never a secret. A function that takes a
 * `struct kms_why *` fills it when it fails; NULL is allowed. Text is cut, never overrun.
 */
enum { KMS_WHY_BYTES = 400 };
struct kms_why {
    char text[KMS_WHY_BYTES];
};
__attribute__((format(printf, 2, 3))) void kms_why_set(struct kms_why *why, const char *format, ...);

#endif
