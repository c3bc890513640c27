/*
 * For whom a sealed value is. Its scope stands in annotations of the manifest and makes the label of RSAES-
 * OAEP:
 *
 * strict          NAMESPACE/NAME   one Secret namespace-wide  NAMESPACE        any Secret of a namespace
 * cluster-wide    nothing          any Secret
 *
 * Thread-safe: no state.
 */
#ifndef KMS_CLIENT_KMSCTL_SEALED_SCOPE_H
#define KMS_CLIENT_KMSCTL_SEALED_SCOPE_H

#include <jansson.h>

#include "base/bytes.h"

enum ctl_scope { CTL_SCOPE_STRICT, CTL_SCOPE_NAMESPACE, CTL_SCOPE_CLUSTER };

enum { CTL_LABEL_BYTES = 512 + 1 }; /* what DecryptRequest takes, and NUL */

enum ctl_scope ctl_scope_named(const char *name); /* "strict" and so on; NULL is strict */
const char *ctl_scope_name(enum ctl_scope scope);
/* What the annotations of a metadata say. */
enum ctl_scope ctl_scope_of(const json_t *metadata);
/* Makes them say it. NO_MEMORY. */
KMS_MUST_USE kms_err ctl_scope_note(json_t *metadata, enum ctl_scope scope);
/* Names may be NULL where the scope does without. INVALID_ARGUMENT: one is missing, or too long. */
KMS_MUST_USE kms_err ctl_scope_label(enum ctl_scope scope, const char *namespace, const char *name,
                                     char label[CTL_LABEL_BYTES], struct kms_why *why);

#endif
