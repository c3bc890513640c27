/* What the tests of the policy engine share: documents with single quotes, requests as one line of text. */
#ifndef KMS_TESTS_POLICY_FIXTURE_H
#define KMS_TESTS_POLICY_FIXTURE_H

#include "kmsd/policy/policy.h"
#include "tests/harness/suite.h"

#define ADMIN    "arn:aws:iam::123456789:role/kms-admin"
#define APP      "arn:aws:iam::123456789:role/app-role"
#define KEY_A    "arn:aws:kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define SECRET_A "arn:aws:secretsmanager:us-east-1:000000000000:secret:shop/db-AbCdEf"
#define PERIOD   "2026-11-22T12:00:00Z" /* when requests are made unless they say otherwise */

/* ' becomes "; static, overwritten by the next call. */
struct kms_bytes quoted(const char *json);
kms_err parse(const char *json, kms_policy **ret_policy, struct kms_why *why);
/* Ends the program with the reason when the document is refused. */
kms_policy *parsed(const char *json);
bool says(const struct kms_why *why, const char *words); /* is it in there? prints what is, if not */

/* "who=P|action=kms:Decrypt|resource=ARN|alias=..|spec=..|usage=..|origin=..|algorithm=..|ip=..|time=ISO
 * |tls=0|same=1|bypass=1|ctx:NAME=VALUE|tag:NAME=VALUE (of the key)|newtag:NAME=VALUE|rmtag=NAME
 * |grantop=NAME|signing=..|mac=..|message=..|pair=..|grantee=..|retiring=..|constraint=..
 * |expiration=..|wrapping=..|wrapspec=..|validto=ISO|rotation=DAYS|window=DAYS|via=SERVICE
 * |name=..|kmskey=..|kmsarn=..|version=..|stage=..|recovery=DAYS|force=1|rules=1|now=1"
 * (of secrets): all optional. Defaults: APP, kms:Decrypt, KEY_A, PERIOD, tls, nothing else. */
enum { ASKED_MOST = 8 };
struct asked {
    struct kms_access_request request;
    struct kms_operation_inputs inputs;
    struct kms_pair pairs[KMS_CONTEXT_PAIRS], tags[ASKED_MOST], new_tags[ASKED_MOST];
    struct kms_bytes operations[ASKED_MOST], removed[ASKED_MOST];
    char text[1024];
};
void ask(const char *line, struct asked *ret_asked);
struct kms_decision decided(const kms_policy *policy, const char *line);
enum kms_action action_called(const char *name); /* KMS_ACT_COUNT: none */

#endif
