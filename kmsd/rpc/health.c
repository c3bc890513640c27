/*
 * grpc.health.v1. One thread asks once a second how the service is, whatever the number of clients; when
 * the answer has changed it wakes the queues, whose threads tell those who watch. It looks after room for
 * others, too. So a Check costs a look at an integer, and nobody can make the service look at itself by
 * asking.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "grpc/health/v1/health.pb-c.h"
#include "kmsd/rpc/guest.h"

enum { INTERVAL_MS = 1000, NAMES = 64, NAME_BYTES = 64 };

struct kms_health {
    struct kms_rpc *rpc;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* monotonic clock */
    bool stopping;
    atomic_uint well; /* of enum kms_rpc_part */

    size_t count;
    struct {
        char name[NAME_BYTES];
        unsigned needs; /* of enum kms_rpc_part */
    } names[NAMES];
};

typedef Grpc__Health__V1__HealthCheckResponse response;

/* --- names --- */

static kms_err add(struct kms_health *health, const char *name, size_t len, unsigned needs)
{
    for (size_t i = 0; i < health->count; i++)
        if (strlen(health->names[i].name) == len && memcmp(health->names[i].name, name, len) == 0)
            return KMS_OK;
    if (health->count == NAMES || len >= NAME_BYTES) return KMS_FAIL(INTERNAL);
    memcpy(health->names[health->count].name, name, len);
    health->names[health->count++].needs = needs;
    return KMS_OK;
}

/* "/kms.v1.CryptoService/Encrypt": the service between the slashes. Each needs every part, those of foreign
 * protocols too: also who only decrypts leaves a record, and budgets and new key versions come out of the
 * keystore. */
static kms_err name_all(struct kms_health *health, const struct kms_rpc *rpc)
{
    KMS_TRY(add(health, "", 0, KMS_RPC_ALL_PARTS));
    KMS_TRY(add(health, "hsm", 3, KMS_RPC_HSM));
    KMS_TRY(add(health, "keystore", 8, KMS_RPC_KEYSTORE));
    KMS_TRY(add(health, "audit", 5, KMS_RPC_AUDIT));
    for (size_t i = 0; i < rpc->row_count; i++) {
        char path[KMS_METHOD_PATH_BYTES];
        kms_row_path(&rpc->rows[i], path);
        KMS_TRY(add(health, path + 1, strcspn(path + 1, "/"), KMS_RPC_ALL_PARTS));
    }
    return KMS_OK;
}

/* --- the thread --- */

static unsigned ask(const struct kms_rpc_parts *parts)
{
    return parts->well == NULL ? KMS_RPC_ALL_PARTS : parts->well(parts->well_self);
}

static void *run(void *self)
{
    struct kms_health *health = self;
    pthread_mutex_lock(&health->lock);
    while (!health->stopping) {
        struct timespec next = kms_in_ms(INTERVAL_MS);
        int err = pthread_cond_timedwait(&health->changed, &health->lock, &next);
        if (err == 0 || health->stopping) continue;
        pthread_mutex_unlock(&health->lock);
        unsigned well = ask(&health->rpc->parts);
        if (atomic_exchange(&health->well, well) != well) kms_guests_wake(health->rpc);
        kms_guests_make_room(health->rpc);
        pthread_mutex_lock(&health->lock);
    }
    pthread_mutex_unlock(&health->lock);
    return NULL;
}

kms_err kms_health_start(struct kms_rpc *rpc)
{
    struct kms_health *health = calloc(1, sizeof *health);
    if (health == NULL) return KMS_FAIL(NO_MEMORY);
    rpc->health = health;
    health->rpc = rpc;
    pthread_mutex_init(&health->lock, NULL);
    kms_cond_init(&health->changed);
    KMS_TRY(name_all(health, rpc));
    atomic_store(&health->well, ask(&rpc->parts));
    if (pthread_create(&health->thread, NULL, run, health) != 0) return KMS_FAIL(NO_MEMORY);
    health->running = true;
    pthread_setname_np(health->thread, "rpc-health");
    return KMS_OK;
}

