/*
 * Runs the programs that rotators declare. A minimal process, the runner, is forked before kmsd has
 * threads, a secret, or has read a byte from the network, for the same reasons as the one that starts
 * kms-hsm (hsm/spawner.h): forking a daemon full of threads is unsafe, and only it stays root when kmsd
 * becomes another user. What it can run is fixed when it is forked, so that a kmsd that was taken over
 * cannot have anything else started. It ends with kmsd and takes every program along. Thread-safe after the
 * start.
 *
 * A program runs as its own user in a session of its own, in /, with PATH and LANG alone as environment,
 * with no descriptor but standard input, output and error, no new privileges, no core dump, and few files
 * and processes. When it ends, or is given up, its whole process group is killed.
 */
#ifndef KMS_ROTATORS_RUNNER_H
#define KMS_ROTATORS_RUNNER_H

#include "base/secret.h"
#include "kmsd/conf/conf.h"

enum {
    KMS_RUNNER_PROGRAMS_MAX = 64,       /* declared, and running at once */
    KMS_RUNNER_OUTPUT_MAX = 192 * 1024, /* bytes that a program may print */
    KMS_RUNNER_ERRORS_MAX = 4096,       /* bytes of its standard error that are kept */
};

typedef struct kms_runner kms_runner;

/* Checks the programs of the configuration and forks. NULL in *ret_runner: there is none to run. Call it
 * while the process has one thread and is still the user it was started as. CONFIG_INVALID: a program is
 * missing or others can write it, a user is unknown or not to be had; NO_MEMORY. */
KMS_MUST_USE kms_err kms_runner_start(const struct kmsd_conf *conf, kms_runner **ret_runner,
                                      struct kms_why *why);
void kms_runner_stop(kms_runner *runner); /* kills what runs; NULL is a no-op */
/* kmsd is about to stop and does not wait for programs: what runs is killed, and whoever waits for it, or
 * runs one from now on, hears SHUTTING_DOWN. NULL is a no-op. */
void kms_runner_end(kms_runner *runner);

struct kms_runner_result {
    kms_secret *output; /* the caller's; KMS_RUNNER_OUTPUT_MAX bytes of room */
    size_t output_len;
    char errors[KMS_RUNNER_ERRORS_MAX];
    size_t errors_len;
    bool errors_cut; /* there was more */
};

/* Runs the program of rotators[item] with input, and waits for its end. result is filled also on failure,
 * as far as it came; free output. ROTATOR_TIMEOUT; ROTATOR_FAILED: it did not start, or ended with another
 * status than 0, or by a signal; ROTATOR_ANSWER: it printed more than KMS_RUNNER_OUTPUT_MAX; SHUTTING_DOWN;
 * NO_MEMORY. why says which, without the rotator's name. */
KMS_MUST_USE kms_err kms_runner_run(kms_runner *runner, size_t item, uint32_t timeout_ms,
                                    struct kms_bytes input, struct kms_runner_result *result,
                                    struct kms_why *why);

#endif
