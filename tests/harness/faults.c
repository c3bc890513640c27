/* The wrapped primitives: each asks whether it is its turn to fail. Linked in by -Wl,--wrap=name. */
#include "tests/harness/faults.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

static int kinds_armed, nth_call, countdown;
static bool fired, done;

void faults_arm(unsigned kinds, int nth)
{
    __atomic_store_n(&kinds_armed, (int)kinds, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fired, false, __ATOMIC_SEQ_CST);
    nth_call = nth;
    __atomic_store_n(&countdown, nth, __ATOMIC_SEQ_CST);
}

void faults_first(unsigned kinds)
{
    done = false;
    faults_arm(kinds, 1);
}

void faults_next(void)
{
    done = !faults_hit();
    faults_arm((unsigned)kinds_armed, done ? 0 : nth_call + 1);
}

bool faults_done(void)
{
    return done;
}
bool faults_hit(void)
{
    return __atomic_load_n(&fired, __ATOMIC_SEQ_CST);
}
void faults_pause(void)
{
    __atomic_store_n(&countdown, 0, __ATOMIC_SEQ_CST);
}

static bool due(enum fault_kind kind, int error)
{
    if (__atomic_load_n(&countdown, __ATOMIC_SEQ_CST) <= 0) return false;
    if ((__atomic_load_n(&kinds_armed, __ATOMIC_SEQ_CST) & (int)kind) == 0) return false;
    if (__atomic_sub_fetch(&countdown, 1, __ATOMIC_SEQ_CST) != 0) return false;
    __atomic_store_n(&fired, true, __ATOMIC_SEQ_CST);
    errno = error;
    return true;
}

/* FAULTY(kind, errno, failed, type, name, (parameters), (arguments)): __wrap_name fails in turn, else calls
 * the real one. */
#define FAULTY(kind, error, failed, type, name, parameters, arguments)                                       \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        return due(kind, error) ? (failed) : __real_##name arguments;                                        \
    }

FAULTY(FAULT_MEMORY, ENOMEM, NULL, void *, malloc, (size_t len), (len))
FAULTY(FAULT_MEMORY, ENOMEM, NULL, void *, calloc, (size_t count, size_t len), (count, len))
FAULTY(FAULT_MEMORY, ENOMEM, NULL, void *, realloc, (void *p, size_t len), (p, len))
FAULTY(FAULT_MEMORY, ENOMEM, NULL, char *, strdup, (const char *s), (s))
FAULTY(FAULT_PAGES, ENOMEM, MAP_FAILED, void *, mmap,
       (void *p, size_t len, int prot, int flags, int fd, off_t at), (p, len, prot, flags, fd, at))
FAULTY(FAULT_PAGES, ENOMEM, -1, int, mlock, (const void *p, size_t len), (p, len))
FAULTY(FAULT_PAGES, ENOMEM, -1, int, madvise, (void *p, size_t len, int advice), (p, len, advice))
FAULTY(FAULT_RANDOM, EIO, -1, ssize_t, getrandom, (void *p, size_t len, unsigned flags), (p, len, flags))
FAULTY(FAULT_DISK, ENOSPC, -1, ssize_t, pwrite, (int fd, const void *p, size_t len, off_t at),
       (fd, p, len, at))
FAULTY(FAULT_DISK, ENOSPC, -1, ssize_t, pwritev, (int fd, const struct iovec *v, int count, off_t at),
       (fd, v, count, at))
FAULTY(FAULT_DISK, EIO, -1, int, fdatasync, (int fd), (fd))
FAULTY(FAULT_DISK, EIO, -1, int, fsync, (int fd), (fd))
