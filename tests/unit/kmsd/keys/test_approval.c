/* What may be said of a request that waits: open or why not, and who is missing. */
#include "kmsd/keys/approval.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/kmsd/keys/world.h"

static char *const abc[] = {(char[]){"a"}, (char[]){"b"}, (char[]){"c"}};

enum { VOTES = 4, CREATED = 1000, EXPIRES = 2000 };

/* A request for two keys at revisions 3 and 4, with everything it points to. */
struct request {
    kms_stored_approval stored;
    Kms__Store__V1__StoredApprovalKey keys[2], *key_list[2];
    Kms__Store__V1__StoredApprovalVote votes[VOTES], *vote_list[VOTES];
    uint8_t digest[KMS_DIGEST_BYTES], key_id[KMS_ID_BYTES];
};

static void request_of(struct request *r, const char *requester, const char *voters)
{
    memset(r, 0, sizeof *r);
    memset(r->digest, 0xa7, sizeof r->digest);
    kms__store__v1__stored_approval__init(&r->stored);
    r->stored.requester = (char *)(uintptr_t)requester;
    r->stored.created_us = CREATED;
    r->stored.expires_us = EXPIRES;
    r->stored.state = KMS_APPROVAL_PENDING;
    r->stored.digest = (ProtobufCBinaryData){.data = r->digest, .len = sizeof r->digest};
    for (size_t i = 0; i < 2; i++) {
        kms__store__v1__stored_approval_key__init(&r->keys[i]);
        r->keys[i].key_id = (ProtobufCBinaryData){.data = r->key_id, .len = sizeof r->key_id};
        r->keys[i].revision = 3 + i;
        r->key_list[i] = &r->keys[i];
    }
    r->stored.keys = r->key_list;
    r->stored.n_keys = 2;
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    r->stored.votes = r->vote_list;
    for (const char *v = voters; *v != '\0'; v++) {
        size_t i = r->stored.n_votes++;
        kms__store__v1__stored_approval_vote__init(&r->votes[i]);
        r->votes[i].principal = (char *)(uintptr_t)names[*v - 'a'];
        r->votes[i].at_us = CREATED + 10;
        r->vote_list[i] = &r->votes[i];
    }
}

static void states(void)
{
    static const struct {
        enum kms_approval_state stored;
        uint64_t now_us, revisions[2];
        enum kms_approval_state want;
    } rows[] = {
        {KMS_APPROVAL_PENDING, CREATED, {3, 4}, KMS_APPROVAL_PENDING},
        {KMS_APPROVAL_PENDING, EXPIRES - 1, {3, 4}, KMS_APPROVAL_PENDING},
        {KMS_APPROVAL_PENDING, EXPIRES, {3, 4}, KMS_APPROVAL_EXPIRED},
        {KMS_APPROVAL_PENDING, UINT64_MAX, {3, 4}, KMS_APPROVAL_EXPIRED},
        {KMS_APPROVAL_PENDING, 0, {3, 4}, KMS_APPROVAL_PENDING}, /* the clock was set back */
        {KMS_APPROVAL_PENDING, CREATED, {4, 4}, KMS_APPROVAL_OUTDATED},
        {KMS_APPROVAL_PENDING, CREATED, {3, 5}, KMS_APPROVAL_OUTDATED},
        {KMS_APPROVAL_PENDING, CREATED, {3, 0}, KMS_APPROVAL_OUTDATED}, /* gone */
        {KMS_APPROVAL_PENDING, EXPIRES, {2, 4}, KMS_APPROVAL_OUTDATED},
        {KMS_APPROVAL_USED, CREATED, {4, 4}, KMS_APPROVAL_USED},
        {KMS_APPROVAL_REJECTED, EXPIRES, {3, 4}, KMS_APPROVAL_REJECTED},
        {KMS_APPROVAL_WITHDRAWN, EXPIRES, {3, 4}, KMS_APPROVAL_WITHDRAWN},
        {KMS_APPROVAL_EXPIRED, CREATED, {3, 4}, KMS_APPROVAL_EXPIRED}, /* what has expired stays so */
        {KMS_APPROVAL_OUTDATED, CREATED, {3, 4}, KMS_APPROVAL_OUTDATED},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct request r;
        request_of(&r, "a", "");
        r.stored.state = rows[i].stored;
        CU_ASSERT_EQUAL(kms_approval_state_at(&r.stored, rows[i].now_us, rows[i].revisions), rows[i].want);
    }
}

