/* The two pairs, and where the application comes from. */
#include "client/kms-env/bind.h"

#include <stdlib.h>

struct kms_context kms_env_bind(struct kms_env_pairs *pairs, const char *app, const char *name)
{
    pairs->entries[0] = (struct kms_context_entry){"kms-env:app", app};
    pairs->entries[1] = (struct kms_context_entry){"kms-env:name", name};
    return (struct kms_context){.entries = pairs->entries, .count = 2};
}

struct kms_bytes kms_env_app(const char *app, struct kms_bytes noted, const char *fallback)
{
    if (app != NULL) return kms_bytes_text(app);
    if (noted.len > 0) return noted;
    return kms_bytes_text(fallback);
}

const char *kms_env_fallback_app(void)
{
    const char *app = getenv("KMS_ENV_APP");
    return app != NULL && app[0] != '\0' ? app : KMS_ENV_DEFAULT_APP;
}
