/* Between the two sides of the runner. Private to kmsd/rotators/runner*.c. */
#ifndef KMS_ROTATORS_RUNNER_CHILD_H
#define KMS_ROTATORS_RUNNER_CHILD_H

#include <sys/types.h>

#include "kmsd/rotators/runner.h"

struct kms_runner_program {
    char path[4096]; /* "": this rotator is of another type */
    bool become;     /* uid and gid are to be taken on */
    uid_t uid;
    gid_t gid;
};

/* A request is the position of the program (u32), with these descriptors. */
enum { KMS_RUN_INPUT, KMS_RUN_OUTPUT, KMS_RUN_ERRORS, KMS_RUN_LIFE, KMS_RUN_FDS };

/* What comes back on KMS_RUN_LIFE, once, two native int32. Closing it kills the program. */
enum kms_run_end { KMS_RUN_EXITED = 1, KMS_RUN_SIGNALLED, KMS_RUN_NOT_STARTED };
struct kms_run_message {
    int32_t end;   /* kms_run_end */
    int32_t value; /* status, signal, errno */
};

/* The file and every folder above it: nobody but root or the caller's user may write them. CONFIG_INVALID;
 * why names what is wrong. */
KMS_MUST_USE kms_err kms_program_check(const char *path, struct kms_why *why);

/* The runner's process: serves until control ends, then kills and reaps. */
void kms_runner_serve(int control, const struct kms_runner_program *programs, size_t count)
    __attribute__((noreturn));

#endif
