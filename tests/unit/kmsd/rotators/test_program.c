/* The type program with real programs: what they get, what they may do, and every way in which they fail. */
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kmsd/rotators/rotator.h"
#include "kmsd/rotators/runner.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static char no_text[] = "", name[] = "p", chars[] = "abc";

/* A file with this text in the test's folder; its path. */
static char *file_of(const char *file_name, const char *text, mode_t mode)
{
    static char path[300];
    chmod(kms_temp_dir(), 0711); /* programs run as nobody, too */
    snprintf(path, sizeof path, "%s/%s", kms_temp_dir(), file_name);
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
    CU_ASSERT_EQUAL_FATAL(chmod(path, mode), 0);
    return path;
}

static struct kmsd_conf_rotator rotator;
static struct kmsd_conf conf;

static void set_up(char *path, char *user, uint32_t timeout_ms)
{
    rotator = (struct kmsd_conf_rotator){.name = name,
                                         .type = KMSD_ROTATOR_PROGRAM,
                                         .database = no_text,
                                         .field = no_text,
                                         .length = 8,
                                         .alphabet = chars,
                                         .exclude_characters = no_text,
                                         .program = path,
                                         .user = user,
                                         .timeout_ms = timeout_ms};
    conf = (struct kmsd_conf){.process_user = no_text, .rotators = &rotator, .rotators_count = 1};
}

/* What the steps are told of here. */
static struct kms_rotation values(void)
{
    return (struct kms_rotation){.secret_name = "app/db",
                                 .arn = "arn:aws:secretsmanager:x:0:secret:app/db-abcdef",
                                 .token = "11111111-2222-4333-8444-555555555555",
                                 .current.bytes = kms_bytes_text("{\"password\":\"MARKER-\\\"one\\\"\"}"),
                                 .previous = {kms_bytes_of("\x00\xff", 2), true}};
}

static kms_err run(const char *text, enum kms_rotation_step step, uint32_t timeout_ms, struct kms_rotation *r,
                   struct kms_why *why)
{
    kms_runner *runner = NULL;
    KMS_OWN(kms_rotators) rotators = NULL;
    set_up(file_of("program", text, 0755), no_text, timeout_ms);
    KMS_ASSERT_OK_FATAL(kms_runner_start(&conf, &runner, why));
    KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, runner, &rotators, why));
    kms_err err = kms_rotator_step(rotators, "p", step, r, why);
    kms_runner_stop(runner);
    return err;
}

static void the_question(void)
{
    struct kms_rotation r = values();
    struct kms_why why = {{0}};
    KMS_ASSERT_OK_FATAL(run("#!/bin/sh\nprintf '{\"SecretBinary\":\"%s\"}\\n' \"$(base64 -w0)\"\n",
                            KMS_ROTATION_CREATE, 20000, &r, &why));
    CU_ASSERT_TRUE(r.created_binary);
    static const char want[] =
        "{\"Step\":\"createSecret\",\"SecretId\":\"arn:aws:secretsmanager:x:0:secret:app/db-abcdef\","
        "\"SecretName\":\"app/db\",\"ClientRequestToken\":\"11111111-2222-4333-8444-555555555555\","
        "\"Current\":\"{\\\"password\\\":\\\"MARKER-\\\\\\\"one\\\\\\\"\\\"}\",\"PreviousBinary\":\"AP8=\"}"
        "\n";
    CU_ASSERT_PTR_NOT_NULL_FATAL(r.created);
    CU_ASSERT_EQUAL_FATAL(kms_secret_len(r.created), strlen(want));
    CU_ASSERT_EQUAL(memcmp(kms_secret_data(r.created), want, strlen(want)), 0);
    CU_ASSERT_STRING_EQUAL(r.said, "");
    kms_secret_free(r.created);
}

