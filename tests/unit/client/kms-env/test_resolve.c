/* What is decrypted, and what happens when it cannot be. */
#include "client/kms-env/resolve.h"

#include "tests/harness/faults.h"
#include "tests/unit/client/kms-env/resolving.h"

static void all_go_to_the_service_at_once(void)
{
    struct resolving r = {.inherited = {"A={A=one}", "B=plain"},
                          .files = {"C={C=two words}\nD=d", "E='{E=$x \"y\"}'\nF={F=}"},
                          .key = "alias/right"};
    resolve(&r);
    KMS_ASSERT_OK(r.err);
    CU_ASSERT_STRING_EQUAL(text_of(&r.got), "A=one|B=plain|C=two words|D=d|E=$x \"y\"|F=|");
    CU_ASSERT_EQUAL(r.service.calls, 1);
    CU_ASSERT_EQUAL(r.service.values, 4);
    resolving_done(&r);
}

static void without_ciphertext_nobody_is_asked(void)
{
    struct resolving r = {.inherited = {"A=1"}, .files = {"B=kms:v2:x"}, .down = true};
    resolve(&r);
    KMS_ASSERT_OK(r.err);
    CU_ASSERT_EQUAL(r.service.calls, 0);
    resolving_done(&r);
}

static void an_overwritten_ciphertext_is_not_decrypted(void)
{
    struct resolving r = {.inherited = {"A={A=one}"}, .files = {"A=2\nB={WRONG=x}", "B=3"}};
    resolve(&r);
    KMS_ASSERT_OK(r.err);
    CU_ASSERT_STRING_EQUAL(text_of(&r.got), "A=2|B=3|");
    CU_ASSERT_EQUAL(r.service.calls, 0);
    resolving_done(&r);
}

/* One bad value and nothing is started; all of them are told, with names and reasons, without values. */
static void failures_are_collected(void)
{
    static const char notes[] =
        "X (a.env:4): INVALID_CIPHERTEXT: ciphertext: not standard base64 with padding after kms:v1:\n"
        "S (a.env:1): INVALID_CIPHERTEXT: another context than default S\n"
        "T (a.env:2): INVALID_CIPHERTEXT: another context than default T\n";
    struct resolving r = {.files = {"S={T=hunter2}\nT={S=hunter3}\nU={U=fine}\nX=kms:v1:***\n"}};
    resolve(&r);
    KMS_ASSERT_CODE(r.err, INVALID_CIPHERTEXT);
    CU_ASSERT_STRING_EQUAL(text_of(&r.notes), notes);
    CU_ASSERT_STRING_EQUAL(r.why.text, "3 values could not be had: nothing was started");
    CU_ASSERT_EQUAL(r.got.len, 0);
    resolving_done(&r);
    struct resolving again = {.inherited = {"A=1"},
                              .files = {"S={T=x}\nT={S=y}\nU={U=fine}\nX=kms:v1:***\nP=p"},
                              .options = {.allow_missing = true}};
    resolve(&again);
    KMS_ASSERT_OK(again.err);
    CU_ASSERT_STRING_EQUAL(text_of(&again.got), "A=1|U=fine|P=p|");
    CU_ASSERT_STRING_EQUAL(text_of(&again.notes), notes);
    resolving_done(&again);
}

static void another_application_or_key_does_not_fit(void)
{
    struct resolving app = {.files = {"A={A=x}"}, .options = {.app = "shop"}};
    resolve(&app);
    KMS_ASSERT_CODE(app.err, INVALID_CIPHERTEXT);
    CU_ASSERT_STRING_EQUAL(text_of(&app.notes),
                           "A (a.env:1): INVALID_CIPHERTEXT: another context than shop A\n");
    resolving_done(&app);
    struct resolving noted = {.files = {"#kms-env app=shop\nA={A=x}"}};
    resolve(&noted);
    KMS_ASSERT_CODE(noted.err, INVALID_CIPHERTEXT);
    resolving_done(&noted);
    struct resolving flag = {.files = {"#kms-env app=shop\nA={A=x}"}, .options = {.app = "default"}};
    resolve(&flag);
    KMS_ASSERT_OK(flag.err);
    resolving_done(&flag);
    struct resolving key = {.inherited = {"A={A=x}"}, .key = "alias/wrong"};
    resolve(&key);
    KMS_ASSERT_CODE(key.err, INCORRECT_KEY);
    CU_ASSERT_STRING_EQUAL(text_of(&key.notes),
                           "A: INCORRECT_KEY: the ciphertext was made with another key than the one named\n");
    resolving_done(&key);
}

