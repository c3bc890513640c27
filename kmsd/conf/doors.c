/* What must hold of listeners, and of what is spoken there, beyond the range of each option. */
#include <string.h>

#include "kmsd/conf/conf.h"

static kms_err check_sops_keys(const struct kmsd_conf *conf, const char *path, struct kms_why *why)
{
    for (size_t i = 0; i < conf->sops_keys_count; i++) {
        for (size_t k = 0; k < i; k++) {
            const struct kmsd_conf_sops_key *a = &conf->sops_keys[i], *b = &conf->sops_keys[k];
            if (a->type != b->type || strcmp(a->name, b->name) != 0) continue;
            kms_why_set(why, "%s: option 'sops.keys[%zu].name': there twice", path, i);
            return KMS_FAIL(CONFIG_INVALID);
        }
    }
    return KMS_OK;
}

kms_err kmsd_conf_check_doors(const struct kmsd_conf *conf, const char *path, struct kms_why *why)
{
    return check_sops_keys(conf, path, why);
}
