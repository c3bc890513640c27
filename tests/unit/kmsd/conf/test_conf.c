/* kmsd.yaml: defaults, what must hold between options, the sample. */
#include "kmsd/conf/conf.h"

#include <stdio.h>

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

/* The least that a working file says; cases below add to it. */
#define TLS    "tls: {cert: c.pem, key: k.pem, client_ca: ca.pem}\n"
#define POLICY "policy: {service: s.json}\n"
#define HSM    "hsm: {uri: 'pkcs11:token=kmsd?module-path=/lib/x.so&pin-source=file:/etc/pin'}\n"
#define LEAST  TLS POLICY HSM
#define LOCAL  POLICY HSM "listen:\n  tls: ''\n  unix:\n"

static kms_err load(const char *text, kmsd_conf **ret_conf, struct kms_why *why)
{
    char path[128];
    snprintf(path, sizeof path, "%s/kmsd.yaml", kms_temp_dir());
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
    return kmsd_conf_load(path, ret_conf, why);
}

static void defaults(void)
{
    KMS_OWN(kmsd_conf) c = NULL;
    KMS_ASSERT_OK_FATAL(load(LEAST, &c, NULL));
    CU_ASSERT_STRING_EQUAL(c->listen_tls, "127.0.0.1:8443");
    CU_ASSERT(c->listen_unix_count == 0 && !c->authn_allow_cn &&
              c->policy_separation == KMSD_SEPARATION_ENFORCE);
    CU_ASSERT(c->hsm_workers == 0 && c->hsm_deadline_ms == 2000 && c->hsm_keygen_deadline_ms == 30000);
    CU_ASSERT(c->hsm_quarantine_ms == 60000 && c->hsm_start_timeout_ms == 10000 &&
              c->hsm_cached_keys == 4096);
    CU_ASSERT(c->audit_segment_bytes == 64 * 1024 * 1024 && c->rpc_drain_ms == 10000);
    CU_ASSERT(c->limits_calls == 1024 && c->limits_message_bytes == 256 * 1024 &&
              c->limits_locked_memory_bytes == 0);
    CU_ASSERT(c->limits_rate_per_principal == 100000 && c->limits_refused_per_second == 50);
    CU_ASSERT_STRING_EQUAL(c->arn_account, "000000000000");
    CU_ASSERT_EQUAL(c->log_level, KMS_LOG_INFO);
    char want[128];
    snprintf(want, sizeof want, "%s/c.pem", kms_temp_dir());
    CU_ASSERT_STRING_EQUAL(c->tls_cert, want);
}

static void sockets(void)
{
    KMS_OWN(kmsd_conf) c = NULL;
    KMS_ASSERT_OK_FATAL(load(
        LOCAL "  - path: a.sock\n    mode: 0600\n    principal: unix:app\n    protocol: sops\n"
              "  - {path: /b.sock, uids: [{uid: 0, principal: unix:root}, {uid: 1000, principal: unix:me}]}\n"
              "sops: {keys: [{type: hc_vault, name: 'https://v/v1/transit/keys/a', key: alias/a}, "
              "{name: b, key: alias/b}]}\n",
        &c, NULL));
    CU_ASSERT_EQUAL_FATAL(c->listen_unix_count, 2);
    CU_ASSERT(c->listen_unix[0].mode == 0600 && c->listen_unix[1].mode == 0660);
    CU_ASSERT_EQUAL_FATAL(c->listen_unix[1].uids_count, 2);
    CU_ASSERT_EQUAL(c->listen_unix[1].uids[1].uid, 1000);
    CU_ASSERT(c->listen_unix[0].protocol == KMSD_PROTOCOL_SOPS &&
              c->listen_unix[1].protocol == KMSD_PROTOCOL_KMS);
    CU_ASSERT_EQUAL_FATAL(c->sops_keys_count, 2);
    CU_ASSERT(c->sops_keys[0].type == KMSD_SOPS_HC_VAULT && c->sops_keys[1].type == KMSD_SOPS_KMS);
    CU_ASSERT_STRING_EQUAL(c->listen_unix[1].uids[1].principal, "unix:me");
}

