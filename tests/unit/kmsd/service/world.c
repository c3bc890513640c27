/* A core and calls. */
#include "tests/unit/kmsd/service/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/batch.h"

static void open_store(struct world *world)
{
    static const uint8_t store_key[32];
    static unsigned count;
    char path[300];
    struct kms_store_mark mark;
    snprintf(path, sizeof path, "%s/%u.db", kms_temp_dir(), count++);
    KMS_ASSERT_OK_FATAL(kms_keystore_open_sqlite(path, true, &world->core.store, NULL));
    KMS_ASSERT_OK_FATAL(kms_keystore_unlock(world->core.store, kms_bytes_of(store_key, sizeof store_key)));
    KMS_ASSERT_OK_FATAL(kms_keyring_new(&world->core.keys));
    KMS_ASSERT_OK_FATAL(kms_ledger_new(&world->core.ledger));
    KMS_ASSERT_OK_FATAL(kms_keyring_load(world->core.keys, world->core.store, NULL, NULL, &mark, NULL));
}

void world_open(struct world *world, const struct kms_authn_options *options)
{
    *world =
        (struct world){.authn = options != NULL ? *options : (struct kms_authn_options){.deny_list = ""}};
    if (world->authn.deny_list == NULL) world->authn.deny_list = "";
    if (world->authn.rate_burst == 0) world->authn.rate_burst = 1;
    if (world->authn.in_flight_per_principal == 0) world->authn.in_flight_per_principal = 8;
    if (world->authn.refused_per_second == 0) world->authn.refused_per_second = 2;
    KMS_ASSERT_OK_FATAL(kms_authn_new(&world->authn, &world->core.authn, NULL));
    KMS_ASSERT_OK_FATAL(
        kms_arn_prefix_make("aws", "kms", "us-east-1", "000000000000", &world->core.arn, NULL));
    pthread_mutex_init(&world->core.service_policy_lock, NULL);
    world->core.instance = "test";
    world->core.key_budget = KMS_KEY_BUDGET;
    world->core.batch_items = KMS_BATCH_ITEMS;
    world->core.batch_bytes = KMS_BATCH_BYTES;
    open_store(world);
}

void world_close(struct world *world)
{
    kms_core_set_service_policy(&world->core, NULL, "");
    pthread_mutex_destroy(&world->core.service_policy_lock);
    kms_keyring_free(world->core.keys);
    kms_ledger_free(world->core.ledger);
    kms_keystore_close(world->core.store);
    kms_authn_free(world->core.authn);
}

static void write_policy(const char *principal, const char *actions, char *json, size_t room)
{
    int len = snprintf(json, room,
                       "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"Sid1\",\"Effect\":\"Allow\","
                       "\"Principal\":{\"AWS\":\"%s\"},\"Resource\":\"*\",\"Action\":[",
                       principal);
    size_t at = (size_t)len;
    for (const char *action = actions; *action != '\0';) {
        size_t one = strcspn(action, ",");
        at += (size_t)snprintf(json + at, room - at, "%s\"kms:%.*s\"", action == actions ? "" : ",", (int)one,
                               action);
        action += one + (action[one] == ',');
    }
    snprintf(json + at, room - at, "]}]}");
}

kms_policy *world_policy(const char *principal, const char *actions, bool service)
{
    char json[2048];
    kms_policy *policy = NULL;
    write_policy(principal, actions, json, sizeof json);
    KMS_ASSERT_OK_FATAL(
        kms_policy_parse(service ? KMS_POLICY_SERVICE : KMS_POLICY_KEY, kms_bytes_text(json), &policy, NULL));
    return policy;
}

void world_service_policy(struct world *world, const char *principal, const char *actions)
{
    kms_core_set_service_policy(&world->core, world_policy(principal, actions, true), "00");
}

struct kms_id world_id(unsigned number)
{
    struct kms_id id = {.bytes = {0xab, 0xcd, 0, 0, 0, 0, 0x40, 0, 0x80}};
    id.bytes[15] = (uint8_t)number;
    return id;
}

struct kms_key *world_key(struct world *world, unsigned number, enum kms_level level, const char *actions)
{
    struct kms_key *key = NULL;
    char json[2048];
    KMS_ASSERT_OK_FATAL(kms_key_new(level, 1, &key));
    write_policy("app", actions, json, sizeof json);
    key->id = world_id(number);
    kms_id_text(&key->id, key->id_text);
    key->spec = KMS_SPEC_AES_256;
    key->usage = KMS_USAGE_ENCRYPT_DECRYPT;
    key->state = KMS_STATE_ENABLED;
    key->origin = KMS_ORIGIN_KMS;
    KMS_ASSERT_OK_FATAL(kms_key_set_texts(key, "", "admin"));
    KMS_ASSERT_OK_FATAL(kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(json), &key->policy, NULL));
    KMS_ASSERT_OK_FATAL(kms_key_set_wrapped(&key->versions[0], kms_bytes_text("wrapped 1")));
    KMS_ASSERT_OK_FATAL(kms_keyring_put(world->core.keys, key));
    return key;
}

void world_add_key(struct world *world, unsigned number, enum kms_level level, const char *actions)
{
    kms_key_unref(world_key(world, number, level, actions));
}

struct kms_key *world_change(struct world *world, struct kms_key *key, bool enabled, uint32_t more_versions)
{
    struct kms_key *changed = NULL;
    KMS_ASSERT_OK_FATAL(kms_key_copy(key, more_versions, &changed));
    changed->state = enabled ? KMS_STATE_ENABLED : KMS_STATE_DISABLED;
    for (uint32_t i = key->version_count; i < changed->version_count; i++)
        KMS_ASSERT_OK_FATAL(kms_key_set_wrapped(&changed->versions[i], kms_bytes_text("wrapped more")));
    KMS_ASSERT_OK_FATAL(kms_keyring_put(world->core.keys, changed));
    return changed;
}

void world_alias(struct world *world, const char *name, unsigned number, bool deleted)
{
    struct kms_alias alias = {.key_id = world_id(number), .revision = 1, .deleted = deleted};
    snprintf(alias.name, sizeof alias.name, "%s", name);
    KMS_ASSERT_OK_FATAL(kms_keyring_put_alias(world->core.keys, &alias));
}

static kms_identity *identity_of(struct world *world, const char *principal)
{
    kms_identity *identity = NULL;
    struct kms_unix_mapping mapping = {1, principal};
    const struct kms_unix_socket socket = {"/run/test", "", &mapping, 1};
    KMS_ASSERT_OK_FATAL(kms_identity_of_peer(world->core.authn, &socket, 1, &identity, NULL));
    return identity;
}

void world_call_of(struct world *world, struct kms_call *call, const struct kms_method *method,
                   const char *principal)
{
    *call =
        (struct kms_call){.method = method, .core = &world->core, .started_us = 1000000, .request_id = {{7}}};
    kms_arena_init(&call->arena, 1024 * 1024);
    static Kms__V1__DescribeKeyRequest request;
    kms__v1__describe_key_request__init(&request);
    call->request = &request.base; /* decoded: something */
    if (principal != NULL) call->identity = identity_of(world, principal);
}

void world_call(struct world *world, struct kms_call *call, const struct kms_method *method)
{
    world_call_of(world, call, method, "app");
}
