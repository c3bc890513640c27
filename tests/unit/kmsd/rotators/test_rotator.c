/* Rotators by name, and the type that needs nothing but random numbers. */
#include "kmsd/rotators/rotator.h"

#include "kmsd/rotators/runner.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static char no_text[] = "", name[] = "p", chars[] = "abc";
static struct kmsd_conf_rotator rotator;
static struct kmsd_conf conf;

static void set_up(void)
{
    rotator = (struct kmsd_conf_rotator){.name = name,
                                         .type = KMSD_ROTATOR_RANDOM,
                                         .database = no_text,
                                         .field = no_text,
                                         .length = 8,
                                         .alphabet = chars,
                                         .exclude_characters = no_text,
                                         .program = no_text,
                                         .user = no_text};
    conf = (struct kmsd_conf){.process_user = no_text, .rotators = &rotator, .rotators_count = 1};
}

static struct kms_rotation values(void)
{
    return (struct kms_rotation){.secret_name = "app",
                                 .arn = "arn",
                                 .token = "token",
                                 .current.bytes = kms_bytes_text("{\"password\":\"MARKER\"}")};
}

static void random_and_unknown(void)
{
    KMS_OWN(kms_rotators) rotators = NULL;
    kms_runner *runner = NULL;
    struct kms_why why = {{0}};
    struct kms_rotation r = values();
    char field[] = "password", other[] = "pass";
    set_up();
    KMS_ASSERT_OK_FATAL(kms_runner_start(&conf, &runner, &why));
    CU_ASSERT_PTR_NULL(runner); /* nothing to run, nobody to run it */
    KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, NULL, &rotators, &why));
    KMS_ASSERT_CODE(kms_rotator_step(rotators, "q", KMS_ROTATION_SET, &r, &why), ROTATOR_UNKNOWN);
    CU_ASSERT(kms_rotators_find(rotators, "q") == NULL && kms_rotators_admin_secret(rotators, "q") == NULL);
    CU_ASSERT_STRING_EQUAL(kms_rotators_admin_secret(rotators, "p"), "");
    char admin[] = "db/admin";
    struct kmsd_conf_database databases[] = {{.name = name, .admin_secret = no_text},
                                             {.name = name, .admin_secret = admin}};
    CU_ASSERT_FALSE(kms_rotators_administers(rotators, admin));
    conf.databases = databases;
    conf.databases_count = KMS_COUNT(databases);
    CU_ASSERT_TRUE(kms_rotators_administers(rotators, "db/admin"));
    CU_ASSERT_FALSE(kms_rotators_administers(rotators, "db/admin2"));
    conf.databases_count = 0;

    KMS_ASSERT_OK_FATAL(kms_rotator_step(rotators, "p", KMS_ROTATION_CREATE, &r, &why));
    CU_ASSERT_EQUAL(kms_secret_len(r.created), 8); /* no field: all of it */
    kms_secret_free(r.created);
    rotator.field = field;
    KMS_ASSERT_OK_FATAL(kms_rotator_step(rotators, "p", KMS_ROTATION_CREATE, &r, &why));
    CU_ASSERT_EQUAL(kms_secret_len(r.created), strlen("{\"password\":\"12345678\"}"));
    CU_ASSERT_EQUAL(memcmp(kms_secret_data(r.created), "{\"password\":\"", 13), 0);
    kms_secret_free(r.created);
    rotator.field = other;
    KMS_ASSERT_CODE(kms_rotator_step(rotators, "p", KMS_ROTATION_CREATE, &r, &why), VALUE_NOT_ROTATABLE);
    CU_ASSERT_STRING_EQUAL(why.text,
                           "rotator p, createSecret: the value is a JSON object without the one member pass");
    KMS_ASSERT_CODE(kms_rotator_step(rotators, "p", KMS_ROTATION_TEST, &r, &why), VALUE_NOT_ROTATABLE);
    r.pending.bytes = kms_bytes_text("x");
    KMS_ASSERT_OK(kms_rotator_step(rotators, "p", KMS_ROTATION_TEST, &r, &why));
    KMS_ASSERT_OK(kms_rotator_step(rotators, "p", KMS_ROTATION_FINISH, &r, &why));
    rotator.alphabet = no_text;
    rotator.require_each_included_type = true;
    rotator.length = 3;
    KMS_OWN(kms_rotators) none = NULL;
    KMS_ASSERT_CODE(kms_rotators_new(&conf, NULL, &none, &why), CONFIG_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "rotator p: the password is too short"));
}

/* A binary value, or one that is no object, is new as a whole. */
static void all_of_it(void)
{
    KMS_OWN(kms_rotators) rotators = NULL;
    char field[] = "password";
    set_up();
    rotator.field = field;
    KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, NULL, &rotators, NULL));
    for (int i = 0; i < 3; i++) {
        struct kms_rotation r = values();
        if (i == 0) r.current.bytes = kms_bytes_text("no object");
        if (i == 1) r.current.binary = true;
        if (i == 2) r.current.bytes = (struct kms_bytes){0};
        KMS_ASSERT_OK_FATAL(kms_rotator_step(rotators, "p", KMS_ROTATION_CREATE, &r, NULL));
        CU_ASSERT(kms_secret_len(r.created) == 8 && !r.created_binary);
        kms_secret_free(r.created);
    }
}

/* Memory, locked pages, random numbers: whatever is not to be had, nothing is left behind. */
static void every_failure_is_clean(void)
{
    char field[] = "password";
    set_up();
    rotator.field = field;
    FAULTS_EACH () {
        KMS_OWN(kms_rotators) rotators = NULL;
        struct kms_rotation r = values();
        kms_err err = kms_rotators_new(&conf, NULL, &rotators, NULL);
        if (!kms_failed(err)) err = kms_rotator_step(rotators, "p", KMS_ROTATION_CREATE, &r, NULL);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT_EQUAL(r.created == NULL, faults_hit());
        kms_secret_free(r.created);
    }
}

KMS_TEST_MAIN("rotators/rotator", {"random and unknown", random_and_unknown}, {"all of it", all_of_it},
              {"every failure is clean", every_failure_is_clean})
