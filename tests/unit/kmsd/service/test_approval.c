/* The station before the keystore: what passes, what waits, what is one and the same request. */
#include "kmsd/service/approval.h"

#include <stdio.h>

#include "kms/v1/approvals.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/method.h"
#include "tests/unit/kmsd/service/world.h"

enum { PEOPLE = 3 };
static char asked[] = "what is asked for", asked_more[] = "what is asked for ", token[] = "another each time";
static char *const people[PEOPLE] = {(char[]){"alice"}, (char[]){"bob"}, (char[]){"carol"}};

static const struct kms_method free_to_all = {
    .rpc = "EnableKey", .action = KMS_ACT_ENABLE_KEY, .lane = KMS_LANE_ADMIN};
static const struct kms_method guarded = {
    .rpc = "DisableKey", .action = KMS_ACT_DISABLE_KEY, .lane = KMS_LANE_ADMIN, .guarded = true};
static const struct kms_method other_guarded = {
    .rpc = "CreateGrant", .action = KMS_ACT_CREATE_GRANT, .lane = KMS_LANE_ADMIN, .guarded = true};

/* A world with stored keys 1 and 2, and a call of alice about key 1. */
struct scene {
    struct world world;
    struct kms_key *keys[2];
    struct kms_call call;
    Kms__V1__CreateKeyRequest request;
};

static void next_id(struct kms_call *call)
{
    KMS_ASSERT_OK_FATAL(kms_id_new(&call->request_id));
}

/* Stored as it is; its revision moves on. */
static void store(struct scene *s, struct kms_key *key)
{
    struct kms_call call;
    KMS_OWN_CHANGES changes = {.count = 0};
    world_call(&s->world, &call, &free_to_all);
    next_id(&call);
    KMS_ASSERT_OK_FATAL(kms_change_key(&changes, key));
    KMS_ASSERT_OK_FATAL(kms_change_commit(&changes, &call));
    kms_call_end(&call);
}

static void set_rule(struct scene *s, size_t key, uint32_t required, size_t count)
{
    kms_rule_unref(s->keys[key]->rule);
    s->keys[key]->rule = NULL;
    if (count > 0) KMS_ASSERT_OK_FATAL(kms_rule_new(required, people, count, &s->keys[key]->rule, NULL));
    store(s, s->keys[key]);
}

static void begin_as(struct scene *s, const struct kms_method *method, const char *principal)
{
    world_call_of(&s->world, &s->call, method, principal);
    next_id(&s->call);
    kms__v1__create_key_request__init(&s->request);
    s->request.description = asked;
    s->call.request = &s->request.base;
    s->call.access[0] = (struct kms_access){.action = method->action, .key = kms_key_ref(s->keys[0])};
    s->call.access_count = 1;
}

static void open_scene(struct scene *s)
{
    world_open(&s->world, NULL);
    s->world.core.approvals_lifetime_us = 3600000000;
    s->world.core.approvals_per_key = 3;
    for (unsigned i = 0; i < 2; i++) {
        s->keys[i] = world_key(&s->world, i + 1, KMS_LEVEL_HSM, "Encrypt");
        store(s, s->keys[i]);
    }
}

static void close_scene(struct scene *s)
{
    for (size_t i = 0; i < 2; i++) kms_key_unref(s->keys[i]);
    world_close(&s->world);
}

/* One call through the station; true: the change may be made, and *ret_steps join it. */
static kms_err pass(struct scene *s, size_t *ret_steps)
{
    KMS_OWN_CHANGES set = {.count = 0};
    kms_err err = kms_approval_pass(&s->call, &set);
    *ret_steps = set.count;
    if (!kms_failed(err) && set.count > 0) err = kms_change_commit(&set, &s->call);
    return err;
}

static kms_err pass_as(struct scene *s, const struct kms_method *method, const char *principal,
                       char id[KMS_ID_TEXT])
{
    size_t steps;
    begin_as(s, method, principal);
    kms_err err = pass(s, &steps);
    kms_copy(id, s->call.approval.id, KMS_ID_TEXT);
    kms_call_end(&s->call);
    return err;
}

static kms_err vote(struct scene *s, const char *principal, const char *id, bool yes)
{
    const char *rpc = yes ? "ApproveRequest" : "RejectRequest";
    const struct kms_method *method = kms_methods;
    while (strcmp(method->rpc, rpc) != 0) method++;
    Kms__V1__ApproveRequestRequest request; /* RejectRequestRequest is laid out alike */
    kms__v1__approve_request_request__init(&request);
    request.approval_id = (char *)(uintptr_t)id;
    struct kms_call call;
    world_call_of(&s->world, &call, method, principal);
    next_id(&call);
    call.request = &request.base;
    kms_err err = method->gather(&call);
    if (!kms_failed(err)) err = method->act(&call);
    kms_call_end(&call);
    return err;
}

