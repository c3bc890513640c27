/* Runs one table of tests with CUnit, and gives them a place for their files. */
#include "tests/harness/suite.h"

#include <CUnit/Basic.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int kms_run_suite(const char *suite_name, CU_TestInfo *tests)
{
    CU_SuiteInfo suites[] = {{suite_name, NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) {
        fprintf(stderr, "%s: %s\n", suite_name, CU_get_error_msg());
        return 2;
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures(), run = CU_get_number_of_tests_run();
    CU_cleanup_registry();
    return failed != 0 || run == 0;
}

bool kms_code_is(kms_err err, enum kms_code want, const char *file, int line)
{
    if (kms_is(err, want)) return true;
    fprintf(stderr, "\n%s:%d: got %s, want %s\n", file, line, kms_err_reason(err),
            kms_err_reason((kms_err){want}));
    return false;
}

static char temp_dir[64];
static pid_t temp_owner; /* a forked child must not remove its parent's files */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_temp_dir(void)
{
    if (getpid() == temp_owner) nftw(temp_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *kms_temp_dir(void)
{
    if (temp_owner == getpid()) return temp_dir;
    snprintf(temp_dir, sizeof temp_dir, "/tmp/kms-test-XXXXXX");
    if (mkdtemp(temp_dir) == NULL) {
        perror(temp_dir);
        exit(2);
    }
    if (temp_owner == 0) atexit(remove_temp_dir);
    temp_owner = getpid();
    return temp_dir;
}
