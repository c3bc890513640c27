/* kmsctl audit on a log that the daemon's writer made. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/kmsctl/ctl.h"
#include "kmsd/audit/audit.h"
#include "tests/harness/suite.h"

enum { RECORDS = 25 };

static void write_log(const char *dir)
{
    KMS_OWN(kms_audit) audit = NULL;
    struct kms_audit_options options = {.dir = dir, .instance = "one", .segment_bytes = 64 * 1024};
    struct kms_why why = {0};
    KMS_ASSERT_OK_FATAL(kms_audit_open(&options, &audit, &why));
    for (int i = 0; i < RECORDS; i++) {
        char principal[40];
        snprintf(principal, sizeof principal, "spiffe://x/app-%d", i);
        struct kms_audit_event event = {.kind = KMS_AUDIT_CALL,
                                        .principal = principal,
                                        .service = "kms.v1.CryptoService",
                                        .operation = "Decrypt",
                                        .class = "usage",
                                        .outcome = KMS_FAIL(ACCESS_DENIED),
                                        .access = {{.action = "kms:Decrypt",
                                                    .key_named = kms_bytes_text("alias/web"),
                                                    .decision = "deny"}},
                                        .access_count = 1};
        KMS_ASSERT_OK(kms_audit_append(audit, &event));
    }
    KMS_ASSERT_OK(kms_audit_commit(audit));
}

static char out[20000], err[4000];

static void read_back(const char *name, char *to, size_t size)
{
    FILE *f = fopen(name, "r");
    size_t len = f != NULL ? fread(to, 1, size - 1, f) : 0;
    to[len] = '\0';
    if (f != NULL) fclose(f);
}

static int sh(const char *line)
{
    static bool ready;
    char whole[1000];
    if (!ready) {
        CU_ASSERT_EQUAL(chdir(kms_temp_dir()), 0);
        CU_ASSERT_EQUAL(system("mkdir -m 700 log"), 0);
        write_log("log");
        setenv("K", KMSCTL_PROGRAM, 1);
        setenv("KMSCTL_CONFIG", "", 1);
        setenv("HOME", "/nonexistent", 1);
        ready = true;
    }
    snprintf(whole, sizeof whole, "( %s ) >stdout 2>stderr", line);
    int status = system(whole);
    read_back("stdout", out, sizeof out);
    read_back("stderr", err, sizeof err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static size_t lines(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) count += *text == '\n';
    return count;
}

/* That word stands in the same column of each of so many lines. */
static bool in_columns(const char *text, const char *word, size_t count)
{
    const char *first = strstr(text, word);
    for (const char *line = text; line != NULL && *line != '\0'; count--) {
        const char *found = strstr(line, word);
        if (found == NULL || found - line != first - text) return false;
        line = strchr(line, '\n');
        line += line != NULL;
    }
    return count == 0;
}

static void tail(void)
{
    CU_ASSERT_EQUAL(sh("$K audit tail --dir log -n 3"), 0);
    CU_ASSERT_EQUAL(lines(out), 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "ACCESS_DENIED"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(out, "Decrypt            alias/web                             spiffe://x/app-24\n"));
    CU_ASSERT_EQUAL(sh("$K audit tail --dir log"), 0);
    CU_ASSERT_EQUAL(lines(out), 10);
    CU_ASSERT(in_columns(out, "ACCESS_DENIED", 10));
    CU_ASSERT_EQUAL(sh("$K audit tail --dir log -n 20"), 0); /* numbers of one digit and of two */
    CU_ASSERT(in_columns(out, "ACCESS_DENIED", 20));
    CU_ASSERT_EQUAL(sh("$K audit tail --dir log -n 1000 -o json"), 0);
    CU_ASSERT(lines(out) >= RECORDS);
    CU_ASSERT_EQUAL(strncmp(out, "{\"seq\":1,", 9), 0);
    CU_ASSERT_EQUAL(sh("$K audit tail"), CTL_USAGE);
    CU_ASSERT(sh("$K audit tail --dir /nonexistent") != 0);
}

/* It goes on until it is stopped, and stops cleanly. */
static void follow(void)
{
    CU_ASSERT_EQUAL(sh("$K audit tail -f -n 1 --dir log >followed & pid=$!; "
                       "while [ ! -s followed ]; do sleep 0.05; done; kill -TERM $pid; wait $pid"),
                    0);
}

static void verify(void)
{
    CU_ASSERT_EQUAL(sh("$K audit verify --dir log -o json"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"intact\": true"));
    CU_ASSERT_EQUAL(sh("head=$($K audit verify --dir log | sed -n 's/^Head: *//p'); $K audit verify --dir "
                       "log --head $head"),
                    0);
    CU_ASSERT_EQUAL(sh("$K audit verify --dir log --head "
                       "0000000000000000000000000000000000000000000000000000000000000000"),
                    CTL_INTEGRITY);
    CU_ASSERT_EQUAL(
        sh("cp -r log changed; sed -i s/app-7/app-8/ changed/*.jsonl; $K audit verify --dir changed"),
        CTL_INTEGRITY);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "kmsctl: CORRUPT: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "hint: keep the files as they are"));
}

KMS_TEST_MAIN("kmsctl audit", {"tail", tail}, {"follow", follow}, {"verify", verify})