/* Everything a program could inherit is not there. */
static void what_a_program_has(void)
{
    static const char script[] =
        "#!/bin/sh\n"
        "environment=$(tr '\\0' ' ' </proc/$$/environ)\n"
        "open=$(ls /proc/self/fd | tr '\\n' ' ')\n" /* 3 is the folder that ls itself has open */
        "limits=$(awk '/core file/ {print $5}' /proc/$$/limits)\n"
        "privileges=$(awk '/NoNewPrivs/ {print $2}' /proc/$$/status)\n"
        "printf '{\"SecretString\":\"%s|%s|%s|%s|%s|%s\"}' \"$environment\" \"$(pwd)\" \"$open\" \"$limits\" "
        "\"$privileges\" \"$#\"\n";
    struct kms_rotation r = values();
    struct kms_why why = {{0}};
    setenv("MARKER_VARIABLE", "x", 1);
    KMS_ASSERT_OK_FATAL(run(script, KMS_ROTATION_CREATE, 20000, &r, &why));
    static const char want[] =
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "
        "|/|0 1 2 3 |1|1|0";
    CU_ASSERT_PTR_NOT_NULL_FATAL(r.created);
    bool same = kms_secret_len(r.created) == strlen(want) &&
                memcmp(kms_secret_data(r.created), want, strlen(want)) == 0;
    if (!same) fprintf(stderr, "\n%.*s\n", (int)kms_secret_len(r.created), kms_secret_data(r.created));
    CU_ASSERT_TRUE(same);
    kms_secret_free(r.created);
}

static void its_own_user(void)
{
    char nobody[] = "nobody", root[] = "root", unknown[] = "no-such-user-here";
    kms_runner *runner = NULL;
    struct kms_why why = {{0}};
    set_up(file_of("program", "#!/bin/sh\nprintf '{\"SecretString\":\"%s %s\"}' \"$(id -u)\" \"$(id -G)\"\n",
                   0755),
           unknown, 20000);
    KMS_ASSERT_CODE(kms_runner_start(&conf, &runner, &why), CONFIG_INVALID);
    CU_ASSERT_STRING_EQUAL(why.text, "option 'rotators[0].user': no such user");
    if (geteuid() != 0) {
        rotator.user = root;
        KMS_ASSERT_CODE(kms_runner_start(&conf, &runner, &why), CONFIG_INVALID);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "only a kmsd that starts as root"));
        return;
    }
    const struct passwd *entry = getpwnam(nobody);
    char want[64];
    snprintf(want, sizeof want, "%u %u", entry->pw_uid, entry->pw_gid);
    for (int by_process = 0; by_process < 2; by_process++) { /* without user: as kmsd itself */
        KMS_OWN(kms_rotators) rotators = NULL;
        struct kms_rotation r = values();
        rotator.user = by_process ? no_text : nobody;
        conf.process_user = by_process ? nobody : no_text;
        KMS_ASSERT_OK_FATAL(kms_runner_start(&conf, &runner, &why));
        KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, runner, &rotators, &why));
        KMS_ASSERT_OK_FATAL(kms_rotator_step(rotators, "p", KMS_ROTATION_CREATE, &r, &why));
        CU_ASSERT_EQUAL(kms_secret_len(r.created), strlen(want));
        CU_ASSERT_EQUAL(memcmp(kms_secret_data(r.created), want, strlen(want)), 0);
        kms_secret_free(r.created);
        kms_runner_stop(runner);
    }
}

