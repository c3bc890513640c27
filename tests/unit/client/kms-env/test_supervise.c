/* A child: its status, its signals, its restart. What the child does, it says through a FIFO. */
#include "client/kms-env/supervise.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/suite.h"

struct scene {
    const char *script;
    int change_signal;
    uint32_t grace_ms;
    int steps; /* what the other thread does: for each line of the child, the next of these */
    enum { CHANGE, TERMINATE } step[2];
    int wake_fd;
    unsigned starts;
    char number[8], *environment[2];
};

static struct kms_env_signals signals;
static struct kms_env_shield shield;
static char fifo[256];

static char *const *environment(void *self)
{
    struct scene *s = self;
    snprintf(s->number, sizeof s->number, "N=%u", ++s->starts);
    s->environment[0] = s->number;
    return s->environment;
}

static void *act(void *self)
{
    struct scene *s = self;
    for (int i = 0; i < s->steps; i++) {
        char line[16];
        int fd = open(fifo, O_RDONLY | O_CLOEXEC);
        while (read(fd, line, sizeof line) > 0) continue;
        close(fd); /* before the next line can be written to it */
        if (s->step[i] == CHANGE)
            eventfd_write(s->wake_fd, 1);
        else
            kill(getpid(), SIGTERM);
    }
    return NULL;
}

static int play(struct scene *s, struct kms_why *why)
{
    char shell[] = "/bin/sh", dash_c[] = "-c", script[512];
    char *argv[] = {shell, dash_c, script, NULL};
    pthread_t thread;
    snprintf(script, sizeof script, "PATH=/bin:/usr/bin; F=%s; %s", fifo, s->script);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CU_ASSERT_FATAL(s->wake_fd >= 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, act, s), 0);
    const struct kms_env_supervisor supervisor = {.signals = &signals,
                                                  .shield = &shield,
                                                  .argv = argv,
                                                  .change_signal = s->change_signal,
                                                  .grace_ms = s->grace_ms,
                                                  .wake_fd = s->wake_fd,
                                                  .environment = environment,
                                                  .self = s};
    int status = kms_env_supervise(&supervisor, why);
    pthread_join(thread, NULL);
    close(s->wake_fd);
    return status;
}

static void begin(void)
{
    if (fifo[0] != '\0') return;
    snprintf(fifo, sizeof fifo, "%s/fifo", kms_temp_dir());
    CU_ASSERT_FATAL(mkfifo(fifo, 0600) == 0);
    KMS_ASSERT_OK_FATAL(kms_env_signals_hold(&signals, NULL));
    KMS_ASSERT_OK_FATAL(kms_env_shield_up(&shield, NULL));
}

static void scenes(void)
{
    /* LOOP ends when its trap says so */
#define LOOP "while :; do sleep 0.02; done"
    static const struct {
        struct scene scene;
        int status;
        unsigned starts;
    } rows[] = {
        {{.script = "exit 7"}, 7, 1},
        {{.script = "test $N = 1 || exit 9; kill -KILL $$"}, 137, 1},
        /* a change starts it again, with the new environment */
        {{.script = "test $N = 1 || exit 5; echo >$F; exec sleep 60",
          .grace_ms = 60000,
          .steps = 1,
          .step = {CHANGE}},
         5,
         2},
        /* it has time to end by itself ... */
        {{.script = "test $N = 1 || exit 5; trap 'exit 3' TERM; echo >$F; " LOOP,
          .grace_ms = 60000,
          .steps = 1,
          .step = {CHANGE}},
         5,
         2},
        /* ... but not for ever */
        {{.script = "test $N = 1 || exit 5; trap '' TERM; echo >$F; " LOOP,
          .grace_ms = 20,
          .steps = 1,
          .step = {CHANGE}},
         5,
         2},
        /* a signal in place of a restart */
        {{.script = "trap 'exit 6' USR1; echo >$F; " LOOP,
          .change_signal = SIGUSR1,
          .steps = 1,
          .step = {CHANGE}},
         6,
         1},
        /* what this process is sent, the child gets */
        {{.script = "trap 'exit 8' TERM; echo >$F; " LOOP, .steps = 1, .step = {TERMINATE}}, 8, 1},
        {{.script = "echo >$F; exec sleep 60", .steps = 1, .step = {TERMINATE}}, 128 + SIGTERM, 1},
        /* who wants an end while it is being restarted gets the end */
        {{.script = "test $N = 1 || exit 5; trap 'trap \"exit 4\" TERM; echo >$F' TERM; echo >$F; " LOOP,
          .grace_ms = 60000,
          .steps = 2,
          .step = {CHANGE, TERMINATE}},
         4,
         1},
    };
    begin();
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct scene s = rows[i].scene;
        struct kms_why why = {0};
        int status = play(&s, &why);
        CU_ASSERT_EQUAL(status, rows[i].status);
        CU_ASSERT_EQUAL(s.starts, rows[i].starts);
        CU_ASSERT_EQUAL(why.text[0], '\0');
        if (status != rows[i].status) fprintf(stderr, "\nscene %zu: %d\n", i, status);
    }
}

static void what_cannot_be_started(void)
{
    char absent[] = "/no/such/program", *argv[] = {absent, NULL};
    struct scene s = {.wake_fd = -1};
    struct kms_why why = {0};
    begin();
    const struct kms_env_supervisor supervisor = {.signals = &signals,
                                                  .shield = &shield,
                                                  .argv = argv,
                                                  .wake_fd = -1,
                                                  .environment = environment,
                                                  .self = &s};
    CU_ASSERT_EQUAL(kms_env_supervise(&supervisor, &why), KMS_ENV_EXIT_NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(why.text, "/no/such/program: No such file or directory");
}

KMS_TEST_MAIN("client/kms-env/supervise", {"scenes", scenes},
              {"what cannot be started", what_cannot_be_started})