static const struct {
    const char *text, *why; /* part of the message */
} refused[] = {
    {"", "option 'policy.service': missing"},
    {TLS POLICY, "option 'hsm.uri': missing"},
    {POLICY HSM, "option 'tls.cert': missing"},
    {POLICY HSM "tls: {cert: a}\n", "option 'tls.key': missing"},
    {POLICY HSM "tls: {cert: a, key: b}\n", "option 'tls.client_ca': missing"},
    {LEAST "listen: {tls: ''}\n", "option 'listen': neither tls nor unix"},
    {LEAST "listen: {tls: 8443}\n", "option 'listen.tls': not host:port"},
    {LEAST "listen: {tls: 'a:'}\n", "option 'listen.tls': not host:port"},
    {LEAST "listen: {tls: 'a:65536'}\n", "option 'listen.tls': not host:port"},
    {LEAST "listen: {tls: '::1:8443'}\n", "option 'listen.tls': not host:port"},
    {LOCAL "  - {path: a}\n", "neither principal nor uids"},
    {LOCAL "  - {path: a, uids: [{uid: 65534, principal: x}]}\n", "uid 65534"},
    {LOCAL "  - {path: a, uids: [{uid: 4294967295, principal: x}]}\n",
     ":6: option 'listen.unix[0].uids[0].uid': out of range"},
    {LOCAL "  - {path: a, uids: [{uid: 1, principal: x}, {uid: 1, principal: y}]}\n",
     "a uid is listed twice"},
    {LOCAL "  - {path: a, principal: x}\n  - {path: a, principal: y}\n", "two sockets have one path"},
    {LOCAL "  - {path: a, principal: x, mode: 0888}\n", "'listen.unix[0].mode': not an octal number"},
    {LOCAL "  - {path: a, principal: x, protocol: smtp}\n",
     "listen.unix[0].protocol': not one of the choices"},
    {LOCAL "  - {path: a, principal: x, protocol: csi}\n",
     "option 'listen.unix[0].pods': a socket of protocol csi needs at least one item"},
    {LOCAL "  - {path: a, principal: x, pods: [{namespace: n, principal: p}]}\n",
     "option 'listen.unix[0].pods': only a socket of protocol csi has them"},
    {LOCAL "  - {path: a, principal: x, protocol: csi, key: alias/k, pods: [{namespace: n, principal: p}]}\n",
     "option 'listen.unix[0].key': only a socket of protocol kubernetes has one"},
    {LOCAL "  - {path: a, principal: x, protocol: csi, pods: [{service_account: s, principal: p}]}\n",
     "option 'listen.unix[0].pods[0].namespace': missing"},
    {LOCAL "  - {path: a, principal: x, protocol: csi, pods: [{namespace: n, principal: p}, "
           "{namespace: n, service_account: s, principal: p}, {namespace: n, principal: q}]}\n",
     "option 'listen.unix[0].pods[2]': namespace and service_account are there twice"},
    {LEAST "listen: {sops_tcp: [{principal: p, i_accept_any_local_user: true}]}\n",
     "sops_tcp[0].address': missing"},
    {LEAST "listen: {sops_tcp: [{address: '127.0.0.1:1', i_accept_any_local_user: true}]}\n",
     "option 'listen.sops_tcp[0].principal': missing"},
    {LEAST "listen: {sops_tcp: [{address: '127.0.0.1:1', principal: p}]}\n",
     "option 'listen.sops_tcp[0].i_accept_any_local_user': must be true"},
    {LEAST "listen: {sops_tcp: [{address: '127.0.0.1:1', principal: p, i_accept_any_local_user: true}, "
           "{address: '0.0.0.0:1', principal: p, i_accept_any_local_user: true}]}\n",
     "option 'listen.sops_tcp[1].address': not one of the loopback interface"},
    {LEAST "sops: {keys: [{name: a}]}\n", "option 'sops.keys[0].key': missing"},
    {LEAST "sops: {keys: [{type: ssh, name: a, key: b}]}\n", "allowed: one of: kms, pgp, gcp_kms, azure_kv"},
    {LEAST "sops: {keys: [{name: a, key: b}, {type: age, name: a, key: b}, {name: a, key: c}]}\n",
     "option 'sops.keys[2].name': there twice"},
    {TLS POLICY "hsm: {uri: /usr/lib/x.so}\n", "option 'hsm.uri': does not begin with pkcs11:"},
    {TLS POLICY "hsm: {uri: 'pkcs11:token=t?pin-value=31337'}\n", "use pin-source"},
    {TLS POLICY "hsm: {uri: 'pkcs11:token=t', workers: 65}\n",
     ":3: option 'hsm.workers': out of range; allowed: 0 to 64 processes"},
    {TLS POLICY "hsm: {uri: 'pkcs11:token=t', deadline: 61s}\n",
     "option 'hsm.deadline': out of range; allowed: 10ms to 1m"},
    {TLS HSM "policy: {service: s, separation: off}\n", "allowed: one of: enforce, warn"},
    {LEAST "arn: {account: '00000000000x'}\n", "option 'arn.account': not 12 digits"},
    {LEAST "arn: {account: '1'}\n", "option 'arn.account': too short"},
    {LEAST "arn: {region: 'a:b'}\n", "option 'arn.region': holds a colon"},
    {LEAST "audit: {instance: a/b}\n", "option 'audit.instance': holds a slash"},
    {LEAST "audit: {segment: 511KiB}\n", "allowed: 512KiB to 4GiB"},
    {LEAST "log: {level: trace}\n", "one of: error, warn, info, debug"},
    {LEAST "hsms: {}\n", ":4: option 'hsms': no such option"},
    {LEAST "databases: [{name: a}]\n", ":4: option 'databases[0].host': missing"},
    {LEAST "databases: [{name: a, host: b}]\n", "option 'databases[0].sslrootcert': missing"},
    {LEAST "databases: [{name: a b, host: /b}]\n", "option 'databases[0].name': a character"},
    {LEAST "databases: [{name: a, host: /b}, {name: a, host: /b}]\n", "'databases[1].name': there twice"},
    {LEAST "databases: [{name: a, host: 'b,c'}]\n", "option 'databases[0].host': one host"},
    {LEAST "databases: [{name: a, host: b, hostaddr: '1,2'}]\n",
     "option 'databases[0].hostaddr': one address"},
    {LEAST "databases: [{name: a, host: /b, sslmode: prefer}]\n", "allowed: one of: verify-full, verify-ca"},
    {LEAST "databases: [{name: a, host: /b, password: c}]\n",
     ":4: option 'databases[0].password': no such option"},
    {LEAST "rotators: [{name: a, type: mysql}]\n", ":4: option 'rotators[0].type': not one of the choices"},
    {LEAST "rotators: [{name: a/b}]\n", "option 'rotators[0].name': a character"},
    {LEAST "rotators: [{name: a}, {name: a}]\n", "option 'rotators[1].name': there twice"},
    {LEAST "rotators: [{name: a, database: b}]\n", "option 'rotators[0].database': this type uses none"},
    {LEAST "rotators: [{name: a, type: postgresql}]\n", "option 'rotators[0].database': missing"},
    {LEAST "rotators: [{name: a, type: postgresql, database: b}]\n", "'rotators[0].database': no such item"},
    {LEAST
     "databases: [{name: b, host: /c}]\nrotators: [{name: a, type: postgresql-alternating, database: b}]\n",
     "it has no admin_secret"},
    {LEAST "rotators: [{name: a, type: program}]\n", "option 'rotators[0].program': missing"},
    {LEAST "rotators: [{name: a, program: /b}]\n", "option 'rotators[0].program': only type program"},
    {LEAST "rotators: [{name: a, user: b}]\n", "option 'rotators[0].user': only type program"},
    {LEAST "rotators: [{name: a, alphabet: \"a\\u00e4\"}]\n",
     "option 'rotators[0].alphabet': only printable"},
    {LEAST "rotators: [{name: a, exclude_characters: \"\\t\"}]\n", "'rotators[0].exclude_characters': only"},
};

