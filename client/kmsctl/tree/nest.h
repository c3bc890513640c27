/* What names a value inside maps and lists: the same for JSON and YAML. Not thread-safe. */
#ifndef KMS_CLIENT_KMSCTL_TREE_NEST_H
#define KMS_CLIENT_KMSCTL_TREE_NEST_H

#include "client/kmsctl/tree/values.h"

enum { CTL_NEST_DEPTH = 128 };

/*
 * A value is named by its member, NAME: value, or by the member that holds the list it stands in.
 * Environments have two more ways: {name: NAME, value: value} in one map, and a text "NAME=value".
 */
typedef struct ctl_nest {
    ctl_values *values; /* get what is found; borrowed */
    struct ctl_level {
        bool map, at_value; /* at_value: the key of the member was read */
        char *key;          /* of the member that is being read */
        char *name;         /* the text of the member "name", or NULL */
        size_t unnamed;     /* the value of the member "value", counted from 1; 0: none */
    } levels[CTL_NEST_DEPTH];
    size_t depth;
} ctl_nest;

/* Errors: LIMIT_EXCEEDED (too deep), NO_MEMORY. */
KMS_MUST_USE kms_err ctl_nest_open(ctl_nest *nest, bool map);
/* False: that is not what is open. */
bool ctl_nest_close(ctl_nest *nest, bool map);
/* A text, as a key or a value. source as in struct ctl_found. NO_MEMORY. */
KMS_MUST_USE kms_err ctl_nest_text(ctl_nest *nest, struct kms_bytes text, struct kms_bytes source);
/* Anything else that is a key or a value: a number, an alias. NO_MEMORY. */
KMS_MUST_USE kms_err ctl_nest_other(ctl_nest *nest);
void ctl_nest_free(ctl_nest *nest); /* the struct itself is the caller's */
#define KMS_OWN_NEST __attribute__((cleanup(ctl_nest_free))) ctl_nest

#endif
