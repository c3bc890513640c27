/* The fields of a cron expression. Private to kmsd/secrets/schedule.c. Thread-safe: values only. */
#ifndef KMS_SECRETS_CRON_H
#define KMS_SECRETS_CRON_H

#include "kmsd/secrets/schedule.h"

/* What stands between the parentheses: six fields. INVALID_ARGUMENT with the field in why. */
KMS_MUST_USE kms_err kms_cron_parse(struct kms_bytes text, struct kms_schedule *schedule,
                                    struct kms_why *why);
/* Decimal digits and nothing else, up to 9 of them. */
bool kms_cron_number(struct kms_bytes text, uint32_t *ret_number);

#endif
