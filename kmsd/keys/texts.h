/*
 * Texts that many have, such as names of principals, each kept once and counted. Not thread-safe.
 */
#ifndef KMS_KEYS_TEXTS_H
#define KMS_KEYS_TEXTS_H

#include <stddef.h>

/* Zero at first; empty again when all that was taken is given back. */
struct kms_texts {
    struct kms_text *all;
};

/* The one text that is equal, until it is given back as often as it was taken. NULL: no memory. */
const char *kms_texts_take(struct kms_texts *texts, const char *text);
void kms_texts_give(struct kms_texts *texts, const char *taken);
size_t kms_texts_count(const struct kms_texts *texts); /* different ones */

#endif