static const struct {
    const char *script;
    enum kms_rotation_step step;
    uint32_t timeout_ms;
    enum kms_code code;
    const char *why, *said; /* why: its end */
} failures[] = {
    {"#!/bin/sh\nexit 1\n", KMS_ROTATION_SET, 20000, KMS_E_ROTATOR_FAILED,
     "rotator p, setSecret: the program ended with status 1", ""},
    {"#!/bin/sh\ncat >&2\nexit 3\n", KMS_ROTATION_TEST, 20000, KMS_E_ROTATOR_FAILED, "ended with status 3",
     NULL},
    {"#!/bin/sh\necho 'role MARKER-\"one\" is gone' >&2\nexit 3\n", KMS_ROTATION_TEST, 20000,
     KMS_E_ROTATOR_FAILED, "ended with status 3", "role ************ is gone"},
    {"#!/bin/sh\nkill -11 $$\n", KMS_ROTATION_SET, 20000, KMS_E_ROTATOR_FAILED, "was ended by signal 11", ""},
    {"#!/no/such/interpreter\n", KMS_ROTATION_SET, 20000, KMS_E_ROTATOR_FAILED,
     "the program could not be started: No such file or directory", ""},
    {"#!/bin/sh\necho rubbish\n", KMS_ROTATION_SET, 20000, KMS_E_ROTATOR_ANSWER,
     "the program did not print one JSON object", ""},
    {"#!/bin/sh\necho '{} {}'\n", KMS_ROTATION_SET, 20000, KMS_E_ROTATOR_ANSWER, "one JSON object", ""},
    {"#!/bin/sh\nexit 0\n", KMS_ROTATION_CREATE, 20000, KMS_E_ROTATOR_ANSWER, "one JSON object", ""},
    {"#!/bin/sh\necho '{}'\n", KMS_ROTATION_CREATE, 20000, KMS_E_ROTATOR_ANSWER,
     "not exactly one of SecretString and SecretBinary", ""},
    {"#!/bin/sh\necho '{\"SecretString\":\"a\",\"SecretBinary\":\"YQ==\"}'\n", KMS_ROTATION_CREATE, 20000,
     KMS_E_ROTATOR_ANSWER, "not exactly one of SecretString and SecretBinary", ""},
    {"#!/bin/sh\necho '{\"SecretString\":42}'\n", KMS_ROTATION_CREATE, 20000, KMS_E_ROTATOR_ANSWER,
     "the new value is not a string", ""},
    {"#!/bin/sh\necho '{\"SecretString\":\"\"}'\n", KMS_ROTATION_CREATE, 20000, KMS_E_ROTATOR_ANSWER,
     "SecretString is empty", ""},
    {"#!/bin/sh\necho '{\"SecretBinary\":\"a\"}'\n", KMS_ROTATION_CREATE, 20000, KMS_E_ROTATOR_ANSWER,
     "SecretBinary is not base64", ""},
    {"#!/bin/sh\nprintf '{\"SecretString\":\"'; head -c 65537 /dev/zero | tr '\\0' a; printf '\"}'\n",
     KMS_ROTATION_CREATE, 20000, KMS_E_ROTATOR_ANSWER, "longer than 65536 bytes", ""},
    {"#!/bin/sh\nexec cat /dev/zero\n", KMS_ROTATION_SET, 20000, KMS_E_ROTATOR_ANSWER,
     "the program printed more than 196608 bytes and was killed", ""},
    {"#!/bin/sh\necho '{\"Error\":\"no role MARKER-\\\"one\\\"\"}'\n", KMS_ROTATION_SET, 20000,
     KMS_E_ROTATOR_FAILED, "the program answered with Error", "\"no role **************\""},
    {"#!/bin/sh\ncat /dev/zero >&2 &\nexec cat /dev/zero >&2\n", KMS_ROTATION_SET, 200, KMS_E_ROTATOR_TIMEOUT,
     "the program did not end within 200 ms and was killed", NULL},
    {"#!/bin/sh\nexec sleep 1000\n", KMS_ROTATION_SET, 200, KMS_E_ROTATOR_TIMEOUT,
     "the program did not end within 200 ms and was killed", ""},
};

static void failures_are_named(void)
{
    for (size_t i = 0; i < KMS_COUNT(failures); i++) {
        struct kms_rotation r = values();
        struct kms_why why = {{0}};
        r.pending.bytes =
            failures[i].step != KMS_ROTATION_CREATE ? kms_bytes_text("pending") : r.pending.bytes;
        kms_err err = run(failures[i].script, failures[i].step, failures[i].timeout_ms, &r, &why);
        bool good = kms_is(err, failures[i].code) && strstr(why.text, failures[i].why) != NULL &&
                    (failures[i].said == NULL || strcmp(r.said, failures[i].said) == 0);
        if (!good)
            fprintf(stderr, "\n%sgot %s, %s, said %s\n", failures[i].script, kms_err_reason(err), why.text,
                    r.said);
        CU_ASSERT_TRUE(good);
        CU_ASSERT_PTR_NULL(r.created);
        CU_ASSERT(strstr(r.said, "MARKER") == NULL && strstr(why.text, "MARKER") == NULL);
    }
}

