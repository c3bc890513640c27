/* The program as it is built, without a service: what passes through, what is refused, exit statuses. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/harness/suite.h"

/* Runs command in a shell, with $K for the program; standard error goes into the output too. */
static int run(const char *command, char *output, size_t size)
{
    KMS_OWN_BUF line = {0};
    KMS_ASSERT_OK_FATAL(kms_buf_print(&line,
                                      "cd %s && K=" KMS_ENV_PROGRAM
                                      " && unset KMS_ENDPOINT KMS_CONTEXT KMS_ENV_APP && export "
                                      "KMSCTL_CONFIG=$PWD/contexts.yaml && exec 2>&1 && %s",
                                      kms_temp_dir(), command));
    fflush(NULL);
    FILE *pipe = popen((const char *)line.data, "re");
    CU_ASSERT_FATAL(pipe != NULL);
    size_t len = fread(output, 1, size - 1, pipe);
    output[len] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

struct row {
    const char *command;
    int status;
    const char *output; /* contained in it */
};

static void check(const struct row *rows, size_t count)
{
    char output[16384];
    for (size_t i = 0; i < count; i++) {
        int status = run(rows[i].command, output, sizeof output);
        bool good = status == rows[i].status && strstr(output, rows[i].output) != NULL;
        CU_ASSERT(good);
        if (!good) fprintf(stderr, "\n%s\n  got %d: %s\n", rows[i].command, status, output);
    }
}

static void a_program_starts_without_a_service(void)
{
    static const struct row rows[] = {
        {"printf 'A=1\\nB=\"x y\"\\n' > a.env; printf 'A=2\\n' > b.env; echo made", 0, "made"},
        {"$K run -- sh -c 'exit 7'", 7, ""},
        {"$K run sh -c 'exit 7'", 7, ""},
        {"$K run -- sh -c 'kill -9 $$'; echo $?", 0, "137"},
        {"$K run -- printf '<%s>' --help '$A' '' -- 'a b'", 0, "<--help><$A><><--><a b>"},
        {"A=0 $K run -e a.env -- sh -c 'echo $A $B $KMS_ENV'", 0, "1 x y 1"},
        {"A=0 $K run -e a.env -- true", 0, "kms-env: warning: a.env:1: A overwrites the inherited value"},
        {"A=0 $K run -e a.env --no-overwrite -- sh -c 'echo $A $B'", 0, "0 x y"},
        {"$K run -e a.env -e b.env -- sh -c 'echo $A'", 0, "2"},
        {"C=3 $K run -e a.env --pristine -- /usr/bin/env", 0, "A=1\nB=x y\nKMS_ENV=1\n"},
        {"$K run -e - -- sh -c 'echo $A' < b.env", 0, "2"},
        {"KMS_ENDPOINT=x KMS_KEY_FILE=y $K run -- sh -c 'echo \"<$KMS_ENDPOINT$KMS_KEY_FILE>\"'", 0, "<>"},
        {"KMS_ENDPOINT=x $K run --keep-settings -- sh -c 'echo \"<$KMS_ENDPOINT>\"'", 0, "<x>"},
        {"$K run --dialect docker -e a.env -- sh -c 'echo \"$B\"'", 0, "\"x y\""},
        {"$K run -e a.env --only B --pristine -- /usr/bin/env", 0, "B=x y\nKMS_ENV=1\n"},
        {"$K run -e a.env -e absent --allow-missing -- sh -c 'echo $A'", 0, "1"},
        {"sh -c 'ulimit -S -c 0; ulimit -S -c' > want; sh -c 'ulimit -S -c 0; exec \"$0\" run -- sh -c "
         "\"ulimit -S -c\"' $K > got; cmp want got",
         0, ""},
        {"exec 7<a.env; $K run -- cat /dev/fd/7", 0, "A=1"},
        {"$K run --watch -e a.env -- sh -c 'echo $A; exit 7'", 7, "nothing to watch"},
        {"$K run --watch -e a.env -- sh -c 'kill -9 $$'; echo $?", 0, "137"},
        {"$K run --watch -- /nonexistent/program", 127, "/nonexistent/program: No such file"},
        {"$K render -e a.env --format shell", 0, "export A='1'\nexport B='x y'\n"},
        {"echo '{{ plain }}' | $K render --template -", 0, "{{ plain }}\n"},
    };
    check(rows, KMS_COUNT(rows));
}

static void failures_have_their_statuses(void)
{
    static const struct row rows[] = {
        {"$K run -- /nonexistent/program", 127, "kms-env: /nonexistent/program: No such file"},
        {"PATH=/bin:/usr/bin $K run -- no-such-program-anywhere", 127,
         "kms-env: no-such-program-anywhere: No such file"},
        {"$K run -- /etc/passwd", 126, "kms-env: /etc/passwd: Permission denied"},
        {"$K run -- .", 126, "Permission denied"},
        {"$K run", 125, "which program?"},
        {"$K run --bogus", 125, "unrecognized option"},
        {"$K", 125, "Usage"},
        {"$K bogus", 125, "no such subcommand"},
        {"$K run -e absent -- true", 125, "kms-env: absent: No such file"},
        {"printf 'A=1\\nA=2' > double.env; $K run -e double.env -- echo started", 125,
         "kms-env: double.env: line 2: A is set a second time, first on line 1"},
        {"printf 'A=\"x' > open.env; $K run -e open.env -- true", 125,
         "open.env: line 1, column 3: this quote is not closed"},
        {"printf 'PATH=/x' > path.env; $K run -e path.env -- true", 125,
         "PATH: refused without --unsafe-names"},
        {"$K run -e path.env --unsafe-names -- /bin/sh -c 'echo $PATH'", 0, "/x"},
        {"A=kms:v1:xx $K run -- echo started", 125, "A: INVALID_CIPHERTEXT"},
        {"$K run --only A,,B -- true", 125, "--only wants names"},
        {"$K run --only A-B -- true", 125, "--only wants names"},
        {"$K run --dialect yaml -- true", 125, "--dialect is"},
        {"$K run --app 'a b' -- true", 125, "--app has"},
        {"KMS_ENV_APP='a b' $K run -- true", 125, "KMS_ENV_APP has"},
        {"$K encrypt --in-place --key k", 125, "--in-place needs --in FILE"},
        {"$K encrypt --in a --in-place --out b", 125, "exclude each other"},
        {"$K encrypt x", 125, "files are named by"},
        {"echo A=1 | $K encrypt --key k", 125, "which kmsd?"},
        {"$K check x", 125, "files are named by"},
        {"$K credentials x", 125, "units and secrets stand in the file of --config"},
        {"$K credentials --config absent", 125, "absent: No such file"},
        {"$K check -o xml", 125, "--output is text or json"},
        {"$K check -e absent", 125, "absent: No such file"},
        {"A=kms-secret://a//b $K run -- echo started", 125,
         "A: INVALID_ARGUMENT: column 16 of the reference: an empty part"},
        {"A=kms-secret://a $K run -- echo started", 125, "which kmsd?"},
        {"$K run --watch-signal HUP -- true", 125, "go with --watch"},
        {"$K run --watch --watch-signal KILL -- true", 125, "--watch-signal is HUP, INT"},
        {"$K run --watch --watch-interval 0s -- true", 125, "--watch-interval is like"},
        {"$K run --watch --watch-grace 25h -- true", 125, "--watch-grace is like"},
        {"$K render --format toml", 125, "--format is env"},
        {"$K render --template t --format env", 125, "--template has no variables"},
        {"$K render --mode 888", 125, "--mode is like 0400"},
        {"$K render --owner no-such-user-here", 125, "no such user or group"},
        {"$K render --template absent", 125, "absent: No such file"},
        {"$K import --in double.env", 125, "where to? --prefix PREFIX"},
        {"$K import --in double.env --prefix a --json-secret b", 125, "where to?"},
        {"$K import --in-place --prefix a", 125, "--in-place needs --in FILE"},
        {"echo A=1 | $K import --prefix a", 125, "which kmsd?"},
        {"echo A=1 | $K import --prefix ..", 125, "its secret would have a name that is none"},
    };
    check(rows, KMS_COUNT(rows));
}

static void secrets_do_not_show(void)
{
    static const struct row rows[] = {
        {"printf 'DB_PASSWORD=hunter2\\nLOG=hunter3\\n' > s.env; echo made", 0, "made"},
        {"$K check -e s.env; echo $?", 0,
         "s.env:1: DB_PASSWORD: plain: WRONG: plain, and its name says secret\ns.env:2: LOG: plain\n1\n"},
        {"$K check -e s.env --only LOG; echo $?", 0, "s.env:2: LOG: plain\n0\n"},
        {"$K check -e s.env --only LOG --strict; echo $?", 0, "s.env:2: LOG: plain: WRONG: plain\n1\n"},
        {"$K check -e s.env -o json | grep -c hunter; echo", 0, "0"},
        {"$K check -e s.env -o json", 1, "\"wrong\": 1"},
        {"env -i API_KEY=hunter2 $K check", 1, "environment: API_KEY: plain: WRONG"},
        {"$K run -e s.env --dry-run", 0, "DB_PASSWORD\tplain\ts.env:1\nLOG\tplain\ts.env:2\n"},
        {"$K run -e s.env --dry-run -o json | grep -c hunter; echo", 0, "0"},
        {"$K run -e s.env --dry-run -o json", 0, "\"name\": \"DB_PASSWORD\""},
        {"$K check -e s.env >/dev/full; echo $?", 0, "standard output: No space left on device\n125\n"},
    };
    check(rows, KMS_COUNT(rows));
}

static void an_encryption_that_fails_changes_nothing(void)
{
    static const struct row rows[] = {
        {"printf 'A=1\\n' > keep.env; chmod 640 keep.env; ls -A | sort > before; "
         "timeout 60 $K encrypt --endpoint unix:$PWD/absent.sock --key alias/a --in keep.env --in-place; "
         "echo $?",
         0, "125"},
        {"timeout 60 $K encrypt --endpoint unix:$PWD/absent.sock --key alias/a --in keep.env --out new.env",
         125, "nothing was written"},
        {"cat keep.env; stat -c %a keep.env; rm before; touch before; ls -A | sort | grep -E 'keep|new'", 0,
         "A=1\n640\nkeep.env\n"},
    };
    check(rows, KMS_COUNT(rows));
}

static void contexts_of_kmsctl_are_used(void)
{
    static const struct row rows[] = {
        {"printf 'A=1\\n' > c.env; $K encrypt --key k --in c.env --context prod", 125, "no context \"prod\""},
        {"printf 'current_context: prod\\ncontexts:\\n- name: prod\\n  endpoint: \"kms.example:1\"\\n' > "
         "contexts.yaml; "
         "$K encrypt --key k --in c.env",
         125, "ca"}, /* libkms: mutual TLS needs a CA */
        {"KMS_CONTEXT=test $K encrypt --key k --in c.env", 125, "no context \"test\"; there is: prod"},
        {"printf 'contexts: 7\\n' > contexts.yaml; $K encrypt --key k --in c.env", 125, "contexts.yaml"},
    };
    check(rows, KMS_COUNT(rows));
}

static void help_and_version(void)
{
    static const struct row rows[] = {
        {"$K --version", 0, "kms-env "},    {"$K --help", 0, "Subcommands:"},
        {"$K run --help", 0, "--pristine"}, {"$K encrypt --help", 0, "--in-place"},
        {"$K check --help", 0, "--strict"},
    };
    check(rows, KMS_COUNT(rows));
}

KMS_TEST_MAIN("client/kms-env/main",
              {"a program starts without a service", a_program_starts_without_a_service},
              {"failures have their statuses", failures_have_their_statuses},
              {"secrets do not show", secrets_do_not_show},
              {"an encryption that fails changes nothing", an_encryption_that_fails_changes_nothing},
              {"contexts of kmsctl are used", contexts_of_kmsctl_are_used},
              {"help and version", help_and_version})