static void what_is_refused(void)
{
    for (size_t i = 0; i < KMS_COUNT(refused); i++) {
        KMS_OWN(kmsd_conf) c = NULL;
        struct kms_why why = {{0}};
        KMS_ASSERT_CODE(load(refused[i].text, &c, &why), CONFIG_INVALID);
        CU_ASSERT_PTR_NULL(c);
        bool as_said = strstr(why.text, refused[i].why) != NULL && strstr(why.text, "kmsd.yaml:") != NULL;
        if (!as_said) fprintf(stderr, "\n%s got: %s\nwant: %s\n", refused[i].text, why.text, refused[i].why);
        CU_ASSERT(as_said);
        CU_ASSERT_PTR_NULL(strstr(why.text, "31337")); /* a PIN is never repeated */
    }
}

static void rotators(void)
{
    KMS_OWN(kmsd_conf) c = NULL;
    KMS_ASSERT_OK_FATAL(load(
        LEAST "databases:\n  - {name: main, host: db.example, sslrootcert: ca.pem, admin_secret: app/admin}\n"
              "  - {name: local, host: /run/postgresql, connect_timeout: 1s}\n"
              "rotators:\n  - {name: r}\n  - {name: p, type: postgresql-alternating, database: main}\n"
              "  - {name: x, type: program, program: /usr/bin/true, user: nobody}\n",
        &c, NULL));
    CU_ASSERT(c->databases_count == 2 && c->rotators_count == 3);
    CU_ASSERT(c->databases[0].port == 5432 && c->databases[0].sslmode == KMSD_SSL_VERIFY_FULL &&
              c->databases[1].connect_timeout_ms == 1000 && c->databases[1].statement_timeout_ms == 30000);
    CU_ASSERT_STRING_EQUAL(c->databases[0].dbname, "postgres");
    CU_ASSERT(c->rotators[0].type == KMSD_ROTATOR_RANDOM && c->rotators[0].length == 32 &&
              c->rotators[0].require_each_included_type);
    CU_ASSERT_STRING_EQUAL(c->rotators[0].exclude_characters, ":/@\"'\\");
    CU_ASSERT_STRING_EQUAL(c->rotators[0].field, "password");
}

