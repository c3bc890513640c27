/* Secrets for the tests of secrets. */
#ifndef KMS_TESTS_SECRETS_WORLD_H
#define KMS_TESTS_SECRETS_WORLD_H

#include "kmsd/secrets/entry.h"

struct kms_arn_prefix secret_prefix(void); /* "arn:aws:secretsmanager:us-east-1:000000000000:" */
/* A secret with so many versions, each with a value of 40 bytes, made at 1000, 1001 ... us; its id is the
 * number of the version in 32 digits. The caller owns a reference. */
struct kms_secret_entry *secret_of(const char *name, size_t versions);

#endif
