/* Starting: every way the token can be missing has its own error, and a wrong PIN is tried once. */
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/suite.h"
#include "tests/unit/hsm/pool_fixture.h"

static struct pool_fixture f;

static void init_makes_root_keys_once(void)
{
    CU_ASSERT_FATAL(pool_prepare(&f, kms_temp_dir(), "token"));
    KMS_ASSERT_CODE(pool_open(&f), ROOT_KEYS_MISSING);
    KMS_ASSERT_OK_FATAL(pool_init(&f));
    KMS_ASSERT_CODE(pool_init(&f), ROOT_KEYS_EXIST);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.why.text, "root-"));
    KMS_ASSERT_OK(pool_open(&f));
    pool_close(&f);
}

static void missing_parts_are_named(void)
{
    static const struct {
        const char *uri;
        enum kms_code code;
    } cases[] = {
        {"pkcs11:token=kmsd?module-path=/nowhere.so&pin-source=file:%s", KMS_E_MODULE_UNAVAILABLE},
        {"pkcs11:token=kmsd?module-path=/etc/passwd&pin-source=file:%s", KMS_E_MODULE_UNAVAILABLE},
        {"pkcs11:token=kmsd?module-path=/lib/x86_64-linux-gnu/libc.so.6&pin-source=file:%s",
         KMS_E_MODULE_UNAVAILABLE},
        {"pkcs11:token=kmsd?pin-source=file:%s", KMS_E_CONFIG_INVALID},
        {"pkcs11:token=kmsd?module-path=/m.so&pin-value=1&pin-source=file:%s", KMS_E_CONFIG_INVALID},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        char uri[1024];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(uri, sizeof uri, cases[i].uri, f.token.pin_path);
#pragma GCC diagnostic pop
        f.options.uri = uri;
        f.why.text[0] = '\0';
        kms_err err = pool_open(&f);
        CU_ASSERT_EQUAL(err.code, cases[i].code);
        CU_ASSERT_TRUE(strlen(f.why.text) > 10);
    }
    char other[1100];
    snprintf(other, sizeof other, "pkcs11:token=other%s", strchr(f.token.shim_uri, '?'));
    f.options.uri = other;
    KMS_ASSERT_CODE(pool_open(&f), TOKEN_NOT_FOUND);
    f.options.uri = f.token.shim_uri;
    f.options.worker_path = "/nowhere/kms-hsm";
    KMS_ASSERT_CODE(pool_open(&f), HSM_UNAVAILABLE);
    f.options.worker_path = "/bin/false"; /* ends without a word */
    KMS_ASSERT_CODE(pool_open(&f), HSM_UNAVAILABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.why.text, "status 1"));
}

/* As SoftHSM does while a killed process's files are being let go. */
static void a_token_that_hides_is_looked_for_again(void)
{
    CU_ASSERT_FATAL(pool_prepare(&f, kms_temp_dir(), "hides"));
    KMS_ASSERT_OK_FATAL(pool_init(&f));
    char path[300];
    snprintf(path, sizeof path, "%s/shim-hide", f.token.dir);
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fclose(file);
    KMS_ASSERT_OK(pool_open(&f));
    pool_close(&f);
}

static void pin_files_must_be_private(void)
{
    CU_ASSERT_FATAL(pool_prepare(&f, kms_temp_dir(), "pin"));
    KMS_ASSERT_OK_FATAL(pool_init(&f));
    size_t before = softhsm_logins(&f.token);
    chmod(f.token.pin_path, 0640);
    KMS_ASSERT_CODE(pool_open(&f), CONFIG_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.why.text, "chmod 0600"));
    CU_ASSERT_TRUE(softhsm_write_pin(&f.token, "\n"));
    KMS_ASSERT_CODE(pool_open(&f), CONFIG_INVALID);
    unlink(f.token.pin_path);
    KMS_ASSERT_CODE(pool_open(&f), CONFIG_INVALID);
    CU_ASSERT_EQUAL(softhsm_logins(&f.token), before);
}

static void a_wrong_pin_is_tried_once(void)
{
    size_t before = softhsm_logins(&f.token);
    CU_ASSERT_TRUE(softhsm_write_pin(&f.token, "999999\n"));
    for (unsigned i = 0; i < 3; i++) {
        KMS_ASSERT_CODE(pool_open(&f), PIN_REFUSED);
        CU_ASSERT_PTR_NULL(strstr(f.why.text, "999999"));
        CU_ASSERT_EQUAL(softhsm_logins(&f.token), before + 1);
    }
    usleep(20000); /* the clock of the file system is coarse */
    CU_ASSERT_TRUE(softhsm_write_pin(&f.token, SOFTHSM_PIN "\n"));
    KMS_ASSERT_OK(pool_open(&f));
    pool_wait_healthy(&f, 2);
    pool_close(&f);
    CU_ASSERT_EQUAL(softhsm_logins(&f.token), before + 3);
    KMS_ASSERT_OK(pool_open(&f)); /* the mark is gone */
    pool_close(&f);
}

static int give_to(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return lchown(path, 65534, 65534);
}

/* Run by root, with a token that belongs to nobody: the workers are nobody's processes. */
static void workers_have_a_user_of_their_own(void)
{
    if (geteuid() != 0) return;
    CU_ASSERT_FATAL(pool_prepare(&f, kms_temp_dir(), "user"));
    chmod(kms_temp_dir(), 0711);
    nftw(f.token.dir, give_to, 8, FTW_PHYS);
    f.options.worker_user = "no-such-user-here";
    KMS_ASSERT_CODE(pool_init(&f), HSM_UNAVAILABLE);
    f.options.worker_user = "nobody";
    kms_err err = pool_init(&f);
    if (kms_is(err, KMS_E_HSM_UNAVAILABLE)) return; /* nobody cannot reach this build tree */
    KMS_ASSERT_OK_FATAL(err);
    KMS_ASSERT_OK_FATAL(pool_open(&f));
    pool_wait_healthy(&f, 2);
    pid_t pids[8];
    size_t count = pool_workers(&f, pids, 8);
    CU_ASSERT_EQUAL(count, 2);
    for (size_t i = 0; i < count; i++) {
        char path[64], text[2048] = "";
        snprintf(path, sizeof path, "/proc/%d/status", (int)pids[i]);
        FILE *file = fopen(path, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        CU_ASSERT_TRUE(fread(text, 1, sizeof text - 1, file) > 0);
        fclose(file);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "Uid:\t65534\t65534\t65534\t65534"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "NoNewPrivs:\t1"));
    }
    pool_close(&f);
}

KMS_TEST_MAIN("hsm/pool start", {"init makes root keys once", init_makes_root_keys_once},
              {"missing parts are named", missing_parts_are_named},
              {"a token that hides is looked for again", a_token_that_hides_is_looked_for_again},
              {"PIN files must be private", pin_files_must_be_private},
              {"a wrong PIN is tried once", a_wrong_pin_is_tried_once},
              {"workers have a user of their own", workers_have_a_user_of_their_own})
