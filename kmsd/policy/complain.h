/* The words of a refused document: where, what, and what was probably meant. Thread-safe: values only. */
#ifndef KMS_POLICY_COMPLAIN_H
#define KMS_POLICY_COMPLAIN_H

#include "base/bytes.h"

/* Text of the document fit for one line of an error: cut, control and foreign characters as '?'. */
enum { KMS_SHOWN_BYTES = 100 };
struct kms_shown {
    char text[KMS_SHOWN_BYTES];
};
struct kms_shown kms_show(struct kms_bytes text);
struct kms_shown kms_show_short(struct kms_bytes text); /* at most 48 bytes: where two share a line */
/* Only printable ASCII and Latin-1 (as UTF-8)? */
bool kms_text_printable(struct kms_bytes text);

/* ", did you mean A or B?" for what is near `text` among names (at most two), else "". */
struct kms_shown kms_similar(struct kms_bytes text, const char *const *names, size_t count);
/* The same, but other words when nothing is near. */
struct kms_shown kms_similar_or(struct kms_bytes text, const char *const *names, size_t count,
                                const char *otherwise);

#endif
