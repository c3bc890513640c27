/*
 * The keystore stage: open, unseal by the HSM, load and verify every row, compare with what the audit log
 * says was there last, close the attempts that a crash left open.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/secret.h"
#include "kmsd/boot.h"
#include "kmsd/service/usage.h"

static kms_err unlock_store(struct kms_boot *boot, struct kms_why *why)
{
    enum { STORE_KEY_BYTES = 32 };
    KMS_OWN_BUF sealed = {0};
    KMS_OWN(kms_secret) key = NULL;
    KMS_TRY(kms_keystore_sealed_key(boot->core.store, &sealed, why));
    if (sealed.len == 0) {
        kms_why_set(why, "keystore %s has no store key: run kmsd init", boot->conf->keystore_path);
        return KMS_FAIL(ROOT_KEYS_MISSING);
    }
    KMS_TRY(kms_secret_new(STORE_KEY_BYTES, &key));
    struct kms_hsm_job job = {.op = KMS_HSM_OPEN_STORE_KEY,
                              .aad = kms_bytes_text(KMS_STORE_KEY_PURPOSE),
                              .input = kms_buf_view(&sealed),
                              .output = kms_secret_data(key),
                              .output_cap = STORE_KEY_BYTES};
    kms_err err = kms_hsm_call(boot->core.hsm, &job);
    if (kms_failed(err)) {
        kms_why_set(
            why, "the token cannot open the key of keystore %s: it belongs to other root keys, or is damaged",
            boot->conf->keystore_path);
        return err;
    }
    return kms_keystore_unlock(boot->core.store, kms_bytes_of(kms_secret_data(key), job.output_len));
}

/* How many of the attempts that a crash left without an outcome were stored. */
static kms_err count_committed(struct kms_boot *boot, uint64_t *ret_committed, struct kms_why *why)
{
    const struct kms_audit_open_attempt *attempts;
    size_t count = kms_audit_open_attempts(boot->core.audit, &attempts);
    *ret_committed = 0;
    for (size_t i = 0; i < count; i++) {
        bool committed;
        KMS_TRY(kms_keystore_committed(boot->core.store, &attempts[i].request_id, &committed, why));
        *ret_committed += committed;
    }
    return KMS_OK;
}

/* One record for each of them: what became of it. */
static kms_err close_attempts(struct kms_boot *boot, const struct kms_store_mark *mark, struct kms_why *why)
{
    const struct kms_audit_open_attempt *attempts;
    size_t count = kms_audit_open_attempts(boot->core.audit, &attempts);
    for (size_t i = 0; i < count; i++) {
        bool committed;
        KMS_TRY(kms_keystore_committed(boot->core.store, &attempts[i].request_id, &committed, why));
        const char *not = kms_method_streams(attempts[i].operation) ? "cut off" : "not committed";
        struct kms_audit_event event = {.kind = KMS_AUDIT_RECOVERY,
                                        .request_id = attempts[i].request_id,
                                        .operation = attempts[i].operation,
                                        .detail = committed ? "committed before the crash" : not,
                                        .has_mark = true,
                                        .store_revision = mark->revision,
                                        .started_us = kms_now_us()};
        kms_copy(event.store_digest, mark->digest, sizeof event.store_digest);
        KMS_TRY(kms_pipeline_record(boot->pipeline, &event));
    }
    return KMS_OK;
}

static kms_err accept_rollback(struct kms_boot *boot, const struct kms_store_mark *mark, const char *what)
{
    struct kms_audit_event event = {.kind = KMS_AUDIT_SERVICE,
                                    .operation = "rollback-accepted",
                                    .detail = what,
                                    .has_mark = true,
                                    .store_revision = mark->revision,
                                    .started_us = kms_now_us()};
    event.extra[event.extra_count++] =
        (struct kms_audit_pair){kms_bytes_text("reason"), kms_bytes_text(boot->accept_rollback)};
    kms_copy(event.store_digest, mark->digest, sizeof event.store_digest);
    return kms_pipeline_record(boot->pipeline, &event);
}

/* The last outcome in the audit log says where the keystore stood; only attempts that were open may have
 * moved it. */
static kms_err compare_with_log(struct kms_boot *boot, const struct kms_store_mark *mark,
                                uint64_t open_committed, struct kms_why *why)
{
    uint64_t logged = 0;
    uint8_t digest[KMS_DIGEST_BYTES] = {0};
    bool known = kms_audit_last_mark(boot->core.audit, &logged, digest);
    bool same = known && logged == mark->revision && kms_bytes_same(digest, mark->digest, sizeof digest);
    bool grown = mark->revision > logged && mark->revision - logged <= open_committed;
    if (same || grown || (!known && mark->revision == 0)) return KMS_OK;
    char what[200];
    snprintf(what, sizeof what, "the audit log ends at keystore revision %llu, the keystore is at %llu%s",
             (unsigned long long)logged, (unsigned long long)mark->revision,
             logged == mark->revision ? " with other rows" : "");
    if (boot->accept_rollback != NULL) return accept_rollback(boot, mark, what);
    kms_why_set(why,
                "%s: it was restored, exchanged or rolled back; if that was you, start once with "
                "--accept-rollback=REASON",
                what);
    return KMS_FAIL(ROLLBACK_DETECTED);
}

struct loading {
    struct kms_secret_loading secrets;
    struct kms_lease_loading leases;
};

static kms_err load_row(void *user, const struct kms_row *row)
{
    struct loading *loading = user;
    KMS_TRY(kms_secret_load_row(&loading->secrets, row));
    return kms_lease_load_row(&loading->leases, row);
}

static kms_err load(struct kms_boot *boot, struct kms_store_mark *ret_mark, struct kms_why *why)
{
    const struct kms_arn_prefix *prefix = &boot->core.secret_arn;
    struct loading loading = {{.book = boot->core.secrets, .prefix = prefix, .why = why},
                              {.book = boot->core.leases, .prefix = prefix, .why = why}};
    kms_err err = kms_keyring_load(boot->core.keys, boot->core.store, load_row, &loading, ret_mark, why);
    return kms_secret_load_end(&loading.secrets, err);
}

static kms_err check(struct kms_boot *boot, struct kms_why *why)
{
    struct kms_store_mark mark;
    uint64_t open_committed;
    KMS_TRY(unlock_store(boot, why));
    KMS_TRY(load(boot, &mark, why));
    KMS_TRY(count_committed(boot, &open_committed, why));
    KMS_TRY(compare_with_log(boot, &mark, open_committed, why));
    KMS_TRY(close_attempts(boot, &mark, why));
    return kms_usage_start(&boot->core, boot->conf->audit_dir, why);
}

kms_err kms_boot_store_start(struct kms_boot *boot, struct kms_why *why)
{
    KMS_TRY(kms_keystore_open_sqlite(boot->conf->keystore_path, false, &boot->core.store, why));
    kms_err err = check(boot, why);
    if (kms_failed(err)) kms_boot_store_stop(boot);
    return err;
}

void kms_boot_store_stop(struct kms_boot *boot)
{
    kms_keystore_close(boot->core.store);
    boot->core.store = NULL;
}
