/*
 * What another policy would have decided otherwise, in groups: by principal, action, both decisions and the
 * statements that made them. Memory is bounded however long the log is: what is in none of the first groups
 * is counted, not told apart. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMSCTL_POLICY_CHANGES_H
#define KMS_CLIENT_KMSCTL_POLICY_CHANGES_H

#include <jansson.h>

#include "kmsd/policy/replay.h"

enum { CTL_CHANGE_GROUPS = 4096 };

struct ctl_changes {
    json_t *groups; /* key of a group -> its row; owned */
    uint64_t records, decisions, changed, shortened, ungrouped;
    uint64_t otherwise; /* the same answer, but by another statement, or by none */
};

KMS_MUST_USE kms_err ctl_changes_begin(struct ctl_changes *changes);
/* Counts one decision of a record: what was recorded, and what would be decided now. A call that a grant
 * allowed is still allowed unless a Deny applies. NO_MEMORY. */
KMS_MUST_USE kms_err ctl_changes_add(struct ctl_changes *changes, const struct kms_replay *replay,
                                     const struct kms_replayed *past, const struct kms_decision *now);
/* An object with the counts and a list of groups, the largest first. Takes the groups; NULL: memory ran out.
 */
json_t *ctl_changes_end(struct ctl_changes *changes);

#endif
