/* Documents: what is accepted, what is refused, and with which words. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/faults.h"
#include "tests/unit/kmsd/policy/fixture.h"

#define HEAD       "'Effect':'Allow','Principal':{'AWS':'p'},"
#define TAIL       ",'Action':'kms:Decrypt','Resource':'*'"
#define ONE(body)  "{'Statement':[{" body "}]}"
#define WHOM(body) ONE("'Effect':'Allow'," body TAIL)
#define DOES(body) ONE(HEAD body ",'Resource':'*'")
#define ON(body)   ONE(HEAD "'Action':'kms:Decrypt'," body)
#define IF(body)                                                                                             \
    "{'Version':'2012-10-17','Statement':[{" HEAD "'Action':'kms:*','Resource':'*','Condition':" body "}]}"
#define SHORT "{'Effect':'Deny','Principal':'*','Action':'*','Resource':'*'}"
#define GOOD  "{" HEAD "'Action':'kms:Decrypt','Resource':'*'}"

static const struct {
    const char *json, *words;
} refusals[] = {
    /* JSON */
    {"", "the document is empty"},
    {"{", "line 1, column 1"},
    {"{'Statement':[]", "line 1"},
    {"[]", "must be a JSON object"},
    {"{} x", "line 1, column 4: end of file expected"},
    {"{'Id':'a','Id':'b','Statement':[" GOOD "]}", "duplicate object key"},
    {ONE("'Effect':'Deny','Effect':'Allow'"), "duplicate object key"},
    {"{'Id':'\xff'}", "not UTF-8"},
    {"{\n'Id':'\xe2\x82\xac'}", "line 2, column 7: a character outside of printable ASCII and Latin-1"},
    {"{'Id':'\x7f'}", "line 1, column 8: a character outside"},
    {"{'Id':'\xc2\x85'}", "line 1, column 8: a character outside"},
    {"{'Id':'\\u0000','Statement':[" GOOD "]}", "line 1"},
    /* the document */
    {"{}", "Statement is missing or empty"},
    {"{'Statement':[]}", "Statement is missing or empty"},
    {"{'Statement':null}", "Statement 1: must be an object"},
    {"{'Statement':['x']}", "Statement 1: must be an object"},
    {"{'statement':[" GOOD "]}", "unknown element 'statement', did you mean Statement?"},
    {"{'Version':'2012-10-18','Statement':[" GOOD "]}", "Version must be"},
    {"{'Version':20121017,'Statement':[" GOOD "]}", "Version must be"},
    {"{'Id':7,'Statement':[" GOOD "]}", "Id must be a string"},
    /* Sid, Effect, unknown elements */
    {"{'Statement':[" GOOD ",{}]}", "Statement 2: Effect is missing"},
    {ONE("'Sid':'App'," HEAD "'Action':'kms:Decrypt'"), "Statement 1 (App): Resource is missing"},
    {ONE("'Sid':5"), "Statement 1: Sid must be a string"},
    {ONE("'Sid':'#1'"), "must not begin with '#'"},
    {ONE("'Sid':'a\\nb'"), "cannot be printed"},
    {ONE("'Sid':'a\\u202eb'"), "cannot be printed"},
    {"{'Statement':[{'Sid':'a'," HEAD
     "'Action':'*','Resource':'*'},{'Sid':'a','Effect':'Deny','Principal':'*'" TAIL "}]}",
     "Statement 2 (a): another statement has the same Sid"},
    {ONE("'Effect':'allow'"), "Effect must be \"Allow\" or \"Deny\""},
    {ONE("'Effect':true"), "Effect must be"},
    {ONE("'Effects':'Allow'"), "unknown element 'Effects', did you mean Effect?"},
    {ONE("'effect':'Deny'," HEAD "'Action':'*','Resource':'*'"), "unknown element 'effect'"},
    {ONE(HEAD "'Action':'*','Resource':'*','Grant':1"), "unknown element 'Grant'"},
    /* Principal */
    {ONE("'Effect':'Allow','Action':'*','Resource':'*'"), "Principal is missing"},
    {WHOM("'Principal':'*','NotPrincipal':{'AWS':'a'}"), "Principal and NotPrincipal exclude each other"},
    {WHOM("'Principal':'p'"), "Principal must be \"*\" or {\"AWS\": ...}"},
    {WHOM("'Principal':['p']"), "Principal must be"},
    {WHOM("'Principal':null"), "Principal must be"},
    {WHOM("'Principal':{}"), "Principal names nobody"},
    {WHOM("'Principal':{'AWS':[]}"), "Principal names nobody"},
    {WHOM("'Principal':{'AWS':5}"), "a principal must be a string"},
    {WHOM("'Principal':{'AWS':['p',null]}"), "a principal must be a string"},
    {WHOM("'Principal':{'AWS':''}"), "a principal is empty"},
    {WHOM("'Principal':{'AWS':['p','arn:aws:iam::1:role/a*']}"),
     "'arn:aws:iam::1:role/a*' has a wildcard inside"},
    {WHOM("'Principal':{'AWS':'arn:aws:iam::1:role/?'}"), "has a wildcard inside"},
    {WHOM("'Principal':{'AWS':'**'}"), "has a wildcard inside"},
    {WHOM("'Principal':{'AWS':'u/${aws:username}'}"), "no policy variable can stand in a principal"},
    {WHOM("'Principal':{'AWS':'a\\tb'}"), "'a?b' has a control character"},
    {WHOM("'Principal':{'Service':'logs.amazonaws.com'}"), "Principal: type 'Service' is not known here"},
    {WHOM("'Principal':{'AWS':'p','Federated':'x'}"), "type 'Federated'"},
    {WHOM("'Principal':{'aws':'p'}"), "type 'aws'"},
    {WHOM("'NotPrincipal':{'AWS':'p'}"), "Statement 1: NotPrincipal goes with \"Deny\" only"},
    {WHOM("'NotPrincipal':'*'"), "NotPrincipal goes with"},
    {ONE("'Effect':'Deny','NotPrincipal':'*'" TAIL), "leaves nobody"},
    {ONE("'Effect':'Deny','NotPrincipal':{'AWS':['p','*']}" TAIL), "leaves nobody"},
    /* Action */
    {ONE(HEAD "'Resource':'*'"), "Action is missing"},
    {DOES("'Action':'*','NotAction':'*'"), "Action and NotAction exclude each other"},
    {DOES("'Action':[]"), "list of actions is empty"},
    {DOES("'Action':[['kms:*']]"), "an action must be a string"},
    {DOES("'Action':'kms:Decrpyt'"), "unknown action 'kms:Decrpyt', did you mean kms:Decrypt"},
    {DOES("'Action':'kms:ReEncrypt'"), "unknown action 'kms:ReEncrypt'"},
    {DOES("'Action':'kms:'"), "name one that begins with 'kms:'"},
    {DOES("'Action':'s3:GetObject'"), "action 's3:GetObject' is not of this service"},
    {DOES("'Action':'k*:Decrypt'"), "name one that begins with 'kms:'"},
    {DOES("'Action':'kms'"), "name one that begins with 'kms:'"},
    {DOES("'Action':''"), "name one that begins with 'kms:'"},
    {DOES("'Action':' kms:Decrypt'"), "name one that begins with 'kms:'"},
    {DOES("'NotAction':'kms:*'"), "NotAction leaves no action"},
    /* Resource */
    {ON("'Resource':'*','NotResource':'*'"), "Resource and NotResource exclude each other"},
    {ON("'Resource':[]"), "list of resources is empty"},
    {ON("'Resource':[1]"), "a resource must be a string"},
    {ON("'Resource':'1234abcd-12ab-34cd-56ef-1234567890ab'"), "is not an ARN"},
    {ON("'Resource':'arn:aws:kms:*'"), "is not an ARN"},
    {ON("'Resource':'arn:aws:*:local:1:key/x'"), "its service must be 'kms', without a wildcard"},
    {ON("'Resource':'arn:aws:s3:::bucket'"), "its service must be 'kms'"},
    {ON("'NotResource':'*'"), "leaves no resource"},
    {"{'Version':'2012-10-17','Statement':{" HEAD
     "'Action':'*','Resource':'arn:aws:kms:::key/${aws:usrname}'}}",
     "policy variable '${aws:usrname}' names no condition key, did you mean aws:username?"},
    /* Condition */
    {IF("[]"), "Condition: it must be an object"},
    {IF("{'StringEquals':[]}"), "operator StringEquals wants an object"},
    {IF("{'StringEquals':{}}"), "operator StringEquals wants an object"},
    {IF("{'StringEqual':{'kms:KeySpec':'x'}}"),
     "Statement 1: Condition: unknown operator 'StringEqual', did you mean StringEquals"},
    {IF("{'stringequals':{'kms:KeySpec':'x'}}"),
     "unknown operator 'stringequals', did you mean StringEquals"},
    {IF("{'BinaryNotEquals':{'kms:KeySpec':'x'}}"),
     "unknown operator 'BinaryNotEquals', did you mean BinaryEquals"},
    {IF("{'BinaryEquals':{'kms:KeySpec':'QQ=='}}"),
     "BinaryEquals does not go with condition key kms:KeySpec; use String... or Arn... or Null"},
    {IF("{'BinaryEquals':{'kms:EncryptionContext:a':'QQ'}}"),
     "BinaryEquals: 'QQ' is not base64, with padding"},
    {IF("{'BinaryEquals':{'kms:EncryptionContext:a':5}}"), "is not base64"},
    {IF("{'BinaryEquals':{'kms:EncryptionContext:a':'${aws:username}'}}"),
     "BinaryEquals takes no policy variable"},
    {IF("{'NumericEquals':{'aws:EpochTime':'${aws:EpochTime}'}}"), "NumericEquals takes no policy variable"},
    {IF("{'DateEquals':{'aws:CurrentTime':'${aws:CurrentTime}'}}"), "DateEquals takes no policy variable"},
    {IF("{'IpAddress':{'aws:SourceIp':'${aws:SourceIp}'}}"), "IpAddress takes no policy variable"},
    {IF("{'Null':{'kms:KeySpec':'${aws:username}'}}"), "Null takes no policy variable"},
    {IF("{'forAllValues:StringEquals':{'kms:KeySpec':'x'}}"), "unknown operator"},
    {IF("{'NullIfExists':{'kms:KeySpec':'true'}}"), "Null takes neither"},
    {IF("{'ForAnyValue:Null':{'kms:KeySpec':'true'}}"), "Null takes neither"},
    {IF("{'StringEquals':{'kms:KeySpce':'x'}}"),
     "unknown condition key 'kms:KeySpce', did you mean kms:KeySpec"},
    {IF("{'StringEquals':{'aws:UserAgent':'x'}}"), "unknown condition key 'aws:UserAgent'"},
    {IF("{'StringEquals':{'aws:RequestTag/':'x'}}"), "unknown condition key 'aws:RequestTag/'"},
    {IF("{'StringEquals':{'aws:TagKeys':'x'}}"), "aws:TagKeys holds many values"},
    {IF("{'ForAllValues:StringEquals':{'aws:RequestTag/a':'x'}}"), "overly permissive"},
    {IF("{'NumericEquals':{'kms:KeySpec':'5'}}"), "does not go with"},
    {IF("{'StringEquals':{'kms:RotationPeriodInDays':'5'}}"), "does not go with"},
    {IF("{'StringEquals':{'kms:EncryptionContext:':'x'}}"), "unknown condition key 'kms:EncryptionContext:'"},
    {IF("{'StringEquals':{'':'x'}}"), "unknown condition key ''"},
    {IF("{'StringEquals':{'kms:KeySpec':'x','KMS:keyspec':'y'}}"),
     "condition key 'KMS:keyspec' stands there twice"},
    {IF("{'StringEquals':{'kms:EncryptionContext:App':'x','kms:EncryptionContext:APP':'y'}}"),
     "stands there twice"},
    {IF("{'StringEquals':{'kms:KeySpec':[]}}"), "list of values is empty"},
    {IF("{'StringEquals':{'kms:KeySpec':5}}"), "StringEquals: 'a value' is not a string"},
    {IF("{'StringEquals':{'kms:KeySpec':null}}"), "is not a string"},
    {IF("{'StringEquals':{'kms:KeySpec':'${kms:KeyUsag}'}}"),
     "policy variable '${kms:KeyUsag}' names no condition key, did you mean kms:KeyUsage"},
    {IF("{'StringEquals':{'kms:KeySpec':'${}'}}"), "'${}' names no condition key; write ${$} for a '$'"},
    {IF("{'StringEquals':{'kms:KeySpec':'${ aws:username}'}}"), "names no condition key"},
    {IF("{'StringEquals':{'kms:KeySpec':'${kms:EncryptionContextKeys}'}}"), "has many values"},
    {IF("{'StringEquals':{'kms:KeySpec':'${aws:username'}}"), "must be ${KEY} or ${KEY, 'DEFAULT'}"},
    {IF("{'StringEquals':{'kms:KeySpec':'${aws:username, x}'}}"), "must be ${KEY} or ${KEY, 'DEFAULT'}"},
    {IF("{'StringEquals':{'kms:KeySpec':'${aws:username,'}}"), "must be ${KEY} or"},
    {IF("{'StringEquals':{'kms:KeySpec':'${aws:username, \\u0027x}'}}"), "must be ${KEY} or"},
    {IF("{'StringEquals':{'kms:KeySpec':'${aws:username, \\u0027x\\u0027'}}"), "must be ${KEY} or"},
    {IF("{'StringEquals':{'kms:KeySpec':'${aws:username, \\u0027x\\u0027y}'}}"), "must be ${KEY} or"},
    {IF("{'StringLike':{'kms:KeySpec':'${aws:username, \\u0027*\\u0027}'}}"), "must be plain text"},
    {IF("{'StringLike':{'kms:KeySpec':'a${'}}"), "policy variable '${' must be"},
    {IF("{'StringLike':{'kms:KeySpec':'${*'}}"), "policy variable '${*' must be"},
    {IF("{'StringLike':{'kms:RequestAlias':'*${aws:PrincipalArn}'}}"), "a variable counts at its longest"},
    {IF("{'StringEquals':{'kms:RequestAlias':'${kms:EncryptionContext:a}${kms:EncryptionContext:b}'}}"),
     "could grow to more than 12288 bytes"},
    {"{'Version':'2012-10-17','Statement':{" HEAD
     "'Action':'*','Resource':'arn:aws:kms:${aws:username}:1:key/a'}}",
     "can stand only behind the fifth colon"},
    {"{'Version':'2012-10-17','Statement':{" HEAD "'Action':'*','Resource':'${aws:username}'}}",
     "can stand only behind the fifth colon"},
    {IF("{'NumericEquals':{'aws:EpochTime':'five'}}"), "NumericEquals: 'five' is not a number"},
    {IF("{'NumericEquals':{'aws:EpochTime':1000000000000}}"), "is not a number"},
    {IF("{'NumericEquals':{'aws:EpochTime':1e13}}"), "is not a number"},
    {IF("{'NumericEquals':{'aws:EpochTime':true}}"), "is not a number"},
    {IF("{'DateEquals':{'aws:CurrentTime':'yesterday'}}"), "DateEquals: 'yesterday' is not a date"},
    {IF("{'Bool':{'aws:SecureTransport':'yes'}}"), "Bool: 'yes' is not true or false"},
    {IF("{'Bool':{'aws:SecureTransport':1}}"), "is not true or false"},
    {IF("{'Null':{'kms:KeySpec':'absent'}}"), "Null: 'absent' is not true or false"},
    {IF("{'IpAddress':{'aws:SourceIp':'10.0.0.0/33'}}"),
     "IpAddress: '10.0.0.0/33' is not an IP address or block"},
    {IF("{'ArnLike':{'aws:PrincipalArn':'*'}}"), "'*' is not an ARN"},
    {IF("{'ArnLike':{'aws:PrincipalArn':'cn:a:b:c:d:e'}}"), "is not an ARN"},
    {IF("{'StringEquals':{'aws:SourceIp':'10.0.0.1'}}"),
     "operator StringEquals does not go with condition key aws:SourceIp"},
    {IF("{'NumericLessThan':{'aws:CurrentTime':'5'}}"), "does not go with"},
    {IF("{'StringEquals':{'aws:SecureTransport':'true'}}"), "does not go with"},
    {IF("{'Bool':{'kms:KeySpec':'true'}}"), "does not go with"},
    {IF("{'StringEquals':{'kms:EncryptionContextKeys':'a'}}"),
     "write ForAnyValue:StringEquals or ForAllValues:StringEquals"},
    {IF("{'ForAllValues:StringEquals':{'kms:EncryptionContext:App':'x'}}"), "overly permissive"},
    {IF("{'ForAllValues:StringLike':{'KMS:encryptioncontext:App':'x'}}"), "overly permissive"},
};

