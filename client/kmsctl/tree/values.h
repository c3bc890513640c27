/*
 * The values of one file that are ciphertext in its text form: where each stands, what names it, which key
 * made it. The text is read in place and never changed. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMSCTL_TREE_VALUES_H
#define KMS_CLIENT_KMSCTL_TREE_VALUES_H

#include "base/ciphertext.h"
#include "client/kms-env/dotenv.h"

struct ctl_value {
    char *name; /* of the variable or member; "": nothing names it */
    size_t at;  /* where its text begins in the file, bytes */
    size_t len; /* what a new text replaces there, bytes */
    unsigned line;
    char *wrong; /* why it is no ciphertext, or cannot be replaced; NULL: the rest is set */
    kms_buf blob;
    struct kms_ciphertext_header header;
};

typedef struct ctl_values {
    struct kms_bytes text; /* of the file; borrowed */
    struct ctl_value *items;
    size_t count, cap;
    size_t counted; /* line is that of this place in the text */
    unsigned line;
    char app[KMS_DOTENV_APP_BYTES + 1]; /* that the file notes; "": none */
} ctl_values;

ctl_values ctl_values_of(struct kms_bytes text); /* empty */
void ctl_values_free(ctl_values *values);        /* the struct itself is the caller's */
#define KMS_OWN_VALUES __attribute__((cleanup(ctl_values_free))) ctl_values

/* A value as a reader of some format found it. */
struct ctl_found {
    struct kms_bytes name;
    struct kms_bytes value; /* decoded: begins with kms:v1: */
    struct kms_bytes
        source; /* as it is written, quotes included; in the text, behind what was added before */
};
KMS_MUST_USE kms_err ctl_values_add(ctl_values *values, const struct ctl_found *found); /* NO_MEMORY */

/*
 * The next place from *at on that holds a whole ciphertext and is none of the values: in a comment, say, or
 * inside a longer text. False: there is none. *at is set behind it; free what ret_value owns.
 */
bool ctl_values_next_other(ctl_values *values, size_t *at, struct ctl_value *ret_value);
void ctl_value_free(struct ctl_value *value);

#endif
