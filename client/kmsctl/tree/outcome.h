/* What became of a tree: counts, and a list of everything that a person has to see. Not thread-safe. */
#ifndef KMS_CLIENT_KMSCTL_TREE_OUTCOME_H
#define KMS_CLIENT_KMSCTL_TREE_OUTCOME_H

#include <jansson.h>
#include <kms/error.h>

#include "client/kmsctl/tree/values.h"

/* Why a file or folder was not looked into. */
enum ctl_skip {
    CTL_SKIP_LINK,
    CTL_SKIP_SPECIAL,
    CTL_SKIP_REPOSITORY,
    CTL_SKIP_BINARY,
    CTL_SKIP_LARGE,
    CTL_SKIP_COUNT
};

typedef struct ctl_outcome {
    size_t files, changed_files;               /* looked into; written */
    size_t values, selected, re_encrypted;     /* found; to be re-encrypted; done */
    size_t skipped[CTL_SKIP_COUNT], leftovers; /* leftovers: temporary files that were removed */
    json_t *changes, *failures, *others;       /* lists of rows */
    struct kms_error first;                    /* of the failures */
    struct kms_error stop;                     /* code not 0: why the rest was not tried */
} ctl_outcome;

KMS_MUST_USE kms_err ctl_outcome_init(ctl_outcome *outcome); /* NO_MEMORY */
void ctl_outcome_free(ctl_outcome *outcome);                 /* the struct itself is the caller's */
#define KMS_OWN_OUTCOME __attribute__((cleanup(ctl_outcome_free))) ctl_outcome

/* A change of one value: done, or with a dry run what would be done. version 0: the current one. */
void ctl_outcome_change(ctl_outcome *outcome, const char *path, const struct ctl_value *value,
                        const char *to_key, uint32_t to_version);
/* value NULL: it is the file that failed. */
void ctl_outcome_fail(ctl_outcome *outcome, const char *path, const struct ctl_value *value,
                      const struct kms_error *error);
/* The same for errors of our own. */
void ctl_outcome_fail_local(ctl_outcome *outcome, const char *path, const struct ctl_value *value,
                            kms_err err, const char *words);
/* Ciphertext that is no value; line 0: somewhere in the file. No failure, but somebody should know. */
void ctl_outcome_other(ctl_outcome *outcome, const char *path, unsigned line, const char *why);

/* For ctl_print; a new reference, NULL: no memory. with_changes: list them one by one. */
json_t *ctl_outcome_describe(const ctl_outcome *outcome, bool dry_run, bool with_changes);

#endif
