/* Changes of stored state, and the tokens that give a repeated request the answer of the first. */
#include "kmsd/service/change.h"

#include <stdio.h>

#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/method.h"
#include "tests/unit/kmsd/service/world.h"

static const struct kms_method create = {.rpc = "CreateKey",
                                         .action = KMS_ACT_CREATE_KEY,
                                         .lane = KMS_LANE_ADMIN},
                               rotate = {.rpc = "RotateKeyOnDemand",
                                         .action = KMS_ACT_ROTATE_KEY_ON_DEMAND,
                                         .lane = KMS_LANE_ADMIN};

static const struct kms_method *method_named(const char *rpc)
{
    for (size_t i = 0; i < kms_method_count; i++)
        if (strcmp(kms_methods[i].rpc, rpc) == 0) return &kms_methods[i];
    return NULL;
}

struct request {
    Kms__V1__CreateKeyRequest message;
    char description[16];
};

static void begin(struct world *world, struct kms_call *call, const struct kms_method *method,
                  struct request *request, const char *description)
{
    world_call(world, call, method);
    KMS_ASSERT_OK_FATAL(kms_id_new(&call->request_id));
    kms__v1__create_key_request__init(&request->message);
    snprintf(request->description, sizeof request->description, "%s", description);
    request->message.description = request->description;
    call->request = &request->message.base;
}

/* The call makes something under this token; its code. */
static kms_err make(struct kms_call *call, const char *token, unsigned number)
{
    KMS_OWN_CHANGES set = {.count = 0};
    const struct kms_made made = {.key_id = world_id(number), .version = number};
    KMS_TRY(kms_change_token(&set, call, token, &made));
    return kms_change_apply(&set, call);
}

static void tokens(void)
{
    static const char long_token[] = "1234567890123456789012345678901234567890123456789012345678901234";
    static const struct {
        const struct kms_method *method;
        const char *principal, *description, *token;
        enum kms_code code;
        bool found;
    } cases[] = {
        {&create, "app", "same", "t", KMS_E_OK, true},
        {&create, "app", "other", "t", KMS_E_CONFLICT, false},
        {&create, "app", "same", "t2", KMS_E_OK, false},
        {&create, "app", "same", "", KMS_E_OK, false},
        {&create, "somebody", "same", "t", KMS_E_OK, false}, /* a token belongs to its principal */
        {&create, "ap", "same", "pt", KMS_E_OK, false},      /* not even when the texts run together */
        {&rotate, "app", "same", "t", KMS_E_OK, false},      /* and to its method */
        {&create, "app", "same", long_token, KMS_E_OK, false},
    };
    struct world world;
    struct request request;
    struct kms_call call;
    world_open(&world, NULL);
    begin(&world, &call, &create, &request, "same");
    KMS_ASSERT_OK_FATAL(make(&call, "t", 5));
    CU_ASSERT(call.changed_store && call.mark.revision > 0);
    kms_call_end(&call);
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_made made = {.found = false};
        begin(&world, &call, cases[i].method, &request, cases[i].description);
        kms_identity_unref(call.identity);
        struct kms_call other;
        world_call_of(&world, &other, cases[i].method, cases[i].principal);
        call.identity = other.identity;
        kms_err err = kms_made_before(&call, cases[i].token, &made);
        CU_ASSERT(kms_code_is(err, cases[i].code, __FILE__, __LINE__));
        CU_ASSERT_EQUAL(made.found, cases[i].found);
        struct kms_id five = world_id(5);
        if (made.found) CU_ASSERT(kms_id_equal(&made.key_id, &five) && made.version == 5);
        CU_ASSERT_EQUAL(call.why.text[0] != '\0', cases[i].code != KMS_E_OK);
        kms_call_end(&call);
    }
    world_close(&world);
}

