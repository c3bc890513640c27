/* The files below what the user named. Not thread-safe. */
#ifndef KMS_CLIENT_KMSCTL_TREE_WALK_H
#define KMS_CLIENT_KMSCTL_TREE_WALK_H

#include <sys/stat.h>

#include "client/kmsctl/ctl.h"
#include "client/kmsctl/tree/outcome.h"

struct ctl_file {
    char *path;
    bool named; /* on the command line itself: its link is followed, and its name need not tell its format */
    dev_t device;
    ino_t inode;
};

typedef struct ctl_files {
    struct ctl_file *items; /* by path, each file once */
    size_t count, cap;
} ctl_files;

/*
 * All regular files, in order. Symbolic links below a named folder are not followed, folders of version
 * control not entered; those are counted in outcome, what cannot be read is a failure there. clean: removes
 * what a killed run left. NO_MEMORY.
 */
KMS_MUST_USE kms_err ctl_walk(const struct ctl_rest *paths, bool clean, ctl_files *files,
                              ctl_outcome *outcome);
void ctl_files_free(ctl_files *files); /* the struct itself is the caller's */
#define KMS_OWN_FILES __attribute__((cleanup(ctl_files_free))) ctl_files

#endif
