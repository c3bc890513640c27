/* CPU time of other processes. Thread-safe. */
#ifndef KMS_LOAD_CPU_H
#define KMS_LOAD_CPU_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

uint64_t load_now_ns(void);     /* CLOCK_MONOTONIC */
uint64_t load_own_cpu_ns(void); /* of this process */
/* What all threads of these processes have run, as the scheduler counts it (/proc/PID/task/TID/schedstat).
 * Threads that have ended are not in it. */
uint64_t load_cpu_ns(const pid_t *pids, size_t count);

#endif
