/*
 * A minimal process, forked before kmsd has threads or has read a byte from the network, that starts and
 * kills kms-hsm workers: it may be root while kmsd is not, and nothing kmsd has open reaches a worker.
 * Program, user and URI are fixed by the first request, so that a kmsd that was taken over cannot have
 * anything else started. It ends with kmsd and takes every worker along. Not thread-safe: whoever opens
 * or polls the pool owns it.
 */
#ifndef KMS_HSM_SPAWNER_H
#define KMS_HSM_SPAWNER_H

#include "hsm/job.h"

struct kms_worker_start {
    const char *worker_path, *uri, *user; /* user "": as the spawner itself */
    const char *softhsm_conf;             /* SOFTHSM2_CONF for the worker; "": none */
    const char *refused_pin;              /* "": none */
    uint32_t cached_keys;
    bool init;        /* make root keys and end */
    int socket, page; /* the worker's ends; the caller closes its copies afterwards */
};
/* Asks for a worker; whether it lives shows at its socket. ret_id names it from now on. HSM_UNAVAILABLE:
 * the spawner is gone; LIMIT_EXCEEDED: a text is too long. */
KMS_MUST_USE kms_err kms_spawner_worker(kms_spawner *spawner, const struct kms_worker_start *start,
                                        uint32_t *ret_id);
void kms_spawner_kill(kms_spawner *spawner, uint32_t id); /* SIGKILL; no such worker is a no-op */

int kms_spawner_fd(
    const kms_spawner *spawner); /* readable when kms_spawner_next has something; spawner-owned */
struct kms_worker_exit {
    uint32_t id;
    int status; /* as waitpid gives it */
};
/* The next worker that ended; false: none now. *ret_gone: the spawner itself is gone. Never blocks. */
bool kms_spawner_next(kms_spawner *spawner, struct kms_worker_exit *ret_exit, bool *ret_gone);

/* The other side, spawner_child.c: serves requests until the socket ends, then kills and reaps. */
void kms_spawner_serve(int control) __attribute__((noreturn));
enum {
    KMS_SPAWN_START = 1,
    KMS_SPAWN_KILL = 2,
    KMS_SPAWN_BYTES = 8192,
    KMS_SPAWN_FDS = 2,
    KMS_SPAWN_WORKERS = 256
};

#endif