static void tokens_too_long(void)
{
    char token[66];
    memset(token, 't', 65);
    token[65] = '\0';
    struct world world;
    struct request request;
    struct kms_call call;
    struct kms_made made;
    world_open(&world, NULL);
    begin(&world, &call, &create, &request, "same");
    KMS_ASSERT_CODE(kms_made_before(&call, token, &made), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, "client_request_token"));
    KMS_ASSERT_CODE(make(&call, token, 1), INVALID_ARGUMENT);
    kms_call_end(&call);
    world_close(&world);
}

/* Two calls with one token that ran side by side: one makes, the other is told to look again. */
static void one_token_makes_once(void)
{
    struct world world;
    struct request request;
    struct kms_call call;
    world_open(&world, NULL);
    for (int i = 0; i < 2; i++) {
        begin(&world, &call, &create, &request, "same");
        CU_ASSERT_EQUAL(make(&call, "t", 5).code, i == 0 ? KMS_E_OK : KMS_E_CONFLICT);
        CU_ASSERT_EQUAL(call.changed_store, i == 0);
        kms_call_end(&call);
    }
    world_close(&world);
}

static void a_damaged_token(void)
{
    struct world world;
    struct request request;
    struct kms_call call;
    struct kms_made made;
    world_open(&world, NULL);
    begin(&world, &call, &create, &request, "same");
    KMS_OWN_CHANGES set = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_change_token(&set, &call, "t", &(struct kms_made){.version = 1}));
    set.steps[0]->body.data[0] = 0xff;
    KMS_ASSERT_OK_FATAL(kms_change_apply(&set, &call));
    KMS_ASSERT_CODE(kms_made_before(&call, "t", &made), CORRUPT);
    CU_ASSERT_FALSE(made.found);
    kms_call_end(&call);
    world_close(&world);
}

static void a_key_with_all_its_rows(void)
{
    struct world world;
    struct request request;
    struct kms_call call;
    struct kms_store_mark mark;
    world_open(&world, NULL);
    KMS_OWN_KEY key = world_key(&world, 1, KMS_LEVEL_HSM, "Encrypt");
    struct kms_alias alias = {.name = "alias/a", .key_id = key->id};
    begin(&world, &call, &create, &request, "same");
    KMS_OWN_CHANGES set = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_change_key(&set, key));
    KMS_ASSERT_OK_FATAL(kms_change_version(&set, key, 1));
    KMS_ASSERT_OK_FATAL(kms_change_alias(&set, &alias));
    KMS_ASSERT_OK_FATAL(
        kms_change_token(&set, &call, "t", &(struct kms_made){.key_id = key->id, .version = 1}));
    KMS_ASSERT_OK_FATAL(kms_change_apply_key(&set, &call, key));
    CU_ASSERT_EQUAL(key->revision, 1);
    KMS_OWN(kms_keyring) fresh = NULL;
    KMS_ASSERT_OK_FATAL(kms_keyring_new(&fresh));
    KMS_ASSERT_OK(kms_keyring_load(fresh, world.core.store, NULL, NULL, &mark, NULL));
    KMS_OWN_KEY back = kms_keyring_find(fresh, &key->id);
    CU_ASSERT(back != NULL && back->revision == 1);
    CU_ASSERT(kms_keyring_alias(fresh, kms_bytes_text("alias/a"), &alias));
    CU_ASSERT_EQUAL(memcmp(&mark, &call.mark, sizeof mark), 0); /* what the outcome's record will say */
    kms_call_end(&call);
    world_close(&world);
}

/* Somebody else changed the row meanwhile: nothing changes, neither in the keystore nor in the keyring. */
static void a_conflict_changes_nothing(void)
{
    struct world world;
    struct request request;
    struct kms_call call;
    world_open(&world, NULL);
    KMS_OWN_KEY key = world_key(&world, 1, KMS_LEVEL_HSM, "Encrypt");
    KMS_OWN_KEY stale = NULL;
    KMS_ASSERT_OK_FATAL(kms_key_copy(key, 0, &stale));
    stale->revision = 7;
    begin(&world, &call, &create, &request, "same");
    KMS_OWN_CHANGES set = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_change_key(&set, stale));
    KMS_ASSERT_CODE(kms_change_apply_key(&set, &call, stale), CONFLICT);
    CU_ASSERT(!call.changed_store && stale->revision == 7);
    KMS_OWN_KEY now = kms_keyring_find(world.core.keys, &key->id);
    CU_ASSERT_PTR_EQUAL(now, key);
    kms_call_end(&call);
    world_close(&world);
}

