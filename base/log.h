/*
 * Operational log: one line of key=value on standard error, for the journal. In kmsd only main, boot, rpc and
 * service log; everything below returns its error instead. There is no way to log a kms_secret. Thread-safe.
 *
 *     kms_log(KMS_LOG_ERROR, "keystore.open", "path=%s err=%s", path, kms_err_reason(err));
 */
#ifndef KMS_BASE_LOG_H
#define KMS_BASE_LOG_H

enum kms_log_level { KMS_LOG_ERROR, KMS_LOG_WARN, KMS_LOG_INFO, KMS_LOG_DEBUG };

void kms_log_level_set(enum kms_log_level most); /* lines above it are dropped; INFO to begin with */
void kms_log(enum kms_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
