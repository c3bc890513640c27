/*
 * RotateRoot: a new generation of root keys wraps from now on, then call after call moves what older ones
 * wrap. There is no state of a rotation beside the root id in each wrapped key: whatever dies, the next call
 * goes on.
 */
#include "base/log.h"
#include "kms/v1/system.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/change.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/root_use.h"
#include "kmsd/service/seal.h"

enum {
    BATCH_STANDARD = 250, /* versions of one call, and so of one transaction */
    BATCH_MOST = 1000,
    SPARE = 64, /* keys beside the batch: what cannot be opened must not keep the others from moving */
    TRIES = 8,  /* when administrators change the same keys meanwhile */
};

kms_err kms_rotate_root_gather(struct kms_call *call)
{
    return kms_access_service(call, KMS_ACT_ROTATE_ROOT);
}

struct batch {
    uint32_t root_id;
    size_t room, count;                       /* versions; keys */
    struct kms_key *keys[BATCH_MOST + SPARE]; /* references held: as they were, then as they will be */
    uint32_t moved, failed;                   /* versions */
};

static void let_go(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) kms_key_unref(batch->keys[i]);
    batch->count = 0;
}

static void drop_batch(struct batch **batch)
{
    if (*batch != NULL) let_go(*batch);
}

static bool is_old(const struct batch *batch, const struct kms_key_version *version)
{
    return version->wrapped.len > 0 && version->root_id != batch->root_id;
}

static void choose(void *user, const struct kms_key *key)
{
    struct batch *batch = user;
    if (batch->count == batch->room + SPARE) return;
    for (uint32_t i = 0; i < key->version_count; i++) {
        if (!is_old(batch, &key->versions[i])) continue;
        batch->keys[batch->count++] = kms_key_ref((struct kms_key *)(uintptr_t)key); /* only counts */
        return;
    }
}

/* NO_MEMORY and the token's own trouble end the call; what is wrong with this version does not. */
static kms_err move_version(struct kms_call *call, struct batch *batch, struct kms_key *key, uint32_t number)
{
    uint8_t wrapped[KMS_HSM_WRAPPED_BYTES];
    struct kms_key_version *version = &key->versions[number - 1];
    struct kms_hsm_job job = {.op = KMS_HSM_REWRAP,
                              .key = kms_key_for_hsm(key, version),
                              .output = wrapped,
                              .output_cap = sizeof wrapped};
    kms_err err = kms_hsm_call(call->core->hsm, &job);
    if (kms_is(err, KMS_E_CORRUPT) || kms_is(err, KMS_E_ROOT_KEYS_MISSING)) {
        kms_log(KMS_LOG_ERROR, "root.rotate", "key=%s version=%u root=%u err=%s it stays as it is",
                key->id_text, number, version->root_id, kms_err_reason(err));
        batch->failed++;
        return KMS_OK;
    }
    if (kms_failed(err)) return kms_call_fail(call, err, "re-wrapping key %s", key->id_text);
    const struct kms_bytes moved = {wrapped, job.output_len};
    version->root_id = kms_hsm_root_of(moved);
    batch->moved++;
    return kms_key_set_wrapped(version, moved);
}

/* A new generation of the key, if any of its versions moved. The key's own row changes too: so an
 * administrator who changes it meanwhile conflicts with this, or this with him. */
static kms_err move_key(struct kms_call *call, struct batch *batch, struct kms_change_set *changes, size_t at)
{
    KMS_OWN_KEY key = NULL;
    uint32_t before = batch->moved;
    KMS_TRY(kms_key_copy(batch->keys[at], 0, &key));
    for (uint32_t v = 1; v <= key->version_count && batch->moved < batch->room; v++) {
        uint32_t so_far = batch->moved;
        if (!is_old(batch, &key->versions[v - 1])) continue;
        KMS_TRY(move_version(call, batch, key, v));
        if (batch->moved > so_far) KMS_TRY(kms_change_version(changes, key, v));
    }
    if (batch->moved == before) return KMS_OK;
    KMS_TRY(kms_change_key(changes, key));
    kms_key_unref(batch->keys[at]);
    batch->keys[at] = KMS_GIVE(key); /* borrowed by the change set */
    return KMS_OK;
}

