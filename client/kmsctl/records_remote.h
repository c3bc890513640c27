/* Records of the audit log of a kmsd, asked of itself, in a stream of pages (AuditService). Not
 * thread-safe. */
#ifndef KMS_CLIENT_KMSCTL_RECORDS_REMOTE_H
#define KMS_CLIENT_KMSCTL_RECORDS_REMOTE_H

#include "client/kmsctl/ctl.h"
#include "kmsd/audit/query.h"

struct ctl_remote;

/* filter is borrowed. NULL: ctl->error says why. */
struct ctl_remote *ctl_remote_open(struct ctl *ctl, const struct kms_audit_filter *filter);
/* Begin again, with the last so many records of the log, whether they match or not; 0: with the first. */
void ctl_remote_restart(struct ctl_remote *remote, uint64_t last);
/* As ctl_records_next. With --follow, once the end of the log has been met, it is told at once what comes,
 * and waits a little for that. */
bool ctl_remote_next(struct ctl_remote *remote, struct kms_bytes *ret_line, bool *ret_more);
/* The log had no more records than it was begun with. */
bool ctl_remote_all(const struct ctl_remote *remote);
uint64_t ctl_remote_damaged(const struct ctl_remote *remote); /* lines that are no records, so far */
void ctl_remote_close(struct ctl_remote *remote);

#endif