static void dump_and_sample(void)
{
    KMS_OWN(kmsd_conf) first = NULL;
    KMS_OWN(kmsd_conf) again = NULL;
    KMS_OWN_BUF text = {0}, second = {0}, sample = {0};
    KMS_ASSERT_OK_FATAL(
        load(LEAST "listen: {unix: [{path: a, uids: [{uid: 5, principal: x}]}]}\n", &first, NULL));
    KMS_ASSERT_OK_FATAL(kmsd_conf_print(first, &text));
    KMS_ASSERT_OK_FATAL(load((const char *)text.data, &again, NULL));
    KMS_ASSERT_OK_FATAL(kmsd_conf_print(again, &second));
    CU_ASSERT_STRING_EQUAL(text.data, second.data);

    KMS_ASSERT_OK_FATAL(kmsd_conf_print_sample(&sample));
    struct kms_why why = {{0}};
    KMS_OWN(kmsd_conf) none = NULL;
    KMS_ASSERT_CODE(load((const char *)sample.data, &none, &why), CONFIG_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "missing")); /* it is read up to what must be given */
}

static void every_failure_is_clean(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/kmsd.yaml", kms_temp_dir());
    KMS_OWN(kmsd_conf) written = NULL;
    KMS_ASSERT_OK_FATAL(load(LEAST, &written, NULL));
    FAULTS_EACH () {
        KMS_OWN(kmsd_conf) c = NULL;
        kms_err err = kmsd_conf_load(path, &c, NULL);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT_EQUAL(c == NULL, faults_hit());
    }
}

KMS_TEST_MAIN("kmsd/conf", {"defaults", defaults}, {"sockets", sockets}, {"rotators", rotators},
              {"what is refused", what_is_refused}, {"dump and sample", dump_and_sample},
              {"every failure is clean", every_failure_is_clean})
