/* What the files of `kms-env run` share. Private to them. */
#ifndef KMS_CLIENT_KMS_ENV_RUN_H
#define KMS_CLIENT_KMS_ENV_RUN_H

#include "client/kms-env/exec.h"
#include "client/kms-env/input.h"
#include "client/kms-env/service.h"

struct kms_env_run {
    struct kms_env_arguments arguments;
    struct kms_env_options options;
    bool dry_run;
    bool watch;
    uint32_t interval_ms, grace_ms; /* of watch */
    int change_signal;              /* 0: a restart */
    char **command;                 /* NULL-terminated, from argv */
};

/* The plan of a run. What it notes is said, unless quiet. Errors: those of kms_env_plan_new. */
KMS_MUST_USE kms_err kms_env_run_plan(const struct kms_env_run *run, const kms_env_inputs *inputs, bool quiet,
                                      kms_env_plan **ret_plan, struct kms_why *why);
/* Everything that may still fail, so that what follows is the start alone. *ret_environment is borrowed from
 * the plan. Errors: those of kms_env_plan_resolve and kms_env_check_size. */
KMS_MUST_USE kms_err kms_env_run_resolve(const struct kms_env_run *run, kms_env_plan *plan,
                                         kms_env_service *service, char *const **ret_environment,
                                         struct kms_why *why);

/* Prints the plan; the exit status. */
int kms_env_run_list(const struct kms_env_run *run, const kms_env_plan *plan);
/* Starts the program as a child, renews the leases of its database users, gives them back, and watches its
 * secrets with --watch; the exit status. The plan, which is not resolved, is taken over. */
int kms_env_run_child(const struct kms_env_run *run, const kms_env_inputs *inputs, kms_env_plan *plan,
                      const struct kms_env_shield *shield);

#endif
