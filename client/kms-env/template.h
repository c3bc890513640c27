/*
 * A text with references in it: {{ kms-secret://NAME#field }} stands for the value, everything else for
 * itself, byte for byte, other {{ ... }} too. {{{{ in front of such a reference stands for {{ and takes its
 * meaning away. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMS_ENV_TEMPLATE_H
#define KMS_CLIENT_KMS_ENV_TEMPLATE_H

#include "client/kms-env/dotenv.h"
#include "client/kms-env/resolve.h"

typedef struct kms_env_template kms_env_template;

/* text is borrowed and must live as long as the template. INVALID_ARGUMENT: why has the line and what is
 * wrong; NO_MEMORY. */
KMS_MUST_USE kms_err kms_env_template_parse(struct kms_bytes text, kms_env_template **ret_template,
                                            struct kms_why *why);
void kms_env_template_free(kms_env_template *template); /* wipes; NULL is a no-op */
void kms_env_template_drop(kms_env_template **template);

/* Fetches everything, each version once. notes has a line for each reference whose value could not be had;
 * the first of their errors is returned. */
KMS_MUST_USE kms_err kms_env_template_resolve(kms_env_template *template, struct kms_env_fetcher fetcher,
                                              kms_buf *notes, struct kms_why *why);
/* After it was resolved. Errors: the sink's. */
KMS_MUST_USE kms_err kms_env_template_write(const kms_env_template *template, struct kms_dotenv_sink sink);

#endif