static void refuses(void)
{
    for (size_t i = 0; i < KMS_COUNT(refusals); i++) {
        kms_policy *policy = NULL;
        struct kms_why why = {""};
        kms_err err = parse(refusals[i].json, &policy, &why);
        KMS_ASSERT_CODE(err, MALFORMED_POLICY);
        CU_ASSERT_PTR_NULL(policy);
        CU_ASSERT_TRUE(says(&why, refusals[i].words));
        KMS_ASSERT_CODE(parse(refusals[i].json, &policy, NULL), MALFORMED_POLICY);
        if (!kms_failed(err)) fprintf(stderr, "\naccepted: %s\n", refusals[i].json);
        kms_policy_drop(&policy);
    }
}

/* Every complaint says where: the name of a member, or the item of a list. */
static void says_where(void)
{
    static const struct {
        const char *json, *words;
    } rows[] = {
        {"{}", "line 1, column 1: Statement is missing"},
        {"\n [1]", "line 2, column 2: the document must be a JSON object"},
        {"{'Version':'2012-10-17',\n\t'Stament':5}",
         "line 2, column 2: unknown element 'Stament', did you mean Statement?"},
        {"{'Statement':[" GOOD ",\n  {}]}", "line 2, column 3: Statement 2: Effect is missing"},
        {"{'Statement':[\n" GOOD ",\n{'Sid':'x','Effect':'Deny','Principal':'*'" TAIL ",\n 'Grant':'x'}]}",
         "line 4, column 2: Statement 2 (x): unknown element 'Grant'"},
        {"{'Statement':{\n'Effect':'allow'}}", "line 2, column 1: Statement 1: Effect must be"},
        {"{'Statement':{'Effect':'Allow','Action':[\n'kms:Decrypt',\n  "
         "'kms:Nothing'],'Principal':'*','Resource':'*'}}",
         "line 3, column 3: Statement 1: unknown action 'kms:Nothing'; remove it"},
        {"{'Statement':{'Effect':'Allow','Principal':'*','Resource':'*',\n  'Action':'kms:Nothing'}}",
         "line 2, column 3: Statement 1: unknown action"},
        {"{'Statement':{'Effect':'Allow','Action':'*','Resource':'*','Principal':{'AWS':['p',\n 'a*']}}}",
         "line 2, column 2: Statement 1: Principal: 'a*' has a wildcard inside"},
        {"{'Statement':{'Effect':'Allow','Action':'*','Resource':'*','Principal':\n{'Service':'x'}}}",
         "line 2, column 2: Statement 1: Principal: type 'Service'"},
        {"{'Statement':{'Id':'caf\xc3\xa9'}}", "line 1, column 15: Statement 1: unknown element 'Id'"},
        {"{'Id':'caf\xc3\xa9\\\\\\u0022 {[',  'X':1}", "line 1, column 27: unknown element 'X'"},
        {"{'Statement':[" GOOD "],'\\u0058':1}", "unknown element 'X'"},
        {"{'Statement':{" HEAD
         "'Action':'*','Resource':'*','Condition':{\n'StringEqual':{'kms:KeySpec':'x'}}}}",
         "line 2, column 1: Statement 1: Condition: unknown operator"},
        {"{'Statement':{" HEAD "'Action':'*','Resource':'*','Condition':{'StringEquals':{'kms:KeySpec':'x',"
         "\n  'kms:Key':'x'}}}}",
         "line 2, column 3: Statement 1: Condition: unknown condition key 'kms:Key'"},
        {"{'Statement':{" HEAD
         "'Action':'*','Resource':'*','Condition':{'NumericEquals':{'aws:EpochTime':[1,2.5,"
         "\n'x']}}}}",
         "line 2, column 1: Statement 1: Condition: NumericEquals: 'x' is not a number"},
        {"{'Statement':{" HEAD "'Action':'*','Resource':'*',\n'Sid':'a\\nb'}}",
         "line 2, column 1: Statement 1: Sid has a character"},
        {"{'Statement':[{'Sid':'a'," HEAD "'Action':'*','Resource':'*'},\n{'Sid':'a'," HEAD
         "'Action':'*','Resource':'*'}]}",
         "line 2, column 2: Statement 2 (a): another statement has the same Sid"},
        {"{'Id':'a',\n 'Id':'b'}", "line 2, column 5: duplicate object key"},
        {"{'Statement':[" GOOD ",\n{'Effect':'Allow','Effect':'Deny'}]}",
         "line 2, column 26: duplicate object key"},
        {"{\n'Id':'\xe2\x82\xac'}", "line 2, column 7: a character outside"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        kms_policy *policy = NULL;
        struct kms_why why = {""};
        KMS_ASSERT_CODE(parse(rows[i].json, &policy, &why), MALFORMED_POLICY);
        CU_ASSERT_TRUE(says(&why, rows[i].words));
    }
}

static void accepts(void)
{
    static const char *const documents[] = {
        "{'Statement':" GOOD "}", /* one statement without an array */
        "\n\t{\r\n'Version':'2008-10-17','Id':'caf\xc3\xa9','Statement':[" GOOD "]}\n",
        "{'Statement':[{'Sid':''," HEAD "'Action':'kms:*','Resource':'*'},{'Sid':''," HEAD
        "'Action':'*','Resource':'*'}]}",
        ONE("'Sid':'Enable IAM User Permissions'," HEAD "'Action':['kms:*'],'Resource':['*']"),
        WHOM("'Principal':{'AWS':['p','*','111122223333','spiffe://corp/app','cn:app']}"),
        WHOM("'Principal':{'AWS':'*'}"),
        ONE("'Effect':'Deny','NotPrincipal':{'AWS':'p'}" TAIL),
        ON("'Resource':'" KEY_A "'"),
        ON("'Resource':['arn:*:kms:*:*:key/*','arn:aws:kms:local:1:key/?-?']"),
        ON("'NotResource':'" KEY_A "'"),
        ON("'Resource':'arn:aws:kms:::key/${aws:username}'"), /* no variables before 2012-10-17 */
        IF("{}"),
        IF("{'StringEquals':{'kms:RequestAlias':['alias/${aws:username}','${aws:username,\\u0027x\\u0027}',"
           "'${AWS:UserName,  \\u0027\\u0027 }${kms:EncryptionContext:a:b}','$','$}','}${$}{']}}"),
        IF("{'ArnLike':{'aws:PrincipalArn':['${kms:EncryptionContext:owner}','arn:aws:iam::*:user/"
           "${aws:username}']}}"),
        IF("{'Bool':{'aws:SecureTransport':'${kms:MultiRegion}'}}"),
        IF("{'StringLike':{'kms:RequestAlias':'*/${aws:username}/*'}}"),
        IF("{'BinaryEquals':{'kms:EncryptionContext:a':'QQ=='}}"),
        "{'Version':'2012-10-17','Statement':{" HEAD
        "'Action':'*','Resource':['*','arn:aws:kms:*:*:key/${aws:ResourceTag/id}']}}",
        IF("{'StringLike':{'kms:RequestAlias':['alias/${*}','${?}${$}','$','$x']}}"),
        IF("{'NumericLessThan':{'aws:EpochTime':[5,5.5,'5','-0.5']},'DateLessThan':{'aws:EpochTime':"
           "1795348800}}"),
        IF("{'Bool':{'aws:SecureTransport':[true,'False']},'Null':{'kms:KeySpec':false}}"),
        IF("{'ForAllValues:StringEqualsIfExists':{'kms:EncryptionContextKeys':['a','b']}}"),
        IF("{'ForAnyValue:StringEquals':{'kms:EncryptionContext:App':'x'}}"),
        IF("{'StringEquals':{'kms:KeySpec':'x'},'StringEqualsIfExists':{'kms:KeySpec':'y'}}"),
        IF("{'Bool':{'kms:GrantIsForAWSResource':'true'}}"),
    };
    for (size_t i = 0; i < KMS_COUNT(documents); i++) {
        kms_policy *policy = NULL;
        struct kms_why why = {""};
        KMS_ASSERT_OK(parse(documents[i], &policy, &why));
        if (policy == NULL) fprintf(stderr, "\n%s: %s\n", documents[i], why.text);
        kms_policy_drop(&policy);
    }
}

/* `before`, `unit` n times, `after`. */
static char *repeated(const char *before, const char *unit, size_t n, const char *after)
{
    char *text = malloc(strlen(before) + strlen(unit) * n + strlen(after) + 1), *at = text;
    if (text == NULL) abort();
    at = stpcpy(at, before);
    for (size_t i = 0; i < n; i++) at = stpcpy(at, unit);
    stpcpy(at, after);
    return text;
}

static void bounded(void)
{
    static const struct {
        const char *before, *unit;
        size_t count;
        const char *after;
        const char *words; /* NULL: accepted */
    } rows[] = {
        {"{'Statement':[" GOOD "]}", " ", KMS_POLICY_BYTES - sizeof "{'Statement':[" GOOD "]}" + 1, "", NULL},
        {"{'Statement':[" GOOD "]}", " ", KMS_POLICY_BYTES - sizeof "{'Statement':[" GOOD "]}" + 2, "",
         "the document is 32769 bytes long, more than 32768"},
        {"{'Statement':[", "1,", KMS_POLICY_STATEMENTS, "1]}", "513 statements, more than 512"},
        {"{'Statement':[", SHORT ",", KMS_POLICY_STATEMENTS - 1, SHORT "]}", NULL},
        {"{'Id':", "[", 16000, "", "maximum parsing depth"},
        {"{'Statement':[{'Sid':'", "x", KMS_SID_BYTES, "'}]}", "Sid is longer than 128 bytes"},
        {"{'Statement':[{'Sid':'", "x", KMS_SID_BYTES - 1, "'," HEAD "'Action':'*','Resource':'*'}]}", NULL},
        {"{'Statement':[{'Effect':'Allow'" TAIL ",'Principal':{'AWS':'", "x", 2049, "'}}]}",
         "longer than 2048 bytes"},
        {"{'Statement':[{'Effect':'Allow'" TAIL ",'Principal':{'AWS':['p'", ",'p'", 7000, "]}}]}", NULL},
        {"{'Statement':[{" HEAD
         "'Action':'*','Resource':'*','Condition':{'StringLike':{'kms:RequestAlias':['*'",
         ",'a*12345678'", 128, "]}}}]}", NULL},
        {"{'Version':'2012-10-17','Statement':[{" HEAD
         "'Action':'*','Resource':'*','Condition':{'StringEquals':{'kms:RequestAlias':['x'",
         ",'${aws:username}'", 128, "]}}}]}", NULL},
        {"{'Version':'2012-10-17','Statement':[{" HEAD
         "'Action':'*','Resource':'*','Condition':{'StringEquals':{'kms:RequestAlias':['x'",
         ",'${aws:username}'", 129, "]}}}]}", "more than 128 policy variables"},
        {"{'Statement':[{" HEAD "'Action':'*','Resource':'*','Condition':{'ArnLike':{'aws:PrincipalArn':["
         "'arn:aws:iam::*:role/12345678901234567890'",
         ",'arn:aws:iam::*:role/12345678901234567890'", 128, "]}}}]}", NULL}, /* parts do not float */
        {"{'Statement':[{" HEAD "'Action':'*','Resource':'*','Condition':{'ArnLike':{'aws:PrincipalArn':["
         "'arn:aws:iam::1:*:role/12345678901234567890'",
         ",'arn:aws:iam::1:*:role/12345678901234567890'", 128, "]}}}]}", "behind their first '*'"},
        {"{'Statement':[{" HEAD
         "'Action':'*','Resource':'*','Condition':{'StringLike':{'kms:RequestAlias':['*x'",
         ",'a*12345678'", 128, "]}}}]}",
         "more than 1024 bytes (a variable counts at its longest) behind their first '*'"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        kms_policy *policy = NULL;
        struct kms_why why = {""};
        char *text = repeated(rows[i].before, rows[i].unit, rows[i].count, rows[i].after);
        kms_err err = parse(text, &policy, &why);
        CU_ASSERT_TRUE(rows[i].words == NULL
                           ? !kms_failed(err)
                           : kms_is(err, KMS_E_MALFORMED_POLICY) && says(&why, rows[i].words));
        if (rows[i].words == NULL && kms_failed(err)) fprintf(stderr, "\nrow %zu: %s\n", i, why.text);
        kms_policy_drop(&policy);
        free(text);
    }
}

static void counted(void)
{
    kms_policy *policy = parsed("{'Statement':" GOOD "}"), *again = kms_policy_ref(policy);
    CU_ASSERT_PTR_EQUAL(policy, again);
    kms_policy_drop(&policy);
    CU_ASSERT_PTR_NULL(policy);
    CU_ASSERT_EQUAL(decided(again, "who=p").effect, KMS_ALLOW);
    kms_policy_unref(again);
    kms_policy_unref(NULL);
    CU_ASSERT_PTR_NULL(kms_policy_ref(NULL));
}

static void fails(void)
{
    FAULTS_EACH_OF (FAULT_MEMORY) {
        kms_policy *policy = NULL;
        kms_err err = parse(IF("{'ArnLike':{'aws:PrincipalArn':'arn:a:b:c:d:*'},'ForAnyValue:StringEquals':"
                               "{'kms:EncryptionContextKeys':['a','b']}}"),
                            &policy, NULL);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT_TRUE(!kms_failed(err) || kms_is(err, KMS_E_NO_MEMORY));
        CU_ASSERT_EQUAL(policy == NULL, faults_hit());
        kms_policy_drop(&policy);
    }
}

KMS_TEST_MAIN("policy document", {"refuses, with the cause", refuses}, {"says where", says_where},
              {"accepts AWS's grammar", accepts}, {"keeps its bounds", bounded},
              {"counts references", counted}, {"no memory is an error", fails})