static void what_needs_no_answer(void)
{
    struct kms_rotation r = values();
    struct kms_why why = {{0}};
    KMS_ASSERT_OK(run("#!/bin/sh\nexit 0\n", KMS_ROTATION_SET, 20000, &r, &why)); /* its input unread */
    KMS_ASSERT_OK(run("#!/bin/sh\necho '{}'\n", KMS_ROTATION_FINISH, 20000, &r, &why));
    KMS_ASSERT_OK(run("#!/bin/sh\nexit 1\n", KMS_ROTATION_REVERT, 20000, &r, &why)); /* it is not run */
    KMS_ASSERT_CODE(run("#!/bin/sh\nexit 0\n", KMS_ROTATION_REVOKE_PREVIOUS, 20000, &r, &why), UNSUPPORTED);
    r.pending.bytes = kms_bytes_text("there");
    KMS_ASSERT_OK(run("#!/bin/sh\nexit 1\n", KMS_ROTATION_CREATE, 20000, &r, &why)); /* made already */
    CU_ASSERT_PTR_NULL(r.created);
}

/* A process that the program left behind in its group is gone with it, whether it ended or was given up. */
static void the_whole_group_ends(void)
{
    static const char *const ends[] = {"exit 0", "exec sleep 1000"};
    for (size_t i = 0; i < KMS_COUNT(ends); i++) {
        char script[400], path[200];
        long pid = 0;
        struct kms_rotation r = values();
        struct kms_why why = {{0}};
        snprintf(path, sizeof path, "%s/left", kms_temp_dir());
        snprintf(script, sizeof script, "#!/bin/sh\nsleep 1000 &\necho $! > %s\n%s\n", path, ends[i]);
        kms_err err = run(script, KMS_ROTATION_SET, i == 0 ? 20000 : 1000, &r, &why);
        CU_ASSERT_TRUE(kms_is(err, i == 0 ? KMS_E_OK : KMS_E_ROTATOR_TIMEOUT));
        FILE *file = fopen(path, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        CU_ASSERT_EQUAL_FATAL(fscanf(file, "%ld", &pid), 1);
        fclose(file);
        int tries = 0;
        for (char state = 'R'; state != 'Z' && state != 'X' && tries < 2000; tries++) {
            char proc[64];
            snprintf(proc, sizeof proc, "/proc/%ld/stat", pid);
            FILE *stat_file = fopen(proc, "r");
            if (stat_file == NULL || fscanf(stat_file, "%*d %*s %c", &state) != 1) state = 'X';
            if (stat_file != NULL) fclose(stat_file);
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
        CU_ASSERT(tries < 2000);
    }
}

static void *run_some(void *user)
{
    enum { RUNS = 10 };
    const kms_rotators *rotators = user;
    size_t *good = calloc(1, sizeof *good);
    for (int i = 0; i < RUNS && good != NULL; i++) {
        struct kms_rotation r = values();
        struct kms_why why;
        kms_err err = kms_rotator_step(rotators, "p", KMS_ROTATION_CREATE, &r, &why);
        *good += !kms_failed(err) && kms_secret_len(r.created) == r.current.bytes.len;
        kms_secret_free(r.created);
    }
    return good;
}

/* From several threads: each gets the answer to its own question. */
static void many_at_once(void)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    kms_runner *runner = NULL;
    KMS_OWN(kms_rotators) rotators = NULL;
    struct kms_why why = {{0}};
    size_t good = 0;
    set_up(file_of("program",
                   "#!/bin/sh\nsed 's/.*\"Current\":\\(\".*\"\\),\"Prev.*/{\"SecretString\":\\1}/'\n", 0755),
           no_text, 60000);
    KMS_ASSERT_OK_FATAL(kms_runner_start(&conf, &runner, &why));
    KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, runner, &rotators, &why));
    for (size_t i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, run_some, rotators), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *some = NULL;
        pthread_join(threads[i], &some);
        CU_ASSERT_PTR_NOT_NULL_FATAL(some);
        good += *(size_t *)some;
        free(some);
    }
    CU_ASSERT_EQUAL(good, THREADS * 10);
    kms_runner_stop(runner);
}

static void *wait_for_it(void *rotators)
{
    struct kms_rotation r = values();
    struct kms_why why = {{0}};
    KMS_ASSERT_CODE(kms_rotator_step(rotators, "p", KMS_ROTATION_SET, &r, &why), SHUTTING_DOWN);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "kmsd stops"));
    return NULL;
}

