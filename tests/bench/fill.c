/*
 * kms-fill: puts many keys into the keystore of a kmsd that is stopped, since through the API a million
 * takes an hour. The keys are real: made by workers of the token, sealed, counted by a record of the audit
 * log, so that kmsd starts on them as on any. Every key has the same policy; alias number 7 is
 * "alias/bench-00000007".
 *
 * kms-fill KMSD.YAML KEYS ALIASES FIRST POLICY.JSON CREATOR
 *
 * As many as are to be added; FIRST is the number of the first alias. Ids are random and written in order,
 * which spares the disk.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "hsm/spawner.h"
#include "kmsd/audit/audit.h"
#include "kmsd/conf/conf.h"
#include "kmsd/keys/record.h"
#include "kmsd/keys/state.h"
#include "kmsd/service/core.h"

enum { IN_FLIGHT = 256, CHANGES = 8192, STORE_KEY_BYTES = 32, DEADLINE_MS = 60000 };

static struct fill {
    kmsd_conf *conf;
    kms_hsm *hsm;
    kms_keystore *store;
    kms_audit *audit;
    kms_policy *policy;
    const char *creator;
    struct kms_store_mark mark;
    struct kms_why why;
    struct kms_change changes[CHANGES];
    kms_buf bodies[CHANGES];
    char ids[CHANGES][KMS_ROW_ID_BYTES];
    size_t count;
} f;
static struct slot {
    struct kms_hsm_job job;
    uint8_t wrapped[KMS_HSM_WRAPPED_BYTES];
} slots[IN_FLIGHT];
static size_t jobs_done;

static void need(kms_err err, const char *what)
{
    if (!kms_failed(err)) return;
    fprintf(stderr, "kms-fill: %s: %s: %s\n", what, kms_err_text(err), f.why.text);
    exit(1);
}

static void job_done(struct kms_hsm_job *job)
{
    need(job->err, "a job of the token");
    jobs_done++;
}

/* Submits the jobs of so many slots and polls, on this one thread, until they are done. */
static void run_jobs(size_t count)
{
    jobs_done = 0;
    for (size_t i = 0; i < count; i++) {
        slots[i].job.output = slots[i].wrapped;
        slots[i].job.output_cap = sizeof slots[i].wrapped;
        slots[i].job.done = job_done;
        kms_hsm_submit(f.hsm, 0, &slots[i].job);
    }
    kms_hsm_flush(f.hsm, 0);
    while (jobs_done < count) {
        struct pollfd fd = {kms_hsm_poll_fd(f.hsm), POLLIN, 0};
        poll(&fd, 1, kms_hsm_poll_timeout_ms(f.hsm));
        kms_hsm_poll(f.hsm);
    }
}

static void open_store(void)
{
    KMS_OWN_BUF sealed = {0};
    need(kms_keystore_open_sqlite(f.conf->keystore_path, false, &f.store, &f.why), "the keystore");
    need(kms_keystore_sealed_key(f.store, &sealed, &f.why), "the keystore's key");
    slots[0].job = (struct kms_hsm_job){.op = KMS_HSM_OPEN_STORE_KEY,
                                        .aad = kms_bytes_text(KMS_STORE_KEY_PURPOSE),
                                        .input = kms_buf_view(&sealed)};
    run_jobs(1);
    need(kms_keystore_unlock(f.store, kms_bytes_of(slots[0].wrapped, STORE_KEY_BYTES)), "unlocking");
    kms_wipe(slots[0].wrapped, STORE_KEY_BYTES);
    need(kms_keystore_verify(f.store, &f.mark, &f.why), "verifying the keystore");
}

static void open_all(kms_spawner *spawner)
{
    const struct kms_hsm_options hsm = {.worker_path = f.conf->hsm_worker_path,
                                        .uri = f.conf->hsm_uri,
                                        .state_dir = f.conf->state_dir,
                                        .lanes = 1,
                                        .deadline_ms = DEADLINE_MS};
    const struct kms_audit_options audit = {.dir = f.conf->audit_dir,
                                            .instance = f.conf->audit_instance,
                                            .segment_bytes = f.conf->audit_segment_bytes};
    need(kms_hsm_open(spawner, &hsm, &f.hsm, &f.why), "the token");
    need(kms_audit_open(&audit, &f.audit, &f.why), "the audit log");
    open_store();
}

static void apply(void)
{
    struct kms_id request;
    if (f.count == 0) return;
    need(kms_id_new(&request), "random bytes");
    need(kms_keystore_apply(f.store, &request, f.changes, f.count, &f.mark, &f.why), "writing keys");
    for (size_t i = 0; i < f.count; i++) kms_buf_free(&f.bodies[i]);
    f.count = 0;
}

/* The row's place; its id and body are to be filled. */
static size_t next_row(enum kms_table table)
{
    if (f.count == CHANGES) apply();
    f.changes[f.count] = (struct kms_change){.table = table, .id = f.ids[f.count]};
    return f.count++;
}

static void add_row(size_t row, kms_err made)
{
    need(made, "packing a row");
    f.changes[row].body = kms_buf_view(&f.bodies[row]);
}

