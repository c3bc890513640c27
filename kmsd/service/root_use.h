/* Which generation of root keys wraps how much: what a rotation moves, and what keeps an old one alive. */
#ifndef KMS_SERVICE_ROOT_USE_H
#define KMS_SERVICE_ROOT_USE_H

#include "kmsd/service/core.h"

enum { KMS_ROOT_USES = 64 }; /* generations counted one by one; kmsd has KMS_HSM_ROOTS at once */

struct kms_root_use {
    struct kms_hsm_status hsm;
    uint32_t store_key; /* generation that seals the keystore's key */
    uint64_t versions;  /* key versions that have material */
    uint64_t old;       /* of them, under another generation than the newest */
    struct {
        uint32_t root_id;
        uint64_t versions;
    } of[KMS_ROOT_USES]; /* ascending: every generation on the token or named by a version */
    size_t count;
};
/* As the keyring knows it, in pieces: keys that come or go meanwhile may be counted wrong. Blocks. */
KMS_MUST_USE kms_err kms_root_use_count(const struct kms_core *core, struct kms_root_use *ret_use,
                                        struct kms_why *why);
/* The newest generation wraps everything that can be moved. */
bool kms_root_use_settled(const struct kms_root_use *use);

/* Everything in the keystore that generation root_id wraps: key versions, and the keystore's own key. Reads
 * every row. Blocks. */
KMS_MUST_USE kms_err kms_root_references(const struct kms_core *core, uint32_t root_id, uint64_t *ret_count,
                                         struct kms_why *why);

#endif
