/* The cage: memory locked, no dumps, no new privileges, and only the system calls that a file-based token
 * needs. */
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "hsm/worker/worker.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

enum { MAPS_BYTES = 256 * 1024 };

/* Reading, writing and locking the token's files; memory; time; the socket that is open already. No exec,
 * no fork, no thread, no new connection. */
static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(close),
    SCMP_SYS(stat),
    SCMP_SYS(fstat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(lseek),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),
    SCMP_SYS(getdents64),
    SCMP_SYS(fcntl),
    SCMP_SYS(flock),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fadvise64),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir),
    SCMP_SYS(umask),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(dup),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(mlock),
    SCMP_SYS(mlock2),
    SCMP_SYS(munlock),
    SCMP_SYS(futex),
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(pause),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getrusage),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(tgkill),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

/* Refused with an error instead of the end of the process: libraries try them and go on without (syslog,
 * isatty, limits). */
static const int refused[] = {
    SCMP_SYS(socket),    SCMP_SYS(connect), SCMP_SYS(ioctl), SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit), SCMP_SYS(prctl),   SCMP_SYS(kill),
};

static kms_err filter_calls(struct kms_why *why)
{
    if (SANITIZED)
        return KMS_OK; /* sanitizers start threads, trace themselves at exit and map shadow memory */
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int err = filter == NULL ? -ENOMEM : 0;
    for (size_t i = 0; err == 0 && i < sizeof allowed / sizeof allowed[0]; i++)
        err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; err == 0 && i < sizeof refused / sizeof refused[0]; i++)
        err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
    if (err == 0) err = seccomp_load(filter);
    if (filter != NULL) seccomp_release(filter);
    if (err == 0) return KMS_OK;
    kms_why_set(why, "kms-hsm: the seccomp filter could not be installed: %s", strerror(-err));
    return KMS_FAIL(INTERNAL);
}

/* The stack, the heap and the data of libraries, as far as they exist. Program text holds no secret. */
static bool lock_writable(void)
{
    KMS_OWN_BUF maps = {0};
    if (kms_failed(kms_read_file("/proc/self/maps", MAPS_BYTES, &maps, NULL))) return false;
    bool locked = true;
    for (char *line = (char *)maps.data; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        uintptr_t from, to;
        char permissions[5] = "";
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, permissions) != 3) continue;
        void *start;
        memcpy(&start, &from, sizeof start);
        if (strcmp(permissions, "rw-p") == 0) locked &= mlock2(start, to - from, MLOCK_ONFAULT) == 0;
    }
    return locked;
}

/* All memory, or, where RLIMIT_MEMLOCK is too small for the text of the libraries too, all that can be
 * written and whatever is mapped from now on. */
static kms_err lock_memory(struct kms_why *why)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return KMS_OK;
    if (lock_writable() && mlockall(MCL_FUTURE | MCL_ONFAULT) == 0) return KMS_OK;
    kms_why_set(why,
                "kms-hsm: memory cannot be locked (%s): raise RLIMIT_MEMLOCK, LimitMEMLOCK=64M in systemd",
                strerror(errno));
    return KMS_FAIL(NO_MEMORY);
}

kms_err kms_sandbox_enter(struct kms_why *why)
{
    const struct rlimit none = {0, 0};
    KMS_TRY(lock_memory(why));
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
        kms_why_set(why, "kms-hsm: the process could not be hardened: %s", strerror(errno));
        return KMS_FAIL(INTERNAL);
    }
    return filter_calls(why);
}
