/*
 * Every failure happens once: the body of FAULTS_EACH runs with its 1st fallible primitive failing, then its
 * 2nd, and so on, until a run ends in which nothing was left to fail. Under AddressSanitizer this proves that
 * no error path leaks.
 *
 *     FAULTS_EACH() {
 *         kms_err err = thing_new(&thing);
 *         CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
 *     }
 *
 * Calls are counted in the whole program (other threads too), but only in code linked statically: not inside
 * shared libraries. The body must end on its own, without break or return.
 */
#ifndef KMS_TESTS_HARNESS_FAULTS_H
#define KMS_TESTS_HARNESS_FAULTS_H

#include <stdbool.h>

enum fault_kind {
    FAULT_MEMORY = 1, /* malloc, calloc, realloc, strdup: NULL, ENOMEM */
    FAULT_PAGES = 2,  /* mmap, mlock, madvise: ENOMEM */
    FAULT_RANDOM = 4, /* getrandom: EIO */
    FAULT_DISK = 8,   /* pwrite, pwritev: ENOSPC; fdatasync, fsync: EIO */
};

void faults_first(unsigned kinds);
void faults_next(void);
bool faults_done(void);
bool faults_hit(void);   /* did a failure strike in this run? */
void faults_pause(void); /* nothing fails until the next run: before assertions that allocate */

/* One failure only: the nth call (from 1) of these kinds; n 0 ends it. */
void faults_arm(unsigned kinds, int nth);

#define FAULTS_EACH_OF(kinds) for (faults_first(kinds); !faults_done(); faults_next())
#define FAULTS_EACH()         FAULTS_EACH_OF (FAULT_MEMORY | FAULT_PAGES | FAULT_RANDOM)

#endif
