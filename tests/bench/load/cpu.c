/* schedstat: its first number is the time on the CPU in ns. */
#include "tests/bench/load/cpu.h"

#include <dirent.h>
#include <stdio.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t load_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t load_own_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t process_ns(pid_t pid)
{
    char path[300];
    uint64_t total = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) return 0;
    for (const struct dirent *task; (task = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (file == NULL) continue;
        unsigned long long ran_ns;
        if (fscanf(file, "%llu", &ran_ns) == 1) total += ran_ns;
        fclose(file);
    }
    closedir(tasks);
    return total;
}

uint64_t load_cpu_ns(const pid_t *pids, size_t count)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) total += process_ns(pids[i]);
    return total;
}