static kms_err move_batch(struct kms_call *call, struct batch *batch)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    for (size_t cursor = 0; kms_keyring_some(call->core->keys, &cursor, choose, batch);)
        if (batch->count == batch->room + SPARE) break;
    size_t changed = 0;
    for (size_t i = 0; i < batch->count && batch->moved < batch->room; i++) {
        const struct kms_key *before = batch->keys[i];
        KMS_TRY(move_key(call, batch, &changes, i));
        if (batch->keys[i] == before) continue;
        struct kms_key *key = batch->keys[i];
        batch->keys[i] = batch->keys[changed];
        batch->keys[changed++] = key;
    }
    if (changed == 0) return KMS_OK;
    KMS_TRY(kms_change_apply(&changes, call));
    for (size_t i = 0; i < changed; i++) KMS_TRY(kms_keyring_put(call->core->keys, batch->keys[i]));
    return KMS_OK;
}

static kms_err move_some(struct kms_call *call, uint32_t root_id, uint32_t most, uint32_t *ret_moved,
                         uint32_t *ret_failed)
{
    kms_err err = KMS_OK;
    __attribute__((cleanup(drop_batch))) struct batch *batch = kms_call_alloc(call, sizeof *batch);
    if (batch == NULL) return KMS_FAIL(NO_MEMORY);
    *batch = (struct batch){.count = 0};
    for (int i = 0; i < TRIES; i++) {
        let_go(batch);
        batch->root_id = root_id;
        batch->room = most;
        batch->moved = batch->failed = 0;
        err = move_batch(call, batch);
        if (!kms_is(err, KMS_E_CONFLICT)) break;
        most = most > 8 ? most / 8 : 1; /* the less at once, the sooner it is between two of their changes */
    }
    KMS_TRY(err);
    *ret_moved = batch->moved;
    *ret_failed = batch->failed;
    return KMS_OK;
}

static kms_err move_store_key(struct kms_call *call)
{
    const struct kms_core *core = call->core;
    KMS_OWN_BUF sealed = {0};
    uint8_t moved[256];
    KMS_TRY(kms_keystore_sealed_key(core->store, &sealed, &call->why));
    struct kms_hsm_job job = {.op = KMS_HSM_REWRAP_STORE_KEY,
                              .aad = kms_bytes_text(KMS_STORE_KEY_PURPOSE),
                              .input = kms_buf_view(&sealed),
                              .output = moved,
                              .output_cap = sizeof moved};
    kms_err err = kms_hsm_call(core->hsm, &job);
    if (kms_failed(err)) return kms_call_fail(call, err, "re-wrapping the keystore's own key");
    return kms_keystore_move_sealed_key(core->store, kms_buf_view(&sealed),
                                        kms_bytes_of(moved, job.output_len), &call->why);
}

/* The generation that is asked for is there, and seals the keystore's key. */
static kms_err begin(struct kms_call *call, uint32_t root_id)
{
    struct kms_root_use use;
    KMS_TRY(kms_root_use_count(call->core, &use, &call->why));
    if (root_id != use.hsm.root_id && root_id != use.hsm.root_id + 1)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "root_id: %u, to go on under the newest generation, or %u, to make the next one",
                             use.hsm.root_id, use.hsm.root_id + 1);
    if (root_id != use.hsm.root_id) {
        kms_err err = kms_hsm_new_root(call->core->hsm, root_id);
        if (kms_failed(err))
            return kms_call_fail(call, err, "making generation %u of the root keys", root_id);
    }
    return use.store_key == root_id ? KMS_OK : move_store_key(call);
}

kms_err kms_rotate_root_act(struct kms_call *call)
{
    const Kms__V1__RotateRootRequest *request = (const void *)call->request;
    Kms__V1__RotateRootResponse *reply = kms_new_reply(call);
    uint32_t most = request->max_versions != 0 ? request->max_versions : BATCH_STANDARD;
    struct kms_root_use use;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    if (most > BATCH_MOST)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "max_versions: at most %d", BATCH_MOST);
    KMS_TRY(begin(call, request->root_id));
    KMS_TRY(move_some(call, request->root_id, most, &reply->rewrapped, &reply->failed));
    KMS_TRY(kms_root_use_count(call->core, &use, &call->why));
    reply->root_id = request->root_id;
    reply->versions = use.versions;
    reply->remaining = use.old;
    call->noted = kms_arena_print(&call->arena, "generation %u: %u key versions re-wrapped, %llu remain",
                                  reply->root_id, reply->rewrapped, (unsigned long long)reply->remaining);
    return call->noted != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
