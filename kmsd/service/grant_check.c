/* Grants against policies. */
#include "kmsd/service/grant_check.h"

#include <stdio.h>

kms_err kms_grant_check_separation(struct kms_call *call, const struct kms_key *key,
                                   const struct kms_grant *grant)
{
    struct kms_bytes caller = kms_bytes_text(call->identity->principal);
    if ((grant->operations & kms_grant_usage_bits()) == 0) return KMS_OK;
    if (kms_bytes_equal(grant->grantee, caller))
        return kms_call_fail(
            call, KMS_FAIL(POLICY_NOT_SEPARATED),
            "principal \"%s\" would give itself use of the key; another must make this grant",
            call->identity->principal);
    return kms_policy_check_no_admin(key->policy, grant->grantee, &call->why);
}

struct against_policy {
    const kms_policy *policy;
    struct kms_why *why;
};

static kms_err check_grantee(void *user, const struct kms_granted *granted)
{
    const struct against_policy *against = user;
    const struct kms_grant *grant = &granted->grant;
    struct kms_why words = {""};
    if ((grant->operations & kms_grant_usage_bits()) == 0) return KMS_OK;
    kms_err err = kms_policy_check_no_admin(against->policy, grant->grantee, &words);
    if (!kms_failed(err)) return KMS_OK;
    char id[KMS_ID_TEXT];
    kms_id_text(&grant->id, id);
    kms_why_set(against->why, "%.300s; grant %s lets it use the key: revoke it first", words.text, id);
    return err;
}

kms_err kms_grants_check_policy(kms_grants *grants, const kms_policy *policy, struct kms_why *why)
{
    return kms_grants_each(grants, check_grantee, &(struct against_policy){policy, why});
}

struct against_key {
    const struct kms_key *from;
    uint64_t now_us;
    struct kms_why *why;
};

static kms_err check_user(void *user, const struct kms_granted *granted)
{
    const struct against_key *against = user;
    struct kms_grant beyond = granted->grant; /* what the policy of the old key does not surely permit */
    beyond.operations &= kms_grant_usage_bits();
    if (beyond.operations != 0)
        beyond.operations &= ~kms_policy_sure_operations(against->from->policy, beyond.grantee);
    if (beyond.operations == 0 || kms_grants_cover(against->from->grants, &beyond, against->now_us))
        return KMS_OK;
    char id[KMS_ID_TEXT];
    kms_id_text(&beyond.id, id);
    kms_why_set(against->why, "principal \"%.*s\" would newly be a user, by grant %s",
                (int)(beyond.grantee.len < 200 ? beyond.grantee.len : 200), (const char *)beyond.grantee.ptr,
                id);
    return KMS_FAIL(APPROVAL_NEEDED);
}

kms_err kms_grants_check_move(const struct kms_key *from, const struct kms_key *to, uint64_t now_us,
                              struct kms_why *why)
{
    if (from->grants == to->grants) return KMS_OK; /* one key, or neither has any */
    return kms_grants_each(to->grants, check_user, &(struct against_key){from, now_us, why});
}
