/* Where an alias may point: rules that CreateKey and CreateAlias share. */
#ifndef KMS_SERVICE_ALIAS_H
#define KMS_SERVICE_ALIAS_H

#include "kmsd/service/core.h"

/* For a new alias: adds the access to the key that gets it (for the caller to complete) and, when a tombstone
 * remembers another key, one to that key as well. */
KMS_MUST_USE kms_err kms_alias_gather_new(struct kms_call *call, const char *name,
                                          struct kms_access **ret_access);
/* ALREADY_EXISTS, or APPROVAL_NEEDED when the name was another key's whose users are not all of the new
 * one's. On success *ret_alias is the alias to store, without key id. to: the key that gets it, NULL when it
 * does not exist yet. */
KMS_MUST_USE kms_err kms_alias_check_new(struct kms_call *call, const char *name, const kms_policy *users,
                                         const struct kms_key *to, struct kms_alias *ret_alias);

#endif
