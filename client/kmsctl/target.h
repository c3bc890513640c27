/*
 * Where a long output goes: standard output, or a file that gets its name when it is complete. Until then it
 * stands beside it as NAME.XXXXXX, mode 0600, and goes when the command fails. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMSCTL_TARGET_H
#define KMS_CLIENT_KMSCTL_TARGET_H

#include <stdint.h>

#include "client/kmsctl/ctl.h"

enum { CTL_TARGET_PATH_BYTES = 4096 };

struct ctl_target {
    const char *path;                  /* borrowed; NULL: standard output */
    bool replace;                      /* a file that exists */
    int fd;                            /* -1: none */
    char fresh[CTL_TARGET_PATH_BYTES]; /* "": written as it is (a device, a pipe) */
    uint64_t written;                  /* bytes */
};

/* Opens nothing yet; refuses what could not be named at the end. False: ctl->error says why. */
bool ctl_target_check(struct ctl *ctl, const char *path, bool replace, struct ctl_target *ret_target);
bool ctl_target_open(struct ctl *ctl, struct ctl_target *target);
bool ctl_target_write(struct ctl *ctl, struct ctl_target *target, struct kms_bytes data);
/* On disk, and under its name. */
bool ctl_target_keep(struct ctl *ctl, struct ctl_target *target);
/* Takes away what was not kept; any number of times. */
void ctl_target_drop(struct ctl_target *target);

#endif