void kms_health_stop(struct kms_rpc *rpc)
{
    struct kms_health *health = rpc->health;
    if (health == NULL || !health->running) return;
    pthread_mutex_lock(&health->lock);
    health->stopping = true;
    pthread_cond_broadcast(&health->changed);
    pthread_mutex_unlock(&health->lock);
    pthread_join(health->thread, NULL);
    health->running = false;
}

void kms_health_free(struct kms_rpc *rpc)
{
    if (rpc->health == NULL) return;
    kms_health_stop(rpc);
    pthread_cond_destroy(&rpc->health->changed);
    pthread_mutex_destroy(&rpc->health->lock);
    free(rpc->health);
}

/* --- answers --- */

/* An index, or -1: no such name. */
static kms_err read_name(struct kms_guest *guest, int *ret_name, struct kms_why *why)
{
    const struct kms_health *health = guest->queue->rpc->health;
    const ProtobufCMessage *message;
    kms_arena arena;
    *ret_name = -1;
    kms_err err =
        kms_guest_decode(guest, &grpc__health__v1__health_check_request__descriptor, &arena, &message, why);
    if (!kms_failed(err)) {
        const char *name = ((const Grpc__Health__V1__HealthCheckRequest *)message)->service;
        for (size_t i = 0; i < health->count; i++)
            if (strcmp(health->names[i].name, name) == 0) *ret_name = (int)i;
    }
    kms_arena_wipe(&arena);
    return err;
}

/* Whoever is about to stop is not well: balancers should know before calls are refused. */
static int status_of(const struct kms_rpc *rpc, int name)
{
    if (name < 0) return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    unsigned needs = rpc->health->names[name].needs;
    bool well = (atomic_load(&rpc->health->well) & needs) == needs && !atomic_load(&rpc->closing);
    return well ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
}

static response answer(int status)
{
    response reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    reply.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return reply;
}

void kms_health_check(struct kms_guest *guest)
{
    struct kms_why why = {{0}};
    int name;
    kms_err err = read_name(guest, &name, &why);
    if (!kms_failed(err) && name < 0) err = KMS_FAIL(UNKNOWN_SERVICE);
    response reply = answer(status_of(guest->queue->rpc, name));
    kms_guest_end(guest, kms_failed(err) ? NULL : &reply.base, err, &why);
}

void kms_health_list(struct kms_guest *guest)
{
    const struct kms_rpc *rpc = guest->queue->rpc;
    struct kms_why why = {{0}};
    const ProtobufCMessage *request;
    kms_arena arena;
    kms_err err =
        kms_guest_decode(guest, &grpc__health__v1__health_list_request__descriptor, &arena, &request, &why);
    kms_arena_wipe(&arena);
    response status[NAMES];
    Grpc__Health__V1__HealthListResponse__StatusesEntry entry[NAMES], *entries[NAMES];
    Grpc__Health__V1__HealthListResponse reply = GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__INIT;
    reply.statuses = entries;
    for (size_t i = 0; i < rpc->health->count; i++) {
        status[i] = answer(status_of(rpc, (int)i));
        grpc__health__v1__health_list_response__statuses_entry__init(&entry[i]);
        entry[i].key = rpc->health->names[i].name;
        entry[i].value = &status[i];
        entries[reply.n_statuses++] = &entry[i];
    }
    kms_guest_end(guest, kms_failed(err) ? NULL : &reply.base, err, &why);
}

void kms_health_watch(struct kms_guest *guest)
{
    struct kms_why why = {{0}};
    kms_err err = read_name(guest, &guest->asked, &why);
    if (kms_failed(err)) kms_guest_end(guest, NULL, err, &why);
}

void kms_health_look(struct kms_guest *guest)
{
    int status = status_of(guest->queue->rpc, guest->asked);
    if (status == guest->told) return;
    guest->told = status;
    response reply = answer(status);
    kms_guest_send(guest, &reply.base);
}