/* Whether the program runs already or not: nobody waits for it, and it is no failure of its. */
static void kmsd_ends(void)
{
    kms_runner *runner = NULL;
    KMS_OWN(kms_rotators) rotators = NULL;
    pthread_t thread;
    set_up(file_of("program", "#!/bin/sh\nexec sleep 1000\n", 0755), no_text, 1000000);
    KMS_ASSERT_OK_FATAL(kms_runner_start(&conf, &runner, NULL));
    KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, runner, &rotators, NULL));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_for_it, rotators), 0);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    kms_runner_end(runner);
    pthread_join(thread, NULL);
    wait_for_it(rotators);
    kms_runner_stop(runner);
    kms_runner_end(NULL);
}

/* Memory, locked pages, random numbers: whatever is not to be had, nothing is left behind. */
static void every_failure_is_clean(void)
{
    kms_runner *runner = NULL;
    KMS_OWN(kms_rotators) programs = NULL;
    set_up(file_of("program", "#!/bin/sh\necho '{\"SecretString\":\"made\"}'\n", 0755), no_text, 20000);
    KMS_ASSERT_OK_FATAL(kms_runner_start(&conf, &runner, NULL));
    KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, runner, &programs, NULL));
    FAULTS_EACH () {
        struct kms_rotation r = values();
        kms_err err = kms_rotator_step(programs, "p", KMS_ROTATION_CREATE, &r, NULL);
        faults_pause();
        CU_ASSERT(faults_hit() || !kms_failed(err)); /* what is said on standard error may be left out */
        CU_ASSERT_EQUAL(r.created == NULL, kms_failed(err));
        kms_secret_free(r.created);
    }
    kms_runner_stop(runner);
}

/* Nobody but its owner may be able to change what runs; looked at when kmsd starts, and before each run. */
static void files_that_others_can_write(void)
{
    static const struct {
        mode_t mode;
        const char *why;
    } modes[] = {
        {0775, "can be written by others"}, {0757, "can be written by others"}, {0644, "not executable"}};
    kms_runner *runner = NULL;
    struct kms_why why = {{0}};
    for (size_t i = 0; i < KMS_COUNT(modes); i++) {
        set_up(file_of("program", "#!/bin/sh\n", modes[i].mode), no_text, 1000);
        KMS_ASSERT_CODE(kms_runner_start(&conf, &runner, &why), CONFIG_INVALID);
        CU_ASSERT(strstr(why.text, modes[i].why) != NULL && strstr(why.text, "rotators[0].program") != NULL);
    }
    char relative[] = "program", missing[] = "/no/such/program", folder[] = "/usr",
         dots[] = "/usr/../bin/true";
    char *const paths[] = {relative, missing, folder, dots};
    static const char *const causes[] = {"not an absolute path", "No such file", "not a file",
                                         "symbolic link"};
    for (size_t i = 0; i < KMS_COUNT(paths); i++) {
        set_up(paths[i], no_text, 1000);
        KMS_ASSERT_CODE(kms_runner_start(&conf, &runner, &why), CONFIG_INVALID);
        if (strstr(why.text, causes[i]) == NULL) fprintf(stderr, "\n%s\n", why.text);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, causes[i]));
    }
    CU_ASSERT_PTR_NULL(runner);
    set_up(file_of("program", "#!/bin/sh\n", 0755), no_text, 20000);
    KMS_OWN(kms_rotators) rotators = NULL;
    struct kms_rotation r = values();
    KMS_ASSERT_OK_FATAL(kms_runner_start(&conf, &runner, &why));
    KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, runner, &rotators, &why));
    KMS_ASSERT_OK(kms_rotator_step(rotators, "p", KMS_ROTATION_SET, &r, &why));
    chmod(rotator.program, 0777);
    KMS_ASSERT_CODE(kms_rotator_step(rotators, "p", KMS_ROTATION_SET, &r, &why), ROTATOR_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "could not be started: Operation not permitted"));
    kms_runner_stop(runner);
}

int main(void)
{
    CU_TestInfo tests[] = {{"the question", the_question},
                           {"what a program has", what_a_program_has},
                           {"its own user", its_own_user},
                           {"failures are named", failures_are_named},
                           {"what needs no answer", what_needs_no_answer},
                           {"the whole group ends", the_whole_group_ends},
                           {"many at once", many_at_once},
                           {"kmsd ends", kmsd_ends},
                           {"every failure is clean", every_failure_is_clean},
                           {"files that others can write", files_that_others_can_write},
                           CU_TEST_INFO_NULL};
    signal(SIGPIPE, SIG_IGN); /* as kmsd does */
    return kms_run_suite("rotators/program", tests);
}
