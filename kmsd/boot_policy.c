/* The service policy: a file that kmsd cannot write, read at start and on SIGHUP. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmsd/boot.h"

/* Whoever can change this file can let himself make keys: it must not be the process that talks to the
 * network. */
static kms_err check_file(const char *path, struct kms_why *why)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        kms_why_set(why, "policy.service %s: %s", path, strerror(errno));
        return KMS_FAIL(CONFIG_INVALID);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
        (geteuid() == 0 || st.st_uid != geteuid() || (st.st_mode & S_IWUSR) == 0))
        return KMS_OK;
    kms_why_set(why,
                "policy.service %s can be written by kmsd or by others: chown root, chmod 0644 (or chmod "
                "0444 in a private setup)",
                path);
    return KMS_FAIL(CONFIG_INVALID);
}

kms_err kms_boot_service_policy(struct kms_boot *boot, struct kms_why *why)
{
    const char *path = boot->conf->policy_service;
    KMS_OWN_BUF text = {0};
    KMS_OWN(kms_policy) policy = NULL;
    char hex[2 * KMS_DIGEST_BYTES + 1];
    KMS_TRY(check_file(path, why));
    KMS_TRY(kms_read_file(path, KMS_POLICY_BYTES, &text, why));
    kms_err err = kms_policy_parse(KMS_POLICY_SERVICE, kms_buf_view(&text), &policy, why);
    if (kms_failed(err)) {
        struct kms_why cause = *why;
        kms_why_set(why, "policy.service %.200s: %s", path, cause.text);
        return err;
    }
    KMS_TRY(kms_sha256_hex(kms_buf_view(&text), hex));
    const struct kms_audit_pair pair = {kms_bytes_text("service_policy_sha256"), kms_bytes_text(hex)};
    KMS_TRY(kms_boot_note(boot, "service-policy", &pair, 1));
    kms_core_set_service_policy(&boot->core, KMS_GIVE(policy), hex);
    return KMS_OK;
}
