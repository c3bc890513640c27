/* What gathers share: naming keys and contexts as accesses of the call. */
#ifndef KMS_SERVICE_ACCESS_H
#define KMS_SERVICE_ACCESS_H

#include "kmsd/service/call.h"

/* Adds an access to a key named in the request. The key may not exist: then access->key stays NULL, which
 * policy denies. Fails for malformed names only. */
KMS_MUST_USE kms_err kms_access_named(struct kms_call *call, enum kms_action action, const char *named,
                                      struct kms_access **ret_access);
struct kms_key_name;
/* An alias becomes the id that it stands for now. False: there is no such alias. */
bool kms_name_resolve(const struct kms_call *call, struct kms_key_name *name);

/* Adds an access to the key of an id that a ciphertext or a row names. */
KMS_MUST_USE kms_err kms_access_id(struct kms_call *call, enum kms_action action, const struct kms_id *id,
                                   struct kms_access **ret_access);
/* Adds an access to a stored secret named in the request, which may not exist, as above. */
KMS_MUST_USE kms_err kms_access_secret(struct kms_call *call, enum kms_action action, const char *named,
                                       struct kms_access **ret_access);
/* The same of a database role. */
KMS_MUST_USE kms_err kms_access_role(struct kms_call *call, enum kms_action action, const char *named,
                                     struct kms_access **ret_access);
/* Adds an access that the service policy answers. */
KMS_MUST_USE kms_err kms_access_service(struct kms_call *call, enum kms_action action);
/* Adds an access that nobody needs a permission for: what it looks at is the caller's own. */
KMS_MUST_USE kms_err kms_access_own(struct kms_call *call, enum kms_action action);

/* What is not there must not look like an empty text. */
static inline struct kms_bytes kms_present(const char *text)
{
    return text[0] != '\0' ? kms_bytes_text(text) : (struct kms_bytes){0};
}

/* Inputs of conditions that only this operation has, for the caller to fill; those that are there stay.
 * NULL: no memory. */
struct kms_operation_inputs *kms_access_inputs(struct kms_call *call, struct kms_access *access);

/* The encryption context of an access from a map<string, string> field: entries as protobuf-c decoded them.
 */
KMS_MUST_USE kms_err kms_access_context(struct kms_call *call, struct kms_access *access, size_t count,
                                        void *entries);
/* The same from pairs; sorts them. */
struct kms_context_pair;
KMS_MUST_USE kms_err kms_access_pairs(struct kms_call *call, struct kms_access *access,
                                      struct kms_context_pair *pairs, size_t count);

#endif
