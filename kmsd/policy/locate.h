/* Where in a document's text something stands, for the words of its refusal. Thread-safe: values only. */
#ifndef KMS_POLICY_LOCATE_H
#define KMS_POLICY_LOCATE_H

#include "base/bytes.h"

enum { KMS_PATH_STEPS = 8 };

/* From the document down: members of objects by their names, items of arrays by their places. */
struct kms_path {
    size_t depth;
    struct kms_step {
        const char *member; /* borrowed; NULL: an item */
        size_t index;
    } steps[KMS_PATH_STEPS];
};

struct kms_place {
    size_t line, column; /* from 1; columns in characters */
};

/* The place of a member's name, or of an item's first character; where the path goes further than the
 * document, as when a single value stands for a list, of what holds it. json must be well-formed. */
struct kms_place kms_locate(struct kms_bytes json, const struct kms_path *path);
/* The place of a byte. */
struct kms_place kms_place_of(struct kms_bytes text, size_t at);

#endif
