/*
 * The contexts of a user: which kmsd to call and as whom, by name, in a YAML file (contexts.def). The file is
 * $KMSCTL_CONFIG, else ~/.config/kmsctl.yaml; kmsctl and kms-env share it. Thread-safe but for use, which
 * writes the file.
 */
#ifndef KMS_CLIENT_CONTEXTS_H
#define KMS_CLIENT_CONTEXTS_H

#include <kms/client.h>

#include "base/bytes.h"

#define KMS_CONF_DEF "client/lib/contexts.def"
#include "base/conf_struct.def"

/* Reads the file at path, or at the usual place when path is NULL; no file there is no contexts.
 * CONFIG_INVALID: why has file and line; IO. The caller frees *ret_contexts. */
KMS_MUST_USE kms_err kmsctl_contexts_load(const char *path, struct kmsctl_contexts *ret_contexts,
                                          struct kms_why *why);
void kmsctl_contexts_free(struct kmsctl_contexts *contexts); /* zeroed is fine */

/* The context of that name, borrowed; name NULL: the current one, or NULL when none is. NOT_FOUND: why names
 * those that there are. */
KMS_MUST_USE kms_err kmsctl_contexts_find(const struct kmsctl_contexts *contexts, const char *name,
                                          const struct kmsctl_context **ret_context, struct kms_why *why);

/* Gives options what they leave open and the context has; both borrow from it. context may be NULL. */
void kmsctl_context_fill(const struct kmsctl_context *context, struct kms_client_options *options);

/* Makes name the current context: rewrites that one line of the file, all or nothing. NOT_FOUND, IO,
 * CONFIG_INVALID. */
KMS_MUST_USE kms_err kmsctl_contexts_use(const char *path, const char *name, struct kms_why *why);

#endif
