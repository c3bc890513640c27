/*
 * What every value of kms-env is bound to: its application and its name, as the encryption context. Whoever
 * opens such a value, kms-env or another program, asks here. Thread-safe: no state.
 */
#ifndef KMS_CLIENT_KMS_ENV_BIND_H
#define KMS_CLIENT_KMS_ENV_BIND_H

#include <kms/types.h>

#include "base/bytes.h"

/* The application that values belong to when neither flag, file nor KMS_ENV_APP names one. */
#define KMS_ENV_DEFAULT_APP "default"

struct kms_env_pairs {
    struct kms_context_entry entries[2];
};
/* Borrows app and name; the result borrows pairs. */
struct kms_context kms_env_bind(struct kms_env_pairs *pairs, const char *app, const char *name);

/* The application of a file's values: app (a flag, or NULL) wins over what the file notes (kms_dotenv_header;
 * may be empty), which wins over fallback. The result is one of the three, borrowed. */
struct kms_bytes kms_env_app(const char *app, struct kms_bytes noted, const char *fallback);
/* The fallback: KMS_ENV_APP of the environment, else the default. Not validated. */
const char *kms_env_fallback_app(void);

#endif