/* The alias moved between two requests with one token: the answer of the first is not true of the new key. */
static void a_token_belongs_to_the_key_it_rotated(void)
{
    struct world world;
    struct kms_call call;
    char name[] = "alias/a", token[] = "t";
    Kms__V1__RotateKeyOnDemandRequest message;
    kms__v1__rotate_key_on_demand_request__init(&message);
    message.key_id = name;
    message.client_request_token = token;
    world_open(&world, NULL);
    world_add_key(&world, 1, KMS_LEVEL_HSM, "RotateKeyOnDemand");
    world_add_key(&world, 2, KMS_LEVEL_HSM, "RotateKeyOnDemand");
    for (unsigned number = 1; number <= 2; number++) {
        world_alias(&world, name, number, false);
        world_call(&world, &call, method_named("RotateKeyOnDemand"));
        KMS_ASSERT_OK_FATAL(kms_id_new(&call.request_id));
        call.request = &message.base;
        if (number == 1) KMS_ASSERT_OK_FATAL(make(&call, token, 1));
        KMS_ASSERT_OK_FATAL(call.method->gather(&call));
        CU_ASSERT_EQUAL(call.method->act(&call).code, number == 1 ? KMS_E_OK : KMS_E_CONFLICT);
        kms_call_end(&call);
    }
    world_close(&world);
}

/* The name was taken when the call was decided, and is a tombstone when it acts: nobody asked whether the
 * caller may move names away from that key. */
static void a_tombstone_that_was_not_asked(void)
{
    struct world world;
    struct kms_call call;
    char name[] = "alias/a", id[KMS_ID_TEXT];
    Kms__V1__CreateAliasRequest message;
    world_open(&world, NULL);
    KMS_OWN_KEY own = world_key(&world, 1, KMS_LEVEL_HSM, "Encrypt,CreateAlias");
    world_add_key(&world, 2, KMS_LEVEL_HSM, "Encrypt");
    snprintf(id, sizeof id, "%s", own->id_text);
    kms__v1__create_alias_request__init(&message);
    message.alias_name = name;
    message.target_key_id = id;
    world_call(&world, &call, method_named("CreateAlias"));
    KMS_ASSERT_OK_FATAL(kms_id_new(&call.request_id));
    KMS_OWN_CHANGES set = {.count = 0};
    struct kms_alias row = {.name = "alias/a", .key_id = world_id(2)};
    KMS_ASSERT_OK_FATAL(kms_change_alias(&set, &row));
    KMS_ASSERT_OK_FATAL(kms_change_apply(&set, &call));
    KMS_ASSERT_OK_FATAL(kms_id_new(&call.request_id));
    call.request = &message.base;
    world_alias(&world, name, 2, false);
    KMS_ASSERT_OK_FATAL(call.method->gather(&call));
    CU_ASSERT_EQUAL(call.access_count, 1);
    world_alias(&world, name, 2, true);
    KMS_ASSERT_CODE(call.method->act(&call), CONFLICT);
    CU_ASSERT(kms_keyring_alias(world.core.keys, kms_bytes_text(name), &row) && row.deleted);
    kms_call_end(&call);
    world_close(&world);
}

KMS_TEST_MAIN("service/change", {"tokens", tokens}, {"tokens too long", tokens_too_long},
              {"one token makes once", one_token_makes_once}, {"a damaged token", a_damaged_token},
              {"a key with all its rows", a_key_with_all_its_rows},
              {"a conflict changes nothing", a_conflict_changes_nothing},
              {"a token belongs to the key it rotated", a_token_belongs_to_the_key_it_rotated},
              {"a tombstone that was not asked", a_tombstone_that_was_not_asked})
