/* Which version of each key encrypts now: asked for once. Not thread-safe. */
#ifndef KMS_CLIENT_KMSCTL_TREE_VERSIONS_H
#define KMS_CLIENT_KMSCTL_TREE_VERSIONS_H

#include "base/id.h"
#include "client/kmsctl/ctl.h"

struct ctl_version {
    struct kms_id key;
    uint32_t current;
    struct kms_error error; /* code not 0: the answer, for this key */
};

typedef struct ctl_versions {
    struct ctl_version *items;
    size_t count, cap;
} ctl_versions;

/* By any name of the key. NULL: *error says why. Borrowed until the next call. */
const struct ctl_version *ctl_version_named(ctl_versions *versions, kms_client *client, const char *name,
                                            struct kms_error *error);
/* By its id; a failure is remembered too. */
const struct ctl_version *ctl_version_of(ctl_versions *versions, kms_client *client, const struct kms_id *key,
                                         struct kms_error *error);
void ctl_versions_free(ctl_versions *versions); /* the struct itself is the caller's */

#endif