static void what_passes(void)
{
    struct scene s;
    size_t steps;
    open_scene(&s);
    for (int i = 0; i < 4; i++) {
        if (i == 1) set_rule(&s, 0, 2, PEOPLE);
        if (i == 2) set_rule(&s, 0, 1, PEOPLE); /* alice is one of them, and one is enough */
        begin_as(&s, i == 1 ? &free_to_all : &guarded, "alice");
        if (i == 3) { /* only the other key has a rule */
            set_rule(&s, 0, 0, 0);
            set_rule(&s, 1, 2, PEOPLE);
        }
        KMS_ASSERT_OK(pass(&s, &steps));
        CU_ASSERT(steps == 0 && s.call.approval.id[0] == '\0' && !s.call.changed_store);
        kms_call_end(&s.call);
    }
    close_scene(&s);
}

static void it_waits_and_is_used_once(void)
{
    struct scene s;
    char id[KMS_ID_TEXT], again[KMS_ID_TEXT];
    size_t steps;
    open_scene(&s);
    set_rule(&s, 0, 3, PEOPLE);
    begin_as(&s, &guarded, "alice");
    KMS_ASSERT_CODE(pass(&s, &steps), APPROVAL_NEEDED);
    CU_ASSERT(steps == 0 && s.call.changed_store && s.call.approval.missing == 2);
    CU_ASSERT_STRING_EQUAL(s.call.approval.event, "requested");
    CU_ASSERT_PTR_NOT_NULL(strstr(s.call.why.text, s.call.approval.id));
    kms_copy(id, s.call.approval.id, sizeof id);
    kms_call_end(&s.call);
    KMS_ASSERT_OK(vote(&s, "bob", id, true));
    KMS_ASSERT_OK(vote(&s, "bob", id, true));
    KMS_ASSERT_OK(vote(&s, "alice", id, true));
    begin_as(&s, &guarded, "alice");
    KMS_ASSERT_CODE(pass(&s, &steps), APPROVAL_NEEDED);
    CU_ASSERT(!s.call.changed_store && s.call.approval.missing == 1);
    CU_ASSERT_STRING_EQUAL(s.call.approval.event, "waiting");
    kms_call_end(&s.call);
    KMS_ASSERT_OK(vote(&s, "carol", id, true));
    begin_as(&s, &guarded, "alice");
    KMS_ASSERT_OK(pass(&s, &steps));
    CU_ASSERT_EQUAL(steps, 1);
    CU_ASSERT_STRING_EQUAL(s.call.approval.event, "used");
    CU_ASSERT_STRING_EQUAL(s.call.approval.by, "bob, carol");
    kms_call_end(&s.call);
    KMS_ASSERT_CODE(vote(&s, "carol", id, true), APPROVAL_CLOSED);
    KMS_ASSERT_CODE(pass_as(&s, &guarded, "alice", again), APPROVAL_NEEDED); /* from the beginning */
    CU_ASSERT_STRING_EQUAL(again, id);
    KMS_ASSERT_CODE(pass_as(&s, &guarded, "alice", again), APPROVAL_NEEDED);
    close_scene(&s);
}

/* Whatever an approver agrees to makes the id; an idempotency token does not. */
static void what_makes_it_another_request(void)
{
    struct scene s;
    char ids[6][KMS_ID_TEXT];
    size_t steps;
    open_scene(&s);
    set_rule(&s, 0, 2, PEOPLE);
    s.world.core.approvals_per_key = 100;
    for (size_t i = 0; i < KMS_COUNT(ids); i++) {
        if (i == 5) store(&s, s.keys[0]); /* a revision more */
        begin_as(&s, i == 1 ? &other_guarded : &guarded, i == 2 ? "bob" : "alice");
        if (i == 3) s.request.description = asked_more;
        if (i == 4) s.call.access[s.call.access_count++] = (struct kms_access){.key = kms_key_ref(s.keys[1])};
        KMS_ASSERT_CODE(pass(&s, &steps), APPROVAL_NEEDED);
        kms_copy(ids[i], s.call.approval.id, KMS_ID_TEXT);
        kms_call_end(&s.call);
        for (size_t k = 0; k < i; k++) CU_ASSERT_STRING_NOT_EQUAL(ids[i], ids[k]);
    }
    begin_as(&s, &guarded, "alice");
    s.request.client_request_token = token;
    s.call.access[s.call.access_count++] = (struct kms_access){.key = kms_key_ref(s.keys[0])}; /* once */
    KMS_ASSERT_CODE(pass(&s, &steps), APPROVAL_NEEDED);
    CU_ASSERT_STRING_EQUAL(s.call.approval.id, ids[5]);
    CU_ASSERT_STRING_EQUAL(s.call.approval.event, "waiting");
    CU_ASSERT_STRING_EQUAL(s.request.client_request_token,
                           "another each time"); /* the request is as it was */
    kms_call_end(&s.call);
    close_scene(&s);
}

