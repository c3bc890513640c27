/*
 * A test program is a table: KMS_TEST_MAIN("what is tested", {"what it shows", function}, ...) at the end of
 * the file. The assertions below say which error came instead of the expected one.
 */
#ifndef KMS_TESTS_HARNESS_SUITE_H
#define KMS_TESTS_HARNESS_SUITE_H

#include <CUnit/CUnit.h>
#include <CUnit/TestDB.h>
#include <string.h>

#include "base/err.h"

/* Runs the table, prints what failed and where. The exit status of the program: 0 only when everything
 * passed. */
int kms_run_suite(const char *suite_name, CU_TestInfo *tests);

#define KMS_TEST_MAIN(suite_name, ...)                                                                       \
    int main(void)                                                                                           \
    {                                                                                                        \
        CU_TestInfo suite_tests_[] = {__VA_ARGS__, CU_TEST_INFO_NULL};                                       \
        return kms_run_suite((suite_name), suite_tests_);                                                    \
    }

/* True when err has that code; otherwise prints both reasons. */
bool kms_code_is(kms_err err, enum kms_code want, const char *file, int line);
#define KMS_ASSERT_CODE(err, want) CU_ASSERT(kms_code_is((err), KMS_E_##want, __FILE__, __LINE__))
#define KMS_ASSERT_OK(err)         KMS_ASSERT_CODE(err, OK)
#define KMS_ASSERT_OK_FATAL(err)   CU_ASSERT_FATAL(kms_code_is((err), KMS_E_OK, __FILE__, __LINE__))

#define KMS_COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A directory of this program's own, mode 0700, removed with all its files at exit. Static; ends the program
 * on failure. */
const char *kms_temp_dir(void);

#endif
