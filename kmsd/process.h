/* What kmsd does to itself before it listens: no core dumps, not dumpable, no new privileges, another
 * user. */
#ifndef KMS_KMSD_PROCESS_H
#define KMS_KMSD_PROCESS_H

#include "base/err.h"

/* Core dumps off, not readable by debuggers of the same user, no privileges by exec, umask 0077. */
KMS_MUST_USE kms_err kms_process_harden(struct kms_why *why);
/* Becomes user for good, groups included; "" stays. Only root can: CONFIG_INVALID otherwise. */
KMS_MUST_USE kms_err kms_process_become(const char *user, struct kms_why *why);

#endif