static void rejected_means_from_the_beginning(void)
{
    struct scene s;
    char id[KMS_ID_TEXT];
    open_scene(&s);
    set_rule(&s, 0, 2, PEOPLE);
    KMS_ASSERT_CODE(pass_as(&s, &guarded, "alice", id), APPROVAL_NEEDED);
    KMS_ASSERT_OK(vote(&s, "bob", id, true));
    KMS_ASSERT_CODE(vote(&s, "dave", id, false), ACCESS_DENIED);
    KMS_ASSERT_CODE(vote(&s, "dave", id, true), ACCESS_DENIED);
    KMS_ASSERT_OK(vote(&s, "bob", id, false));
    KMS_ASSERT_CODE(pass_as(&s, &guarded, "alice", id), APPROVAL_NEEDED);
    KMS_ASSERT_OK(vote(&s, "alice", id, false)); /* withdrawn */
    KMS_ASSERT_CODE(vote(&s, "alice", id, false), APPROVAL_CLOSED);
    KMS_ASSERT_CODE(vote(&s, "bob", "00000000-0000-8000-8000-000000000000", true), NOT_FOUND);
    KMS_ASSERT_CODE(vote(&s, "bob", "no id", true), INVALID_ARGUMENT);
    close_scene(&s);
}

/* The keyring may be a moment behind the keystore: nobody is asked about what is no longer so. */
static void a_key_that_has_just_changed(void)
{
    struct scene s;
    char id[KMS_ID_TEXT];
    open_scene(&s);
    set_rule(&s, 0, 2, PEOPLE);
    s.keys[0]->revision--;
    KMS_ASSERT_CODE(pass_as(&s, &guarded, "alice", id), CONFLICT);
    s.keys[0]->revision++;
    KMS_ASSERT_CODE(pass_as(&s, &guarded, "alice", id), APPROVAL_NEEDED);
    close_scene(&s);
}

static void an_alias_that_gains_users_takes_two(void)
{
    struct scene s;
    char id[KMS_ID_TEXT];
    size_t steps;
    open_scene(&s);
    set_rule(&s, 0, 1, 2);
    for (int i = 0; i < 3; i++) {
        begin_as(&s, i == 0 ? &guarded : &free_to_all, "alice");
        s.call.alias_leaves = true;
        s.call.alias_left = s.keys[0]->id;
        s.call.alias_gains = i > 0 ? "somebody gains something" : NULL;
        kms_err err = pass(&s, &steps);
        CU_ASSERT(kms_code_is(err, i == 1 ? KMS_E_APPROVAL_NEEDED : KMS_E_OK, __FILE__, __LINE__));
        if (i == 1) CU_ASSERT_PTR_NOT_NULL(strstr(s.call.why.text, "somebody gains something"));
        kms_copy(id, s.call.approval.id, sizeof id);
        kms_call_end(&s.call);
        if (i == 1) KMS_ASSERT_OK(vote(&s, "bob", id, true));
    }
    close_scene(&s);
}

static void so_many_may_wait(void)
{
    struct scene s;
    char id[KMS_ID_TEXT];
    open_scene(&s);
    set_rule(&s, 0, 2, PEOPLE);
    static const char *const askers[] = {"u1", "u2", "u3", "u4"};
    for (size_t i = 0; i < 3; i++) KMS_ASSERT_CODE(pass_as(&s, &guarded, askers[i], id), APPROVAL_NEEDED);
    KMS_ASSERT_CODE(pass_as(&s, &guarded, askers[3], id), LIMIT_EXCEEDED);
    KMS_ASSERT_CODE(pass_as(&s, &guarded, askers[0], id), APPROVAL_NEEDED); /* waits already */
    KMS_ASSERT_OK(vote(&s, "bob", id, false));
    KMS_ASSERT_CODE(pass_as(&s, &guarded, askers[3], id), APPROVAL_NEEDED);
    close_scene(&s);
}

static void a_damaged_row(void)
{
    struct scene s;
    char id[KMS_ID_TEXT];
    struct kms_call call;
    KMS_OWN_CHANGES changes = {.count = 0};
    kms_buf *body;
    uint64_t revision = 1;
    open_scene(&s);
    set_rule(&s, 0, 2, PEOPLE);
    KMS_ASSERT_CODE(pass_as(&s, &guarded, "alice", id), APPROVAL_NEEDED);
    world_call(&s.world, &call, &free_to_all);
    next_id(&call);
    KMS_ASSERT_OK_FATAL(kms_change_row(&changes, KMS_TABLE_APPROVAL, id, &revision, &body));
    KMS_ASSERT_OK_FATAL(kms_buf_append(body, "\xff", 1));
    KMS_ASSERT_OK_FATAL(kms_change_commit(&changes, &call));
    kms_call_end(&call);
    KMS_ASSERT_CODE(pass_as(&s, &guarded, "alice", id), CORRUPT); /* not: nobody needs to approve */
    close_scene(&s);
}

KMS_TEST_MAIN("service/approval", {"what passes", what_passes},
              {"it waits and is used once", it_waits_and_is_used_once},
              {"what makes it another request", what_makes_it_another_request},
              {"rejected means from the beginning", rejected_means_from_the_beginning},
              {"a key that has just changed", a_key_that_has_just_changed},
              {"an alias that gains users takes two", an_alias_that_gains_users_takes_two},
              {"so many may wait", so_many_may_wait}, {"a damaged row", a_damaged_row})
