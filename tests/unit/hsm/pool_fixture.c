/* Real workers on a real token, for the pool's tests and its bench. */
#include "tests/unit/hsm/pool_fixture.h"

#include <ctype.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool pool_prepare(struct pool_fixture *f, const char *dir, const char *name)
{
    *f = (struct pool_fixture){.stop = false};
    if (!softhsm_make(dir, name, &f->token)) return false;
    f->options = (struct kms_hsm_options){.worker_path = KMS_HSM_PROGRAM,
                                          .uri = f->token.shim_uri,
                                          .state_dir = f->token.dir,
                                          .workers = 2,
                                          .lanes = 2,
                                          .deadline_ms = 1000,
                                          .start_timeout_ms = 20000};
    return true;
}

kms_err pool_init(struct pool_fixture *f)
{
    kms_spawner *spawner;
    KMS_TRY(kms_spawner_start(&spawner));
    kms_err err = kms_hsm_init_token(spawner, &f->options, &f->why);
    kms_spawner_stop(spawner);
    return err;
}

static void *poll_pool(void *arg)
{
    struct pool_fixture *f = arg;
    while (!f->stop) {
        struct pollfd fd = {kms_hsm_poll_fd(f->hsm), POLLIN, 0};
        int wait_ms = kms_hsm_poll_timeout_ms(f->hsm);
        poll(&fd, 1, wait_ms < 50 ? wait_ms : 50); /* to see stop soon */
        kms_hsm_poll(f->hsm);
    }
    return NULL;
}

kms_err pool_open(struct pool_fixture *f)
{
    KMS_TRY(kms_spawner_start(&f->spawner));
    kms_err err = kms_hsm_open(f->spawner, &f->options, &f->hsm, &f->why);
    if (kms_failed(err)) {
        kms_spawner_stop(f->spawner);
        f->spawner = NULL;
        return err;
    }
    f->stop = false;
    f->polling = pthread_create(&f->poller, NULL, poll_pool, f) == 0;
    return f->polling ? KMS_OK : KMS_FAIL(INTERNAL);
}

void pool_stop_polling(struct pool_fixture *f)
{
    f->stop = true;
    if (f->polling) pthread_join(f->poller, NULL);
    f->polling = false;
}

void pool_close(struct pool_fixture *f)
{
    pool_stop_polling(f);
    kms_hsm_close(f->hsm);
    kms_spawner_stop(f->spawner);
    f->hsm = NULL;
    f->spawner = NULL;
}

static bool is_worker(const struct pool_fixture *f, const char *pid)
{
    char path[64], line[4096];
    snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return false;
    size_t len = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    return len > 8 && strcmp(line, "kms-hsm") == 0 &&
           memmem(line, len, f->token.dir, strlen(f->token.dir)) != NULL;
}

size_t pool_workers(const struct pool_fixture *f, pid_t *pids, size_t cap)
{
    size_t count = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL) return 0;
    for (struct dirent *d; (d = readdir(proc)) != NULL && count < cap;)
        if (isdigit((unsigned char)d->d_name[0]) && is_worker(f, d->d_name)) pids[count++] = atoi(d->d_name);
    closedir(proc);
    return count;
}

void pool_wait_healthy(struct pool_fixture *f, unsigned workers)
{
    struct kms_hsm_status status;
    for (unsigned tries = 0; tries < 6000; tries++) {
        kms_hsm_status(f->hsm, &status);
        if (status.workers_healthy >= workers) return;
        usleep(10000);
    }
}

kms_err pool_new_key(struct pool_fixture *f, uint8_t number, uint8_t level, struct pool_key *ret_key)
{
    struct kms_key_ref ref = {{{number}}, 1, KMS_SPEC_AES_256, KMS_USAGE_ENCRYPT_DECRYPT, level};
    return pool_new_key_of(f, &ref, ret_key);
}

kms_err pool_new_key_of(struct pool_fixture *f, const struct kms_key_ref *ref, struct pool_key *ret_key)
{
    struct kms_hsm_job job = {.op = KMS_HSM_NEW_KEY,
                              .key = {.ref = *ref},
                              .output = ret_key->wrapped,
                              .output_cap = sizeof ret_key->wrapped};
    KMS_TRY(kms_hsm_call(f->hsm, &job));
    ret_key->key = (struct kms_hsm_key){*ref, {ret_key->wrapped, job.output_len}};
    return KMS_OK;
}

static kms_err run(struct pool_fixture *f, enum kms_hsm_op op, const struct kms_hsm_key *key, const char *aad,
                   struct kms_bytes input, struct pool_call *call)
{
    call->job = (struct kms_hsm_job){.op = op,
                                     .key = *key,
                                     .aad = kms_bytes_text(aad),
                                     .input = input,
                                     .output = call->out,
                                     .output_cap = sizeof call->out};
    return kms_hsm_call(f->hsm, &call->job);
}

kms_err pool_encrypt(struct pool_fixture *f, const struct pool_key *key, const char *aad,
                     struct kms_bytes plaintext, struct pool_call *call)
{
    return run(f, KMS_HSM_ENCRYPT, &key->key, aad, plaintext, call);
}

kms_err pool_decrypt(struct pool_fixture *f, const struct kms_hsm_key *key, const char *aad,
                     struct kms_bytes sealed, struct pool_call *call)
{
    return run(f, KMS_HSM_DECRYPT, key, aad, sealed, call);
}