static void a_service_that_is_down_says_so(void)
{
    struct resolving r = {.files = {"A={A=x}"}, .down = true, .options = {.allow_missing = true}};
    resolve(&r);
    KMS_ASSERT_CODE(r.err, CONFIG_INVALID);
    CU_ASSERT_STRING_EQUAL(r.why.text, "no connection");
    resolving_done(&r);
}

static void references_are_fetched_once_each(void)
{
    struct resolving r = {
        .inherited = {"A=kms-secret://raw", "B={B=one}", "C=see kms-secret://raw"},
        .files = {"U=kms-secret://db#user\nP='kms-secret://db#port?stage=AWSCURRENT'\n"
                  "W=\"kms-secret://db?stage=AWSCURRENT#pass\"",
                  "O=kms-secret://raw?stage=AWSPREVIOUS\nV=kms-secret://raw?version=v1\n"
                  "E=kms-secret://empty\nDU=kms-db://ro#username\nDP=kms-db://ro#password"},
    };
    resolve(&r);
    KMS_ASSERT_OK(r.err);
    CU_ASSERT_STRING_EQUAL(
        text_of(&r.got),
        "A=s3cr3t|B=one|C=see kms-secret://raw|U=u|P=5432|W=p w|O=old|V=older|E=|DU=ro|DP=made|");
    CU_ASSERT_EQUAL(r.service.fetched, 6); /* raw three times, db, empty, the role */
    CU_ASSERT_EQUAL(r.service.calls, 1);
    resolving_done(&r);
}

static void failed_references_are_all_told(void)
{
    static const char notes[] =
        "X (a.env:4): INVALID_ARGUMENT: column 17 of the reference: a second field\n"
        "A: NOT_FOUND: secret gone: no such key, alias, secret, role or lease\n"
        "B (a.env:1): ACCESS_DENIED: secret denied: not allowed by policy\n"
        "C (a.env:2): NOT_FOUND: secret db, field nope: the secret has no such field\n"
        "D (a.env:3): INVALID_ARGUMENT: secret db, field none: the field is null\n";
    static const char file[] = "B=kms-secret://denied#x\nC=kms-secret://db#nope\nD=kms-secret://db#none\n"
                               "X=kms-secret://a#b#c\nG=kms-secret://raw";
    struct resolving r = {.inherited = {"A=kms-secret://gone"}, .files = {file}};
    resolve(&r);
    KMS_ASSERT_CODE(r.err, INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(text_of(&r.notes), notes);
    CU_ASSERT_STRING_EQUAL(r.why.text, "5 values could not be had: nothing was started");
    resolving_done(&r);
    struct resolving again = {
        .inherited = {"A=kms-secret://gone"}, .files = {file}, .options = {.allow_missing = true}};
    resolve(&again);
    KMS_ASSERT_OK(again.err);
    CU_ASSERT_STRING_EQUAL(text_of(&again.got), "G=s3cr3t|");
    resolving_done(&again);
    struct resolving down = {.files = {"A=kms-secret://raw"}, .down = true};
    resolve(&down);
    KMS_ASSERT_CODE(down.err, CONFIG_INVALID);
    resolving_done(&down);
}

/* The plaintext of job 0 becomes NUL, that of job 1 too long. */
static kms_err odd_values(void *self, struct kms_env_job *jobs, size_t count, struct kms_why *why)
{
    (void)why;
    for (size_t i = 0; i < count; i++) {
        KMS_ASSERT_OK_FATAL(kms_secret_new(i == 1 ? KMS_ENV_STRING_BYTES - 2 : 3, &jobs[i].plaintext));
        memset(kms_secret_data(jobs[i].plaintext), i == 0 ? 0 : 'x', kms_secret_len(jobs[i].plaintext));
    }
    *(size_t *)self = count;
    return KMS_OK;
}

static void what_no_environment_can_hold_is_refused(void)
{
    KMS_OWN_BUF text = {0}, notes = {0};
    KMS_OWN(kms_dotenv) document = NULL;
    KMS_OWN(kms_env_plan) plan = NULL;
    struct kms_env_options options = {.fallback_app = "default"};
    struct kms_why why = {0};
    char *nothing[] = {NULL};
    size_t seen = 0;
    fake_text(&text, "default", "A={A=x}\nB={B=x}\nC={C=x}\n");
    KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_buf_view(&text), KMS_DOTENV_COMPOSE, &document, NULL));
    struct kms_env_input input = {"a.env", document};
    KMS_ASSERT_OK_FATAL(
        kms_env_plan_new((struct kms_env_sources){nothing, &input, 1}, &options, &plan, &notes, &why));
    kms_err err = kms_env_plan_resolve(
        plan, NULL, (struct kms_env_providers){.decrypter = {odd_values, &seen}}, &notes, &why);
    KMS_ASSERT_CODE(err, INVALID_ARGUMENT);
    CU_ASSERT_EQUAL(seen, 3);
    CU_ASSERT_STRING_EQUAL(
        text_of(&notes),
        "A (a.env:1): INVALID_ARGUMENT: holds a NUL byte, which an environment cannot\n"
        "B (a.env:2): LIMIT_EXCEEDED: longer than the 131072 bytes that Linux takes in one variable\n");
}

