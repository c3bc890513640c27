/* GetRandomPassword: as AWS Secrets Manager chooses characters (kmsd/rotators/random.h). */
#include "base/secret.h"
#include "kms/v1/secrets.pb-c.h"
#include "kmsd/rotators/random.h"
#include "kmsd/service/access.h"
#include "kmsd/service/core.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

static struct kms_password_rules rules_of(const Kms__V1__GetRandomPasswordRequest *request)
{
    return (struct kms_password_rules){
        .length = request->password_length != 0 ? request->password_length : KMS_PASSWORD_LENGTH_DEFAULT,
        .exclude_characters = kms_bytes_text(request->exclude_characters),
        .exclude_numbers = request->exclude_numbers,
        .exclude_punctuation = request->exclude_punctuation,
        .exclude_uppercase = request->exclude_uppercase,
        .exclude_lowercase = request->exclude_lowercase,
        .include_space = request->include_space,
        .require_each_included_type = !request->do_not_require_each_included_type,
    };
}

kms_err kms_get_random_password_gather(struct kms_call *call)
{
    const Kms__V1__GetRandomPasswordRequest *request = (const void *)call->request;
    const struct kms_password_rules rules = rules_of(request);
    KMS_TRY(kms_access_service(call, KMS_ACT_GET_RANDOM_PASSWORD));
    return kms_password_check(&rules, &call->why);
}

kms_err kms_get_random_password_act(struct kms_call *call)
{
    const Kms__V1__GetRandomPasswordRequest *request = (const void *)call->request;
    Kms__V1__GetRandomPasswordResponse *reply = kms_new_reply(call);
    const struct kms_password_rules rules = rules_of(request);
    KMS_OWN(kms_secret) password = NULL;
    char *text = kms_call_alloc(call, rules.length + 1); /* zeroed: with its NUL */
    if (reply == NULL || text == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_password_new(&rules, &password, &call->why));
    kms_copy(text, kms_secret_data(password), kms_secret_len(password));
    reply->random_password = text;
    return KMS_OK;
}
