/* Readers of files: each finds the values of its format. Thread-safe: no state. */
#ifndef KMS_CLIENT_KMSCTL_TREE_FIND_H
#define KMS_CLIENT_KMSCTL_TREE_FIND_H

#include "client/kmsctl/tree/values.h"

enum ctl_format { CTL_FORMAT_UNKNOWN, CTL_FORMAT_ENV, CTL_FORMAT_JSON, CTL_FORMAT_YAML };

/* By its name: .env, .env.*, *.env; *.json; *.yaml, *.yml. */
enum ctl_format ctl_format_of(const char *path);

/* Adds the values of values->text. INVALID_ARGUMENT: not of that format, why has the line; LIMIT_EXCEEDED,
 * NO_MEMORY. dialect: for env files. */
KMS_MUST_USE kms_err ctl_find(enum ctl_format format, enum kms_dotenv_dialect dialect, ctl_values *values,
                              struct kms_why *why);

/* One for each. */
KMS_MUST_USE kms_err ctl_find_env(enum kms_dotenv_dialect dialect, ctl_values *values, struct kms_why *why);
KMS_MUST_USE kms_err ctl_find_json(ctl_values *values, struct kms_why *why);
KMS_MUST_USE kms_err ctl_find_yaml(ctl_values *values, struct kms_why *why);

#endif
