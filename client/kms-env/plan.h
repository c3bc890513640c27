/* The inside of a plan, shared by plan.c, which makes it, and resolve.c, which fills it. Private to the two.
 */
#ifndef KMS_CLIENT_KMS_ENV_PLAN_H
#define KMS_CLIENT_KMS_ENV_PLAN_H

#include "client/kms-env/resolve.h"

struct kms_env_plan {
    const struct kms_env_options *options;
    char *const *inherited;
    struct kms_env_variable *variables;
    size_t count, cap;
    kms_env_fetches *fetches; /* made by resolve */
    char **environment;       /* built last */
};

#endif