/* A clock that goes back behind an approval does not make the request younger than that approval. */
static void a_vote_is_a_clock(void)
{
    const uint64_t revisions[] = {3, 4};
    struct request r;
    request_of(&r, "a", "b");
    r.votes[0].at_us = EXPIRES;
    CU_ASSERT_EQUAL(kms_approval_state_at(&r.stored, CREATED, revisions), KMS_APPROVAL_EXPIRED);
    r.votes[0].at_us = EXPIRES - 1;
    CU_ASSERT_EQUAL(kms_approval_state_at(&r.stored, CREATED, revisions), KMS_APPROVAL_PENDING);
}

static void who_counts(void)
{
    static const struct {
        const char *requester, *voters;
        uint32_t needed, missing;
    } rows[] = {
        {"a", "", 2, 1},   {"d", "", 2, 2},    {"a", "b", 2, 0},
        {"d", "b", 2, 1},  {"d", "bb", 2, 1},                     /* once each */
        {"a", "a", 2, 1},  {"d", "bc", 2, 0},  {"a", "de", 2, 1}, /* nobody whom the rule does not name */
        {"a", "bc", 3, 0}, {"a", "bbb", 3, 1}, {"a", "", 1, 0},
        {"d", "", 1, 1},   {"a", "bc", 0, 0},  {"a", "bcd", 4, 1}, /* more than are named: never enough */
    };
    struct kms_rule *rule = NULL;
    KMS_ASSERT_OK_FATAL(kms_rule_new(2, abc, 3, &rule, NULL));
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct request r;
        request_of(&r, rows[i].requester, rows[i].voters);
        CU_ASSERT_EQUAL(kms_approval_missing(&r.stored, rule, rows[i].needed), rows[i].missing);
        CU_ASSERT_EQUAL(kms_approval_missing(&r.stored, NULL, rows[i].needed), rows[i].needed);
        CU_ASSERT(kms_approval_has(&r.stored, rows[i].requester));
        CU_ASSERT_EQUAL(kms_approval_has(&r.stored, "b"), strchr(rows[i].voters, 'b') != NULL);
    }
    kms_rule_unref(rule);
}

static struct kms_row row_of(const char *id, const kms_buf *body)
{
    return (struct kms_row){KMS_TABLE_APPROVAL, id, 5, kms_buf_view(body)};
}

static void there_and_back(void)
{
    struct request r;
    KMS_OWN_BUF body = {0};
    KMS_OWN_APPROVAL back = {.stored = NULL};
    char id[KMS_ID_TEXT];
    request_of(&r, "a", "bc");
    r.stored.request = (char[]){"{\"key_id\":\"x\"}"};
    kms_approval_id(r.digest, id);
    CU_ASSERT_STRING_EQUAL(id, "a7a7a7a7-a7a7-87a7-a7a7-a7a7a7a7a7a7");
    KMS_ASSERT_OK_FATAL(kms_approval_body(&r.stored, &body));
    const struct kms_row row = row_of(id, &body);
    KMS_ASSERT_OK_FATAL(kms_approval_from_row(&row, &back, NULL));
    CU_ASSERT_STRING_EQUAL(back.id, id);
    CU_ASSERT_EQUAL(back.revision, 5);
    CU_ASSERT_STRING_EQUAL(back.stored->requester, "a");
    CU_ASSERT_STRING_EQUAL(back.stored->request, "{\"key_id\":\"x\"}");
    CU_ASSERT(back.stored->n_keys == 2 && back.stored->keys[1]->revision == 4 && back.stored->n_votes == 2);
    CU_ASSERT_STRING_EQUAL(back.stored->votes[1]->principal, "c");
}

static void what_is_no_request(void)
{
    char id[KMS_ID_TEXT];
    for (int i = 0; i < 7; i++) {
        struct request r;
        KMS_OWN_BUF body = {0};
        KMS_OWN_APPROVAL back = {.stored = NULL};
        struct kms_why why = {{0}};
        request_of(&r, "a", "");
        kms_approval_id(r.digest, id);
        if (i == 0) r.stored.digest.len--;
        if (i == 1) r.stored.n_keys = 0;
        if (i == 2) r.keys[1].key_id.len--;
        if (i == 3) r.stored.state = 0;
        if (i == 4) r.stored.state = KMS_APPROVAL_STATE_COUNT;
        if (i == 5) r.digest[0] ^= 1; /* another request's id */
        KMS_ASSERT_OK_FATAL(kms_approval_body(&r.stored, &body));
        if (i == 6) body.data[0] = 0xff;
        const struct kms_row row = row_of(id, &body);
        KMS_ASSERT_CODE(kms_approval_from_row(&row, &back, &why), CORRUPT);
        CU_ASSERT(back.stored == NULL && strstr(why.text, id) != NULL);
    }
}

KMS_TEST_MAIN("keys/approval", {"states", states}, {"a vote is a clock", a_vote_is_a_clock},
              {"who counts", who_counts}, {"there and back", there_and_back},
              {"what is no request", what_is_no_request})
