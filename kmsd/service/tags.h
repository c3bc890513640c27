/* Tags and descriptions, for CreateKey too. */
#ifndef KMS_SERVICE_TAGS_H
#define KMS_SERVICE_TAGS_H

#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/core.h"

/* INVALID_ARGUMENT says which tag; LIMIT_EXCEEDED: more than KMS_TAGS_MAX. The key is the caller's copy. */
KMS_MUST_USE kms_err kms_tags_set(struct kms_call *call, struct kms_key *key, Kms__V1__Tag *const *tags,
                                  size_t count);
/* Puts them to policy: aws:RequestTag/..., aws:TagKeys. */
KMS_MUST_USE kms_err kms_tags_gather(struct kms_call *call, struct kms_access *access,
                                     Kms__V1__Tag *const *tags, size_t count);
KMS_MUST_USE kms_err kms_untag_gather(struct kms_call *call, struct kms_access *access, char *const *tag_keys,
                                      size_t count);
/* INVALID_ARGUMENT. */
KMS_MUST_USE kms_err kms_tag_check(struct kms_call *call, const Kms__V1__Tag *tag);
KMS_MUST_USE kms_err kms_description_check(struct kms_call *call, const char *description);

#endif
