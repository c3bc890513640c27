/* Counting what each generation of root keys wraps. */
#include "kmsd/service/root_use.h"

#include <string.h>

#include "kmsd/keys/record.h"

static void add(struct kms_root_use *use, uint32_t root_id, uint64_t versions)
{
    size_t at = 0;
    while (at < use->count && use->of[at].root_id < root_id) at++;
    if (at == use->count || use->of[at].root_id != root_id) {
        if (use->count == KMS_ROOT_USES) return; /* still counted in the sums */
        memmove(&use->of[at + 1], &use->of[at], (use->count - at) * sizeof use->of[0]);
        use->count++;
        use->of[at].root_id = root_id;
        use->of[at].versions = 0;
    }
    use->of[at].versions += versions;
}

static void count_key(void *user, const struct kms_key *key)
{
    struct kms_root_use *use = user;
    for (uint32_t i = 0; i < key->version_count; i++) {
        const struct kms_key_version *version = &key->versions[i];
        if (version->wrapped.len == 0) continue;
        use->versions++;
        if (version->root_id != use->hsm.root_id) use->old++;
        add(use, version->root_id, 1);
    }
}

static kms_err root_of_store_key(const struct kms_core *core, uint32_t *ret_root_id, struct kms_why *why)
{
    KMS_OWN_BUF sealed = {0};
    KMS_TRY(kms_keystore_sealed_key(core->store, &sealed, why));
    *ret_root_id = kms_hsm_root_of_store_key(kms_buf_view(&sealed));
    return KMS_OK;
}

kms_err kms_root_use_count(const struct kms_core *core, struct kms_root_use *ret_use, struct kms_why *why)
{
    *ret_use = (struct kms_root_use){.versions = 0};
    kms_hsm_status(core->hsm, &ret_use->hsm);
    for (unsigned i = 0; i < ret_use->hsm.root_count; i++) add(ret_use, ret_use->hsm.roots[i], 0);
    KMS_TRY(root_of_store_key(core, &ret_use->store_key, why));
    for (size_t cursor = 0; kms_keyring_some(core->keys, &cursor, count_key, ret_use);) continue;
    return KMS_OK;
}

bool kms_root_use_settled(const struct kms_root_use *use)
{
    return use->old == 0 && use->store_key == use->hsm.root_id;
}

struct search {
    uint32_t root_id;
    uint64_t found;
    struct kms_why *why;
};

static kms_err count_row(void *user, const struct kms_row *row)
{
    struct search *s = user;
    KMS_OWN_BUF wrapped = {0};
    KMS_TRY(kms_version_wrapped(row, &wrapped, s->why));
    s->found += kms_hsm_root_of(kms_buf_view(&wrapped)) == s->root_id;
    return KMS_OK;
}

kms_err kms_root_references(const struct kms_core *core, uint32_t root_id, uint64_t *ret_count,
                            struct kms_why *why)
{
    struct search s = {.root_id = root_id, .why = why};
    uint32_t store_key;
    KMS_TRY(root_of_store_key(core, &store_key, why));
    s.found += store_key == root_id;
    KMS_TRY(kms_keystore_scan(core->store, KMS_TABLE_KEY_VERSION, "", count_row, &s, why));
    *ret_count = s.found;
    return KMS_OK;
}
