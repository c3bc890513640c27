/* What kms-env tells its user: on standard error, each line with the program's name. */
#ifndef KMS_CLIENT_KMS_ENV_SAY_H
#define KMS_CLIENT_KMS_ENV_SAY_H

#include "base/bytes.h"

__attribute__((format(printf, 1, 2))) void kms_env_say(const char *format, ...);
void kms_env_say_lines(const kms_buf *lines); /* each ends with '\n' */
/* The words of why, or those of the error when there are none. */
void kms_env_say_error(kms_err err, const struct kms_why *why);
/* Standard output was written completely; says so when not. */
bool kms_env_output_done(void);

#endif
