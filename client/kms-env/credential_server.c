/* The loop. Free places are counted by an eventfd, so that waiting for one is waiting like any other. */
#include "client/kms-env/credential_server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/log.h"

enum { PAUSE_MS = 200 }; /* when descriptors or threads have run out */

struct visit {
    const struct kms_env_credential_source *source;
    int fd, places;
};

static void *answer(void *self)
{
    struct visit visit = *(struct visit *)self;
    free(self);
    kms_env_credential_answer(visit.source, visit.fd);
    eventfd_write(visit.places, 1);
    return NULL;
}

/* False: no thread; the connection stays the caller's. */
static bool start(const struct visit *visit)
{
    pthread_attr_t attributes;
    pthread_t thread;
    struct visit *copy = malloc(sizeof *copy);
    if (copy == NULL) return false;
    *copy = *visit;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const bool started = pthread_create(&thread, &attributes, answer, copy) == 0;
    pthread_attr_destroy(&attributes);
    if (!started) free(copy);
    return started;
}

/* A place is taken. True: it is in use now. */
static bool accept_one(const struct kms_env_credential_source *source, int listen_fd, int places,
                       struct pollfd *signal)
{
    const struct visit visit = {source, accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), places};
    if (visit.fd >= 0) {
        if (start(&visit)) return true;
        kms_env_credential_answer(source, visit.fd); /* slowly, but it is answered */
        return false;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return false;
    kms_log(KMS_LOG_ERROR, "credentials.accept", "err=\"%s\"", strerror(errno));
    (void)poll(signal, 1, PAUSE_MS);
    return false;
}

static void accept_until(const struct kms_env_credential_source *source, int listen_fd, int signal_fd,
                         int places)
{
    bool have_place = false;
    for (;;) {
        eventfd_t one;
        if (!have_place) have_place = eventfd_read(places, &one) == 0;
        struct pollfd wait[] = {{.fd = signal_fd, .events = POLLIN},
                                {.fd = have_place ? listen_fd : places, .events = POLLIN}};
        if (poll(wait, 2, -1) < 0) continue;
        if (wait[0].revents != 0) break;
        if (have_place && accept_one(source, listen_fd, places, wait)) have_place = false;
    }
    if (have_place) eventfd_write(places, 1);
}

static void wait_for_all(int places, uint32_t count)
{
    struct pollfd wait = {.fd = places, .events = POLLIN};
    eventfd_t one;
    while (count > 0) {
        if (eventfd_read(places, &one) == 0)
            count--;
        else
            (void)poll(&wait, 1, -1);
    }
}

kms_err kms_env_credential_serve(const struct kms_env_credential_source *source, int listen_fd, int signal_fd,
                                 struct kms_why *why)
{
    const uint32_t count = source->map->connections;
    KMS_OWN_FD places = eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    if (places < 0) {
        kms_why_set(why, "eventfd: %s", strerror(errno));
        return KMS_FAIL(IO);
    }
    accept_until(source, listen_fd, signal_fd, places);
    eventfd_write(source->stop_fd, 1);
    wait_for_all(places, count);
    return KMS_OK;
}
