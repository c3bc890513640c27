/* Text that may hold a secret, as it grows: in locked memory. A failure is kept until the end. One owner
 * at a time. */
#ifndef KMS_CLIENT_KMSCTL_SEALED_TEXT_H
#define KMS_CLIENT_KMSCTL_SEALED_TEXT_H

#include "base/bytes.h"

/* Zero-initialised is empty. */
struct ctl_text {
    char *data;
    size_t len, cap; /* bytes */
    bool failed;     /* memory ran out: data is not all */
};

void ctl_text_put(struct ctl_text *text, const void *data, size_t len);
__attribute__((format(printf, 2, 3))) void ctl_text_print(struct ctl_text *text, const char *format, ...);
void ctl_text_free(struct ctl_text *text); /* wipes; the struct itself is the caller's */
#define CTL_OWN_TEXT __attribute__((cleanup(ctl_text_free))) struct ctl_text

/* Bytes in locked memory. Zero-initialised is empty. */
struct ctl_data {
    void *memory;
    size_t size;            /* of memory */
    struct kms_bytes bytes; /* in memory */
};
/* Room for size bytes, zeroed; bytes is empty. NO_MEMORY. */
KMS_MUST_USE kms_err ctl_data_new(size_t size, struct ctl_data *ret_data);
void ctl_data_free(struct ctl_data *data); /* wipes */
#define CTL_OWN_DATA __attribute__((cleanup(ctl_data_free))) struct ctl_data

#endif