static void add_key(const struct slot *slot)
{
    KMS_OWN_KEY key = NULL;
    need(kms_key_new(KMS_LEVEL_SOFTWARE, 1, &key), "a key");
    key->id = slot->job.key.ref.key_id;
    kms_id_text(&key->id, key->id_text);
    key->created_us = key->versions[0].created_us = kms_now_us();
    key->spec = KMS_SPEC_AES_256;
    key->usage = KMS_USAGE_ENCRYPT_DECRYPT;
    key->state = KMS_STATE_ENABLED;
    key->origin = KMS_ORIGIN_KMS;
    key->policy = kms_policy_ref(f.policy);
    need(kms_key_set_texts(key, "", f.creator), "a key");
    key->versions[0].cause = KMS_CAUSE_CREATION;
    key->versions[0].wrapped = kms_bytes_of(slot->wrapped, slot->job.output_len); /* borrowed for the row */
    key->versions[0].root_id = kms_hsm_root_of(key->versions[0].wrapped);
    size_t row = next_row(KMS_TABLE_KEY);
    snprintf(f.ids[row], sizeof f.ids[row], "%s", key->id_text);
    add_row(row, kms_key_body(key, &f.bodies[row]));
    row = next_row(KMS_TABLE_KEY_VERSION);
    kms_version_row_id(key, 1, f.ids[row]);
    add_row(row, kms_version_body(&key->versions[0], &f.bodies[row]));
    key->versions[0].wrapped = (struct kms_bytes){0};
}

static void add_keys(const struct kms_id *ids, size_t count)
{
    for (size_t done = 0; done < count;) {
        size_t some = count - done < IN_FLIGHT ? count - done : IN_FLIGHT;
        for (size_t i = 0; i < some; i++)
            slots[i].job = (struct kms_hsm_job){.op = KMS_HSM_NEW_KEY,
                                                .key.ref = {.key_id = ids[done + i],
                                                            .version = 1,
                                                            .spec = KMS_SPEC_AES_256,
                                                            .usage = KMS_USAGE_ENCRYPT_DECRYPT,
                                                            .level = KMS_LEVEL_SOFTWARE}};
        run_jobs(some);
        for (size_t i = 0; i < some; i++) add_key(&slots[i]);
        done += some;
    }
}

static void add_aliases(const struct kms_id *ids, size_t keys, size_t count, size_t first)
{
    for (size_t i = 0; i < count; i++) {
        struct kms_alias alias = {.key_id = ids[i % keys]};
        size_t row = next_row(KMS_TABLE_ALIAS);
        snprintf(f.ids[row], sizeof f.ids[row], "alias/bench-%08zu", first + i);
        add_row(row, kms_alias_body(&alias, kms_now_us(), &f.bodies[row]));
    }
}

/* Where the keystore stands now: kmsd compares it with that at its start. */
static void tell_the_log(void)
{
    struct kms_audit_event event = {.kind = KMS_AUDIT_SERVICE,
                                    .operation = "bench-filled",
                                    .has_mark = true,
                                    .store_revision = f.mark.revision,
                                    .started_us = kms_now_us()};
    kms_copy(event.store_digest, f.mark.digest, sizeof event.store_digest);
    need(kms_audit_append(f.audit, &event), "the record");
    need(kms_audit_commit(f.audit), "the record");
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, KMS_ID_BYTES);
}

static void fill(size_t keys, size_t aliases, size_t first_alias)
{
    struct kms_id *ids = calloc(keys, sizeof *ids);
    if (ids == NULL) need(KMS_FAIL(NO_MEMORY), "ids");
    for (size_t i = 0; i < keys; i++) need(kms_id_new(&ids[i]), "random bytes");
    qsort(ids, keys, sizeof *ids, by_bytes);
    add_keys(ids, keys);
    add_aliases(ids, keys, aliases, first_alias);
    apply();
    tell_the_log();
    free(ids);
}

static void close_all(kms_spawner *spawner)
{
    kms_audit_close(f.audit);
    kms_keystore_close(f.store);
    kms_hsm_close(f.hsm);
    kms_spawner_stop(spawner);
    kmsd_conf_free(f.conf);
    kms_policy_unref(f.policy);
}

static void read_policy(const char *path)
{
    KMS_OWN_BUF text = {0};
    need(kms_read_file(path, KMS_POLICY_BYTES, &text, &f.why), "the policy");
    need(kms_policy_parse(KMS_POLICY_KEY, kms_buf_view(&text), &f.policy, &f.why), "the policy");
}

int main(int argc, char **argv)
{
    kms_spawner *spawner = NULL;
    size_t keys = argc == 7 ? strtoul(argv[2], NULL, 10) : 0;
    if (keys == 0) {
        fprintf(stderr, "usage: kms-fill KMSD.YAML KEYS ALIASES FIRST POLICY.JSON CREATOR\n");
        return 2;
    }
    f.creator = argv[6];
    need(kms_spawner_start(&spawner), "the spawner");
    need(kmsd_conf_load(argv[1], &f.conf, &f.why), "the configuration");
    read_policy(argv[5]);
    open_all(spawner);
    fill(keys, strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
    close_all(spawner);
    return 0;
}
