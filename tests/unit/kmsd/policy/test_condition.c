/* Conditions: every operator with present, missing, several and negated values. */
#include <stdio.h>

#include "tests/unit/kmsd/policy/fixture.h"

static const struct {
    const char *condition, *request;
    bool holds;
} rows[] = {
    /* text */
    {"{'StringEquals':{'kms:RequestAlias':'alias/a'}}", "alias=alias/a", true},
    {"{'StringEquals':{'kms:RequestAlias':'alias/a'}}", "alias=alias/A", false},
    {"{'StringEquals':{'kms:RequestAlias':'alias/a'}}", "", false},
    {"{'StringEquals':{'kms:RequestAlias':['alias/b','alias/a']}}", "alias=alias/a", true},
    {"{'StringEquals':{'kms:RequestAlias':'alias/*'}}", "alias=alias/a", false},
    {"{'StringEquals':{'kms:RequestAlias':'alias/*'}}", "alias=alias/*", true},
    {"{'StringEquals':{'kms:RequestAlias':'a${*}${$}'}}", "alias=a*$", true},
    {"{'StringEquals':{'kms:RequestAlias':''}}", "alias=", true},
    {"{'StringEqualsIfExists':{'kms:RequestAlias':'alias/a'}}", "", true},
    {"{'StringEqualsIfExists':{'kms:RequestAlias':'alias/a'}}", "alias=alias/b", false},
    {"{'StringNotEquals':{'kms:RequestAlias':'alias/a'}}", "alias=alias/a", false},
    {"{'StringNotEquals':{'kms:RequestAlias':'alias/a'}}", "alias=alias/b", true},
    {"{'StringNotEquals':{'kms:RequestAlias':'alias/a'}}", "", true},
    {"{'StringNotEquals':{'kms:RequestAlias':['alias/a','alias/b']}}", "alias=alias/b", false}, /* NOR */
    {"{'StringNotEquals':{'kms:RequestAlias':['alias/a','alias/b']}}", "alias=alias/c", true},
    {"{'StringNotEqualsIfExists':{'kms:RequestAlias':'alias/a'}}", "", true},
    {"{'StringEqualsIgnoreCase':{'kms:RequestAlias':'ALIAS/a'}}", "alias=alias/A", true},
    {"{'StringEqualsIgnoreCase':{'kms:RequestAlias':'ALIAS/a'}}", "alias=alias/b", false},
    {"{'StringNotEqualsIgnoreCase':{'kms:RequestAlias':'ALIAS/a'}}", "alias=alias/A", false},
    {"{'StringNotEqualsIgnoreCase':{'kms:RequestAlias':'ALIAS/a'}}", "", true},
    {"{'StringLike':{'kms:RequestAlias':'alias/app-*'}}", "alias=alias/app-1/x", true},
    {"{'StringLike':{'kms:RequestAlias':'alias/app-*'}}", "alias=alias/App-1", false},
    {"{'StringLike':{'kms:RequestAlias':'alias/app-?'}}", "alias=alias/app-12", false},
    {"{'StringLike':{'kms:RequestAlias':'alias/${*}'}}", "alias=alias/x", false},
    {"{'StringLike':{'kms:RequestAlias':'alias/${*}'}}", "alias=alias/*", true},
    {"{'StringLike':{'kms:RequestAlias':'*'}}", "", false},
    {"{'StringNotLike':{'kms:RequestAlias':'alias/app-*'}}", "alias=alias/app-1", false},
    {"{'StringNotLike':{'kms:RequestAlias':['alias/x','alias/app-*']}}", "alias=alias/y", true},
    {"{'StringNotLike':{'kms:RequestAlias':'*'}}", "", true},
    {"{'StringEquals':{'kms:KeySpec':'SYMMETRIC_DEFAULT','kms:KeyUsage':'ENCRYPT_DECRYPT'}}",
     "spec=SYMMETRIC_DEFAULT|usage=ENCRYPT_DECRYPT", true},
    {"{'StringEquals':{'kms:KeySpec':'SYMMETRIC_DEFAULT','kms:KeyUsage':'SIGN_VERIFY'}}",
     "spec=SYMMETRIC_DEFAULT|usage=ENCRYPT_DECRYPT", false}, /* all keys */
    {"{'StringEquals':{'kms:KeyOrigin':'AWS_KMS'},'StringLike':{'kms:EncryptionAlgorithm':'SYM*'}}",
     "origin=AWS_KMS|algorithm=SYMMETRIC_DEFAULT", true},
    {"{'StringEquals':{'kms:KeyOrigin':'AWS_KMS'},'StringLike':{'kms:EncryptionAlgorithm':'RSA*'}}",
     "origin=AWS_KMS|algorithm=SYMMETRIC_DEFAULT", false}, /* all operators */
    {"{'StringEquals':{'AWS:principalARN':'" APP "'}}", "", true},
    {"{'StringLike':{'aws:PrincipalArn':'spiffe://corp/*'}}", "who=spiffe://corp/app", true},
    /* encryption context */
    {"{'StringEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:App=a|ctx:Other=b", true},
    {"{'StringEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:App=A", false},
    {"{'StringEquals':{'KMS:encryptioncontext:APP':'a'}}", "ctx:App=a", true}, /* key names in any case */
    {"{'StringEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:Application=a", false},
    {"{'StringEquals':{'kms:EncryptionContext:App':'a'}}", "", false},
    {"{'StringNotEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:Other=a", true},
    {"{'StringEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:APP=x|ctx:App=a", false}, /* each of two */
    {"{'StringEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:APP=a|ctx:App=a", true},
    {"{'StringNotEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:APP=x|ctx:App=a", false},
    {"{'StringNotEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:APP=x|ctx:App=y", true},
    {"{'ForAnyValue:StringEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:APP=x|ctx:App=a", true},
    {"{'StringEquals':{'kms:EncryptionContext:App':''}}", "ctx:App=", true},
    {"{'StringEquals':{'kms:EncryptionContext:aws:s3:arn':'x'}}", "ctx:aws:s3:arn=x", true},
    {"{'NumericLessThan':{'kms:EncryptionContext:n':'10'}}", "ctx:n=9.5", true},
    {"{'NumericLessThan':{'kms:EncryptionContext:n':'10'}}", "ctx:n=10", false},
    {"{'NumericLessThan':{'kms:EncryptionContext:n':'10'}}", "ctx:n=nine", false},
    {"{'NumericNotEquals':{'kms:EncryptionContext:n':'10'}}", "ctx:n=nine", true},
    {"{'Bool':{'kms:EncryptionContext:b':true}}", "ctx:b=TRUE", true},
    {"{'Bool':{'kms:EncryptionContext:b':true}}", "ctx:b=1", false},
    {"{'DateGreaterThan':{'kms:EncryptionContext:d':'2026-01-01'}}", "ctx:d=2026-01-02", true},
    {"{'DateGreaterThan':{'kms:EncryptionContext:d':'2026-01-01'}}", "ctx:d=soon", false},
    {"{'IpAddress':{'kms:EncryptionContext:ip':'10.0.0.0/8'}}", "ctx:ip=10.1.1.1", true},
    {"{'ArnLike':{'kms:EncryptionContext:arn':'arn:aws:logs:*:1:group/*'}}",
     "ctx:arn=arn:aws:logs:eu:1:group/x", true},
    /* numbers and dates */
    {"{'NumericEquals':{'aws:EpochTime':1795348800}}", "", true},
    {"{'NumericEquals':{'aws:EpochTime':'1795348801'}}", "", false},
    {"{'NumericNotEquals':{'aws:EpochTime':['1','2']}}", "", true},
    {"{'NumericNotEquals':{'aws:EpochTime':['1','1795348800']}}", "", false},
    {"{'NumericLessThanEquals':{'aws:EpochTime':1795348800}}", "", true},
    {"{'NumericLessThan':{'aws:EpochTime':1795348800}}", "", false},
    {"{'NumericGreaterThan':{'aws:EpochTime':1795348799.5}}", "", true},
    {"{'NumericGreaterThanEquals':{'aws:EpochTime':[9999999999,1]}}", "", true},
    {"{'DateEquals':{'aws:CurrentTime':'" PERIOD "'}}", "", true},
    {"{'DateEquals':{'aws:EpochTime':'2026-11-22T13:00:00+01:00'}}", "", true},
    {"{'DateNotEquals':{'aws:CurrentTime':'" PERIOD "'}}", "", false},
    {"{'DateLessThan':{'aws:CurrentTime':'2027-01-01T00:00:00Z'}}", "", true},
    {"{'DateLessThan':{'aws:CurrentTime':'2027-01-01T00:00:00Z'}}", "time=2027-01-01T00:00:00Z", false},
    {"{'DateLessThanEquals':{'aws:CurrentTime':'2027-01-01T00:00:00Z'}}", "time=2027-01-01T00:00:00Z", true},
    {"{'DateGreaterThan':{'aws:CurrentTime':'2026'},'DateLessThan':{'aws:CurrentTime':'2027'}}", "", true},
    {"{'DateGreaterThanEquals':{'aws:CurrentTime':'1795348801'}}", "", false},
    /* flags */
    {"{'Bool':{'aws:SecureTransport':'true'}}", "", true},
    {"{'Bool':{'aws:SecureTransport':'true'}}", "tls=0", false},
    {"{'Bool':{'aws:SecureTransport':'false'}}", "tls=0", true},
    {"{'Bool':{'kms:ReEncryptOnSameKey':'true'}}", "same=1", true},
    {"{'Bool':{'kms:ReEncryptOnSameKey':'false'}}", "", false},
    {"{'BoolIfExists':{'kms:ReEncryptOnSameKey':'false'}}", "", true},
    {"{'BoolIfExists':{'kms:ReEncryptOnSameKey':'false'}}", "same=1", false},
    {"{'Bool':{'kms:BypassPolicyLockoutSafetyCheck':'true'}}", "bypass=1", true},
    {"{'Bool':{'kms:BypassPolicyLockoutSafetyCheck':'true'}}", "bypass=0", false},
    {"{'Bool':{'kms:GrantIsForAWSResource':'true'}}", "", false},
    {"{'Null':{'kms:GrantIsForAWSResource':'true'}}", "", true},
    /* addresses */
    {"{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "ip=10.2.3.4", true},
    {"{'IpAddress':{'aws:SourceIp':['192.168.0.0/16','10.0.0.0/8']}}", "ip=10.2.3.4", true},
    {"{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "ip=::ffff:10.2.3.4", true},
    {"{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "", false}, /* a Unix socket */
    {"{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "ip=garbage", false},
    {"{'IpAddressIfExists':{'aws:SourceIp':'10.0.0.0/8'}}", "", true},
    {"{'IpAddress':{'aws:SourceIp':'2001:db8::/32'}}", "ip=2001:db8::7", true},
    {"{'IpAddress':{'aws:SourceIp':'2001:db8::/32'}}", "ip=2001:db9::7", false},
    {"{'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "ip=11.0.0.1", true},
    {"{'NotIpAddress':{'aws:SourceIp':['10.0.0.0/8','11.0.0.0/8']}}", "ip=11.0.0.1", false},
    {"{'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "", true},
    {"{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'},'NotIpAddress':{'aws:SourceIp':'10.1.0.0/16'}}",
     "ip=10.2.0.1", true},
    {"{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'},'NotIpAddress':{'aws:SourceIp':'10.1.0.0/16'}}",
     "ip=10.1.0.1", false},
    /* ARNs */
    {"{'ArnEquals':{'aws:PrincipalArn':'arn:aws:iam::123456789:role/*'}}", "", true},
    {"{'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::*:role/app-role'}}", "", true},
    {"{'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::12345*:role/admin'}}", "", false},
    {"{'ArnLike':{'aws:PrincipalArn':'arn:aws:*:*:*:*'}}", "who=cn:app", false},
    {"{'ArnNotEquals':{'aws:PrincipalArn':'arn:aws:iam::1:role/*'}}", "", true},
    {"{'ArnNotLike':{'aws:PrincipalArn':['arn:aws:iam::1:role/*','" APP "']}}", "", false},
    {"{'ArnNotLike':{'aws:PrincipalArn':'" APP "'}}", "who=cn:app", true},
    /* Null */
    {"{'Null':{'kms:RequestAlias':'true'}}", "", true},
    {"{'Null':{'kms:RequestAlias':'true'}}", "alias=alias/a", false},
    {"{'Null':{'kms:RequestAlias':'false'}}", "alias=alias/a", true},
    {"{'Null':{'kms:RequestAlias':['true','false']}}", "", true},
    {"{'Null':{'kms:EncryptionContext:App':false}}", "ctx:app=", true},
    {"{'Null':{'kms:EncryptionContextKeys':'false'}}", "", false},
    {"{'Null':{'kms:EncryptionContextKeys':'false'}}", "ctx:a=b", true},
    /* variables */
    {"{'StringEquals':{'kms:EncryptionContext:user':'${aws:username}'}}",
     "who=arn:aws:iam::1:user/bob|ctx:user=bob", true},
    {"{'StringEquals':{'kms:EncryptionContext:user':'${AWS:UserName}'}}",
     "who=arn:aws:iam::1:user/bob|ctx:user=Bob", false},
    {"{'StringEquals':{'kms:EncryptionContext:user':'${aws:username}'}}",
     "ctx:user=", false}, /* no value, no match */
    {"{'StringEquals':{'kms:EncryptionContext:user':'${aws:username}'}}", "ctx:user=${aws:username}", false},
    {"{'StringNotEquals':{'kms:EncryptionContext:user':'${aws:username}'}}", "ctx:user=bob", true},
    {"{'StringEqualsIfExists':{'kms:EncryptionContext:user':'${aws:username}'}}", "", true},
    {"{'StringEquals':{'kms:EncryptionContext:user':'${aws:username, \\u0027nobody\\u0027}'}}",
     "ctx:user=nobody", true},
    {"{'StringEquals':{'kms:EncryptionContext:user':'${aws:username, \\u0027\\u0027}'}}", "ctx:user=", true},
    {"{'StringEquals':{'kms:EncryptionContext:user':'${aws:username, \\u0027nobody\\u0027}'}}",
     "who=arn:aws:iam::1:user/bob|ctx:user=nobody", false},
    {"{'StringLike':{'kms:RequestAlias':'alias/${kms:EncryptionContext:App}-*'}}",
     "alias=alias/a-1|ctx:app=a", true},
    {"{'StringLike':{'kms:RequestAlias':'alias/${kms:EncryptionContext:App}'}}", "alias=alias/abc|ctx:App=a*",
     false}, /* values are literal */
    {"{'StringLike':{'kms:RequestAlias':'alias/${kms:EncryptionContext:App}'}}", "alias=alias/a*|ctx:App=a*",
     true},
    {"{'StringLike':{'kms:RequestAlias':'alias/${kms:EncryptionContext:App}*'}}",
     "alias=alias/a?b|ctx:App=a?", true},
    {"{'StringEquals':{'kms:RequestAlias':'alias/${kms:EncryptionContext:App}'}}",
     "alias=alias/a|ctx:App=a|ctx:app=a", false}, /* two values are none */
    {"{'StringEqualsIgnoreCase':{'kms:EncryptionContext:a':'x${kms:EncryptionContext:b}y'}}",
     "ctx:a=XBY|ctx:b=b", true},
    {"{'StringEquals':{'kms:EncryptionContext:a':'${$}{${aws:PrincipalType}${*}'}}",
     "ctx:a=${User*|who=arn:aws:iam::1:user/x", true},
    {"{'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::*:user/${kms:EncryptionContext:user}'}}",
     "who=arn:aws:iam::1:user/bob|ctx:user=bob", true},
    {"{'ArnEquals':{'aws:PrincipalArn':'${kms:EncryptionContext:owner}'}}", "ctx:owner=" APP, true},
    {"{'ArnEquals':{'aws:PrincipalArn':'${kms:EncryptionContext:owner}'}}",
     "ctx:owner=arn:aws:iam::*:role/app-role", false},
    {"{'ArnNotEquals':{'aws:PrincipalArn':'${kms:EncryptionContext:owner}'}}", "", true},
    {"{'Bool':{'aws:SecureTransport':'${kms:EncryptionContext:tls}'}}", "ctx:tls=TRUE", true},
    {"{'Bool':{'aws:SecureTransport':'${kms:EncryptionContext:tls}'}}", "ctx:tls=yes", false},
    {"{'Bool':{'aws:SecureTransport':['false','${kms:MultiRegion}']}}", "tls=0", true},
    {"{'Bool':{'aws:SecureTransport':['${*}','true']}}", "", true},
    {"{'Bool':{'aws:SecureTransport':'${*}'}}", "", false},
    {"{'StringEquals':{'kms:EncryptionContext:t':'${aws:CurrentTime} ${aws:EpochTime} "
     "${aws:SecureTransport}'}}",
     "ctx:t=2026-11-22T12:00:00Z 1795348800 true", true},
    {"{'StringEquals':{'kms:EncryptionContext:d':'${kms:RotationPeriodInDays}'}}", "ctx:d=90|rotation=90",
     true},
    {"{'StringEquals':{'kms:EncryptionContext:d':'${kms:ValidTo}'}}",
     "ctx:d=2026-11-22T12:00:00Z|validto=2026-11-22T12:00:00Z", true},
    {"{'StringLike':{'kms:RequestAlias':'${kms:KeySpec}**'}}", "alias=alias/a|spec=", true},
    /* binary */
    {"{'BinaryEquals':{'kms:EncryptionContext:a':'QmluYXJ5'}}", "ctx:a=Binary", true},
    {"{'BinaryEquals':{'kms:EncryptionContext:a':['QQ==','QmluYXJ5']}}", "ctx:a=binary", false},
    {"{'BinaryEquals':{'kms:EncryptionContext:a':'QQ=='}}", "", false},
    {"{'BinaryEqualsIfExists':{'kms:EncryptionContext:a':'QQ=='}}", "", true},
    {"{'ForAnyValue:BinaryEquals':{'kms:EncryptionContext:a':'QQ=='}}", "ctx:a=A", true},
    /* sets of values */
    {"{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "ctx:a=1|ctx:b=2", true},
    {"{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "ctx:a=1", true},
    {"{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "ctx:a=1|ctx:c=2", false},
    {"{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "", true},
    {"{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':'App'}}", "ctx:app=1",
     false}, /* names as values */
    {"{'ForAllValues:StringNotEquals':{'kms:EncryptionContextKeys':['a','b']}}", "ctx:c=1|ctx:d=2", true},
    {"{'ForAllValues:StringNotEquals':{'kms:EncryptionContextKeys':['a','b']}}", "ctx:b=1|ctx:c=2", false},
    {"{'ForAllValues:StringNotEquals':{'kms:EncryptionContextKeys':['a','b']}}", "", true},
    {"{'ForAnyValue:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "ctx:b=1|ctx:c=2", true},
    {"{'ForAnyValue:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "ctx:c=1", false},
    {"{'ForAnyValue:StringEquals':{'kms:EncryptionContextKeys':['a','b']}}", "", false},
    {"{'ForAnyValue:StringNotEquals':{'kms:EncryptionContextKeys':['a','b']}}", "ctx:b=1|ctx:c=2", true},
    {"{'ForAnyValue:StringNotEquals':{'kms:EncryptionContextKeys':['a','b']}}", "ctx:a=1|ctx:b=2", false},
    {"{'ForAnyValue:StringNotEquals':{'kms:EncryptionContextKeys':['a','b']}}", "", false},
    {"{'ForAnyValue:StringLike':{'kms:EncryptionContextKeys':'app-*'}}", "ctx:app-1=x", true},
    {"{'ForAnyValue:StringEqualsIfExists':{'kms:EncryptionContextKeys':'a'}}", "", true},
    {"{'ForAnyValue:StringEqualsIfExists':{'kms:EncryptionContextKeys':'a'}}", "ctx:b=1", false},
    {"{'ForAnyValue:StringEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:App=a", true},
    {"{'ForAnyValue:StringEquals':{'kms:EncryptionContext:App':'a'}}", "", false},
    {"{'ForAllValues:StringEquals':{'kms:RequestAlias':'alias/a'}}", "", true},
    {"{'ForAllValues:StringEquals':{'kms:RequestAlias':'alias/a'}}", "alias=alias/b", false},
    /* what only some operations have */
    {"{'StringEquals':{'kms:SigningAlgorithm':'RSASSA_PSS_SHA_256','kms:MessageType':'DIGEST'}}",
     "signing=RSASSA_PSS_SHA_256|message=DIGEST", true},
    {"{'StringEquals':{'kms:SigningAlgorithm':'RSASSA_PSS_SHA_256'}}", "mac=HMAC_SHA_256", false},
    {"{'StringEquals':{'kms:MacAlgorithm':'HMAC_SHA_256'}}", "mac=HMAC_SHA_256", true},
    {"{'StringLike':{'kms:OaepLabel':'prod/*'}}", "label=prod/mail", true},
    {"{'StringLike':{'kms:OaepLabel':'prod/*'}}", "label=production", false},
    {"{'StringLike':{'kms:OaepLabel':'*'}}", "", false},
    {"{'StringLike':{'kms:DataKeyPairSpec':'ECC_*'}}", "pair=ECC_NIST_P256", true},
    {"{'StringEquals':{'kms:GranteePrincipal':'" ADMIN "'}}", "grantee=" ADMIN, true},
    {"{'ArnLike':{'kms:RetiringPrincipal':'arn:aws:iam::*:role/*'}}", "retiring=" APP, true},
    {"{'StringEquals':{'kms:GrantConstraintType':'EncryptionContextEquals'}}",
     "constraint=EncryptionContextSubset", false},
    {"{'ForAllValues:StringEquals':{'kms:GrantOperations':['Encrypt','Decrypt']}}", "grantop=Decrypt", true},
    {"{'ForAllValues:StringEquals':{'kms:GrantOperations':['Encrypt','Decrypt']}}",
     "grantop=Decrypt|grantop=Sign", false},
    {"{'ForAnyValue:StringEquals':{'kms:GrantOperations':'Sign'}}", "grantop=Decrypt|grantop=Sign", true},
    {"{'StringEquals':{'kms:ExpirationModel':'KEY_MATERIAL_EXPIRES'},'DateLessThan':{'kms:ValidTo':'2027'}}",
     "expiration=KEY_MATERIAL_EXPIRES|validto=2026-12-31T23:59:59Z", true},
    {"{'NumericLessThanEquals':{'kms:ValidTo':'1795348800'}}", "validto=2026-11-22T12:00:01Z", false},
    {"{'Null':{'kms:ValidTo':'true'}}", "", true},
    {"{'StringEquals':{'kms:WrappingAlgorithm':'RSAES_OAEP_SHA_256','kms:WrappingKeySpec':'RSA_4096'}}",
     "wrapping=RSAES_OAEP_SHA_256|wrapspec=RSA_4096", true},
    {"{'NumericLessThanEquals':{'kms:RotationPeriodInDays':'365'}}", "rotation=365", true},
    {"{'NumericLessThanEquals':{'kms:RotationPeriodInDays':'365'}}", "rotation=366", false},
    {"{'NumericLessThanEquals':{'kms:RotationPeriodInDays':'365'}}", "", false},
    {"{'NumericGreaterThanEquals':{'kms:ScheduleKeyDeletionPendingWindowInDays':7}}", "window=7", true},
    {"{'StringEquals':{'aws:RequestTag/Env':'prod'}}", "newtag:env=prod", true},
    {"{'StringEquals':{'aws:RequestTag/Env':'prod'}}", "tag:env=prod", false},
    {"{'StringEquals':{'aws:ResourceTag/Env':'prod'}}", "tag:env=prod", true},
    {"{'StringNotEquals':{'aws:ResourceTag/Env':'prod'}}", "", true},
    {"{'ForAllValues:StringEquals':{'aws:TagKeys':['Env','Team']}}", "newtag:Env=a|rmtag=Team", true},
    {"{'ForAllValues:StringEquals':{'aws:TagKeys':['Env','Team']}}", "newtag:Env=a|rmtag=Other", false},
    {"{'StringEquals':{'kms:CustomerMasterKeySpec':'RSA_2048'}}", "spec=RSA_2048", true},
    /* parts of the principal */
    {"{'StringEquals':{'aws:PrincipalAccount':'123456789','kms:CallerAccount':'123456789'}}", "", true},
    {"{'Null':{'kms:CallerAccount':'true'}}", "who=spiffe://corp/app", true},
    {"{'Null':{'kms:CallerAccount':'true'}}", "who=arn:aws:s3::1:user/x", true},
    {"{'StringEquals':{'aws:username':'bob'}}", "who=arn:aws:iam::1:user/dev/bob", true},
    {"{'Null':{'aws:username':'true'}}", "who=arn:aws:iam::1:role/bob", true},
    {"{'Null':{'aws:username':'true'}}", "who=arn:aws:iam::1:user/bob/", true},
    {"{'StringEquals':{'aws:PrincipalType':'User'}}", "who=arn:aws:iam::1:user/bob", true},
    {"{'StringEquals':{'aws:PrincipalType':'Account'}}", "who=arn:aws:iam::1:root", true},
    {"{'StringEquals':{'aws:PrincipalType':'AssumedRole'}}", "who=arn:aws:sts::1:assumed-role/a/b", true},
    {"{'Null':{'aws:PrincipalType':'true'}}", "who=cn:bob", true},
    /* the same for all */
    {"{'StringEquals':{'aws:RequestedRegion':'local'}}", "", true},
    {"{'StringEquals':{'aws:RequestedRegion':'local'}}", "resource=", false},
    {"{'Bool':{'kms:MultiRegion':'false','aws:ViaAWSService':'false','aws:PrincipalIsAWSService':'false'}}",
     "", true},
    /* through SecretService, or not */
    {"{'StringEquals':{'kms:ViaService':'secretsmanager.us-east-1.amazonaws.com'}}",
     "via=secretsmanager.us-east-1.amazonaws.com", true},
    {"{'StringEquals':{'kms:ViaService':'secretsmanager.us-east-1.amazonaws.com'}}", "", false},
    {"{'StringEquals':{'kms:ViaService':'s3.us-east-1.amazonaws.com'}}",
     "via=secretsmanager.us-east-1.amazonaws.com", false},
    {"{'StringLike':{'kms:ViaService':'secretsmanager.*'}}", "via=secretsmanager.us-east-1.amazonaws.com",
     true},
    {"{'Null':{'kms:ViaService':'true'}}", "", true},
    {"{'Bool':{'aws:ViaAWSService':'true'}}", "via=secretsmanager.us-east-1.amazonaws.com", true},
    {"{'StringEquals':{'kms:ViaService':'s3.us-east-1.amazonaws.com'}}", "", false},
    {"{'StringNotEquals':{'kms:ViaService':'s3.us-east-1.amazonaws.com'}}", "", true},
    {"{'StringEqualsIfExists':{'kms:ViaService':'s3.us-east-1.amazonaws.com'}}", "", true},
    /* nobody has it: missing */
    {"{'Bool':{'aws:MultiFactorAuthPresent':'true'}}", "", false},
    {"{'BoolIfExists':{'aws:MultiFactorAuthPresent':'true'}}", "", true},
    {"{'StringEquals':{'aws:PrincipalOrgID':'o-1'}}", "", false},
    {"{'ForAnyValue:StringLike':{'aws:PrincipalOrgPaths':'*'}}", "", false},
    {"{'StringEquals':{'aws:PrincipalTag/team':'a'}}", "tag:team=a", false},
    /* exactly this pair and no other */
    {"{'StringEquals':{'kms:EncryptionContext:App':'a'},'ForAllValues:StringEquals':{'kms:"
     "EncryptionContextKeys':'App'}}",
     "ctx:App=a", true},
    {"{'StringEquals':{'kms:EncryptionContext:App':'a'},'ForAllValues:StringEquals':{'kms:"
     "EncryptionContextKeys':'App'}}",
     "ctx:App=a|ctx:Other=b", false},
};

static void holds(void)
{
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char document[1024];
        snprintf(document, sizeof document,
                 "{'Version':'2012-10-17','Statement':{'Effect':'Allow','Principal':'*','Action':'*','"
                 "Resource':'*',"
                 "'Condition':%s}}",
                 rows[i].condition);
        kms_policy *policy = parsed(document);
        bool allowed = decided(policy, rows[i].request).effect == KMS_ALLOW;
        CU_ASSERT_EQUAL(allowed, rows[i].holds);
        if (allowed != rows[i].holds) fprintf(stderr, "\n%s with %s\n", rows[i].condition, rows[i].request);
        kms_policy_drop(&policy);
    }
}

/* A Deny is not escaped by a second pair that differs in the case of its name only. */
static void ambiguous_values_denied(void)
{
    static const struct {
        const char *condition, *request;
        bool denied;
    } denials[] = {
        {"{'StringEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:APP=x|ctx:App=a", true},
        {"{'StringEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:APP=x|ctx:App=y", false},
        {"{'StringNotEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:APP=x|ctx:App=a", true},
        {"{'StringNotEquals':{'kms:EncryptionContext:App':'a'}}", "ctx:APP=a|ctx:App=a", false},
        {"{'StringNotEquals':{'kms:EncryptionContext:App':'a'}}", "", true},
        {"{'StringEquals':{'kms:EncryptionContext:App':'a'}}", "", false},
        {"{'StringNotEquals':{'aws:ResourceTag/Env':'dev'}}", "tag:env=dev|tag:Env=prod", true},
    };
    for (size_t i = 0; i < KMS_COUNT(denials); i++) {
        char document[1024];
        snprintf(document, sizeof document,
                 "{'Version':'2012-10-17','Statement':[{'Effect':'Allow','Principal':'*','Action':'*','"
                 "Resource':'*'},"
                 "{'Effect':'Deny','Principal':'*','Action':'*','Resource':'*','Condition':%s}]}",
                 denials[i].condition);
        kms_policy *policy = parsed(document);
        bool denied = decided(policy, denials[i].request).effect == KMS_DENY_EXPLICIT;
        CU_ASSERT_EQUAL(denied, denials[i].denied);
        if (denied != denials[i].denied)
            fprintf(stderr, "\n%s with %s\n", denials[i].condition, denials[i].request);
        kms_policy_drop(&policy);
    }
}

static void old_version(void)
{
    kms_policy *policy =
        parsed("{'Version':'2008-10-17','Statement':{'Effect':'Allow','Principal':'*','Action':'*',"
               "'Resource':'*','Condition':{'StringLike':{'kms:RequestAlias':'${*}'}}}}");
    CU_ASSERT_EQUAL(decided(policy, "alias=${x}").effect, KMS_ALLOW);
    CU_ASSERT_EQUAL(decided(policy, "alias=*").effect, KMS_DENY_IMPLICIT);
    kms_policy_drop(&policy);
}

KMS_TEST_MAIN("policy condition", {"holds as AWS says", holds},
              {"two values for one key do not escape a Deny", ambiguous_values_denied},
              {"before 2012 variables are literals", old_version})