static void failures_leak_nothing(void)
{
    KMS_OWN_BUF text = {0};
    KMS_OWN(kms_dotenv) document = NULL;
    struct kms_env_options options = {.fallback_app = "default"};
    char inherited[] = "B=2", *environment[] = {inherited, NULL};
    fake_text(&text, "default", "A={A=x}\nB=3\nC=kms:v1:*\n");
    KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_buf_view(&text), KMS_DOTENV_COMPOSE, &document, NULL));
    struct kms_env_input input = {"a.env", document};
    options.allow_missing = true;
    FAULTS_EACH () {
        KMS_OWN_BUF notes = {0};
        KMS_OWN(kms_env_plan) plan = NULL;
        struct fake_service service = {.down = false};
        char *const *child = NULL;
        struct kms_why why = {0};
        kms_err err =
            kms_env_plan_new((struct kms_env_sources){environment, &input, 1}, &options, &plan, &notes, &why);
        if (!kms_failed(err)) {
            kms_env_jobs *jobs = NULL;
            err =
                kms_env_jobs_new(1, &jobs); /* the fake service asserts, so only what is around it may fail */
            kms_env_jobs_free(jobs);
        }
        if (!kms_failed(err)) err = kms_env_plan_environment(plan, &child);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        if (!kms_failed(err))
            KMS_ASSERT_OK(kms_env_plan_resolve(plan, NULL, fake_providers(&service), &notes, &why));
    }
}

KMS_TEST_MAIN("client/kms-env/resolve", {"all go to the service at once", all_go_to_the_service_at_once},
              {"without ciphertext nobody is asked", without_ciphertext_nobody_is_asked},
              {"an overwritten ciphertext is not decrypted", an_overwritten_ciphertext_is_not_decrypted},
              {"failures are collected", failures_are_collected},
              {"another application or key does not fit", another_application_or_key_does_not_fit},
              {"a service that is down says so", a_service_that_is_down_says_so},
              {"references are fetched once each", references_are_fetched_once_each},
              {"failed references are all told", failed_references_are_all_told},
              {"what no environment can hold is refused", what_no_environment_can_hold_is_refused},
              {"failures leak nothing", failures_leak_nothing})
