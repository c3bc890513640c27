/* The book of grants: the same answers as looking at every grant; readers beside a writer. */
#include "kmsd/keys/grants.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

#define TEXT(s)   kms_bytes_text(s)
#define BIT(name) kms_grant_bit(KMS_ACT_##name)

enum { MANY = 1500, QUESTIONS = 20000, GRANTEES = 40, CONTEXTS = 6 };

static unsigned below(unsigned bound)
{
    static uint32_t state = 7;
    state = state * 1664525 + 1013904223;
    return (state >> 8) % bound;
}

static struct kms_pair pair_of(unsigned n)
{
    static const char *const values[CONTEXTS] = {"0", "1", "2", "3", "4", "5"};
    return (struct kms_pair){TEXT("tenant"), TEXT(values[n])};
}

static struct kms_id id_of(unsigned n)
{
    struct kms_id id = {{0}};
    id.bytes[0] = (uint8_t)(n * 37);
    id.bytes[8] = (uint8_t)n;
    id.bytes[9] = (uint8_t)(n >> 8);
    return id;
}

static void name_of(unsigned n, char name[16])
{
    snprintf(name, 16, "p%u", n);
}

static struct kms_granted *draw(unsigned number)
{
    static const enum kms_action actions[] = {KMS_ACT_ENCRYPT, KMS_ACT_DECRYPT, KMS_ACT_DESCRIBE_KEY,
                                              KMS_ACT_CREATE_GRANT, KMS_ACT_RETIRE_GRANT};
    char grantee[16];
    struct kms_pair pair = pair_of(below(CONTEXTS));
    name_of(below(GRANTEES), grantee);
    struct kms_grant grant = {.id = id_of(number),
                              .grantee = TEXT(grantee),
                              .name = TEXT("n"),
                              .constraint = (enum kms_grant_constraint)below(3),
                              .expires_us = below(3) == 0 ? 1 + below(100) : 0};
    for (size_t i = 0; i < KMS_COUNT(actions); i++)
        if (below(3) == 0) grant.operations |= kms_grant_bit(actions[i]);
    if (grant.constraint != KMS_GRANT_ANY_CONTEXT) grant.pairs = &pair, grant.pair_count = 1;
    struct kms_granted *granted;
    KMS_ASSERT_OK_FATAL(kms_granted_new(&grant, &granted));
    return granted;
}

struct world {
    kms_grants *book;
    struct kms_granted *all[MANY]; /* NULL: removed */
};

static bool ask_all(const struct world *w, const struct kms_grant_question *question)
{
    for (size_t i = 0; i < MANY; i++)
        if (w->all[i] != NULL && kms_grant_allows(&w->all[i]->grant, question)) return true;
    return false;
}

static const struct kms_granted *by_id(const struct world *w, const struct kms_id *id)
{
    for (size_t i = 0; i < MANY; i++)
        if (w->all[i] != NULL && kms_id_equal(&w->all[i]->grant.id, id)) return w->all[i];
    return NULL;
}

static unsigned compare(const struct world *w)
{
    static const enum kms_action actions[] = {KMS_ACT_ENCRYPT,      KMS_ACT_DECRYPT,
                                              KMS_ACT_DESCRIBE_KEY, KMS_ACT_CREATE_GRANT,
                                              KMS_ACT_RETIRE_GRANT, KMS_ACT_PUT_KEY_POLICY};
    unsigned allowed = 0;
    for (int i = 0; i < QUESTIONS; i++) {
        char who[16];
        name_of(below(GRANTEES + 2), who);
        struct kms_pair pair = pair_of(below(CONTEXTS));
        struct kms_granted *wanted = draw(0);
        struct kms_id retired = id_of(below(MANY)), id;
        struct kms_grant_question question = {.principal = TEXT(who),
                                              .action = actions[below(KMS_COUNT(actions))],
                                              .context = &pair,
                                              .context_count = below(2),
                                              .now_us = below(120)};
        if (question.action == KMS_ACT_CREATE_GRANT) question.wanted = &wanted->grant;
        if (question.action == KMS_ACT_RETIRE_GRANT) question.retired = &retired;
        bool want = ask_all(w, &question), got = kms_grants_allow(w->book, &question, &id);
        CU_ASSERT_EQUAL_FATAL(got, want);
        if (got) CU_ASSERT_FATAL(kms_grant_allows(&by_id(w, &id)->grant, &question));
        allowed += got;
        kms_granted_unref(wanted);
    }
    return allowed;
}

static void answers_as_a_look_at_every_grant(void)
{
    struct world w = {.book = NULL};
    KMS_ASSERT_OK_FATAL(kms_grants_new(&w.book));
    for (unsigned i = 0; i < MANY; i++) {
        w.all[i] = draw(i);
        kms_grants_add(w.book, w.all[i]);
    }
    CU_ASSERT_EQUAL(kms_grants_count(w.book), MANY);
    CU_ASSERT(compare(&w) > 500);
    for (unsigned i = 0; i < MANY; i++) {
        if (below(2) == 0) continue;
        kms_grants_remove(w.book, &w.all[i]->grant.id);
        kms_grants_remove(w.book, &w.all[i]->grant.id); /* again: nothing */
        CU_ASSERT_PTR_NULL(kms_grants_find(w.book, &w.all[i]->grant.id));
        kms_granted_unref(w.all[i]);
        w.all[i] = NULL;
    }
    CU_ASSERT(compare(&w) > 200);
    for (unsigned i = 0; i < MANY; i++) {
        if (w.all[i] == NULL) continue;
        KMS_OWN_GRANTED found = kms_grants_find(w.book, &w.all[i]->grant.id);
        KMS_OWN_GRANTED same = kms_grants_find_same(w.book, &w.all[i]->grant, 0);
        CU_ASSERT_PTR_EQUAL(found, w.all[i]);
        CU_ASSERT(same != NULL && kms_grant_same(&same->grant, &w.all[i]->grant));
        CU_ASSERT(kms_grants_cover(w.book, &w.all[i]->grant, 0));
        kms_granted_unref(w.all[i]);
    }
    kms_grants_unref(w.book);
}

static void covering(void)
{
    KMS_OWN(kms_grants) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_grants_new(&book));
    struct kms_pair one = pair_of(1), two = pair_of(2);
    struct kms_grant outer = {.grantee = TEXT("p"),
                              .operations = BIT(DECRYPT),
                              .constraint = KMS_GRANT_CONTEXT_EQUALS,
                              .pairs = &one,
                              .pair_count = 1,
                              .expires_us = 50};
    KMS_OWN_GRANTED granted = NULL;
    KMS_ASSERT_OK_FATAL(kms_granted_new(&outer, &granted));
    kms_grants_add(book, granted);
    struct kms_grant inner = outer;
    CU_ASSERT(kms_grants_cover(book, &inner, 49));
    CU_ASSERT_FALSE(kms_grants_cover(book, &inner, 50));
    inner.pairs = &two;
    CU_ASSERT_FALSE(kms_grants_cover(book, &inner, 49));
    inner = outer;
    inner.grantee = TEXT("q");
    CU_ASSERT_FALSE(kms_grants_cover(book, &inner, 49));
    inner = outer;
    inner.operations |= BIT(ENCRYPT);
    CU_ASSERT_FALSE(kms_grants_cover(book, &inner, 49));
}

static void no_book(void)
{
    struct kms_id id = id_of(1);
    struct kms_grant grant = {.grantee = TEXT("p"), .operations = BIT(ENCRYPT)};
    struct kms_grant_question question = {.principal = TEXT("p"), .action = KMS_ACT_ENCRYPT};
    CU_ASSERT_EQUAL(kms_grants_count(NULL), 0);
    CU_ASSERT_PTR_NULL(kms_grants_find(NULL, &id));
    CU_ASSERT_PTR_NULL(kms_grants_find_same(NULL, &grant, 0));
    CU_ASSERT_FALSE(kms_grants_cover(NULL, &grant, 0));
    CU_ASSERT_FALSE(kms_grants_allow(NULL, &question, &id));
    CU_ASSERT_EQUAL(kms_grants_expired(NULL, 1, NULL, 0), 0);
    kms_grants_remove(NULL, &id);
    KMS_ASSERT_OK(kms_grants_each(NULL, NULL, NULL));
}

static void expired(void)
{
    KMS_OWN(kms_grants) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_grants_new(&book));
    for (unsigned i = 1; i <= 20; i++) {
        struct kms_grant grant = {
            .id = id_of(i), .grantee = TEXT("p"), .operations = 2, .expires_us = 10 * (i % 5)};
        KMS_OWN_GRANTED granted = NULL;
        KMS_ASSERT_OK_FATAL(kms_granted_new(&grant, &granted));
        kms_grants_add(book, granted);
    }
    struct kms_granted *found[20];
    CU_ASSERT_FALSE(kms_grants_due(book, 9));
    CU_ASSERT_EQUAL(kms_grants_expired(book, 9, found, 20), 0);
    CU_ASSERT(kms_grants_due(book, 10));
    for (unsigned round = 0; round < 2; round++) {
        CU_ASSERT_EQUAL(kms_grants_expired(book, 10, found, 3), 3 - 2 * round); /* 4 of them, 3 at a time */
        for (unsigned i = 0; i < 3 - 2 * round; i++) {
            CU_ASSERT_EQUAL(found[i]->grant.expires_us, 10);
            kms_grants_remove(book, &found[i]->grant.id);
            kms_granted_unref(found[i]);
        }
    }
    CU_ASSERT_EQUAL(kms_grants_expired(book, 10, found, 20), 0);
    CU_ASSERT_FALSE(kms_grants_due(book, 19)); /* the look before found what comes next */
    CU_ASSERT(kms_grants_due(book, 20));
    CU_ASSERT_EQUAL(kms_grants_count(book), 16);
}

static kms_err count_three(void *user, const struct kms_granted *granted)
{
    CU_ASSERT_PTR_NOT_NULL(granted);
    return ++*(unsigned *)user == 3 ? KMS_FAIL(APPROVAL_NEEDED) : KMS_OK;
}

static void each_stops_at_an_error(void)
{
    KMS_OWN(kms_grants) book = NULL;
    unsigned count = 0;
    KMS_ASSERT_OK_FATAL(kms_grants_new(&book));
    for (unsigned i = 0; i < 20; i++) {
        KMS_OWN_GRANTED granted = draw(i);
        kms_grants_add(book, granted);
    }
    KMS_ASSERT_CODE(kms_grants_each(book, count_three, &count), APPROVAL_NEEDED);
    CU_ASSERT_EQUAL(count, 3);
}

static void copies_own_their_texts(void)
{
    char grantee[] = "p", value[] = "1";
    struct kms_pair pair = {TEXT("n"), TEXT(value)};
    struct kms_grant grant = {.grantee = TEXT(grantee),
                              .retiring = TEXT("r"),
                              .creator = TEXT("c"),
                              .pairs = &pair,
                              .pair_count = 1,
                              .operations = 2,
                              .constraint = KMS_GRANT_CONTEXT_SUBSET};
    KMS_OWN_GRANTED granted = NULL;
    KMS_ASSERT_OK_FATAL(kms_granted_new(&grant, &granted));
    grantee[0] = value[0] = 'x';
    CU_ASSERT(kms_bytes_equal(granted->grant.grantee, TEXT("p")));
    CU_ASSERT(kms_bytes_equal(granted->grant.pairs[0].value, TEXT("1")));
    CU_ASSERT(kms_bytes_equal(granted->grant.retiring, TEXT("r")) && granted->grant.name.len == 0);
}

static kms_grants *shared;
static atomic_bool done;

static void *read_on(void *arg)
{
    struct kms_grant_question question = {.principal = TEXT("always"), .action = KMS_ACT_ENCRYPT};
    struct kms_id id;
    unsigned *missed = arg;
    while (!atomic_load(&done)) *missed += !kms_grants_allow(shared, &question, &id);
    return NULL;
}

static void readers_beside_a_writer(void)
{
    enum { READERS = 3 };
    pthread_t threads[READERS];
    unsigned missed[READERS] = {0};
    struct kms_grant always = {.id = id_of(60000), .grantee = TEXT("always"), .operations = BIT(ENCRYPT)};
    KMS_OWN_GRANTED granted = NULL;
    KMS_ASSERT_OK_FATAL(kms_grants_new(&shared));
    KMS_ASSERT_OK_FATAL(kms_granted_new(&always, &granted));
    kms_grants_add(shared, granted);
    for (int i = 0; i < READERS; i++) pthread_create(&threads[i], NULL, read_on, &missed[i]);
    for (unsigned i = 0; i < 3000; i++) {
        KMS_OWN_GRANTED other = draw(i);
        kms_grants_add(shared, other);
        if (i >= 100) {
            struct kms_id old = id_of(i - 100);
            kms_grants_remove(shared, &old);
        }
    }
    atomic_store(&done, true);
    for (int i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(missed[0] + missed[1] + missed[2], 0);
    CU_ASSERT_EQUAL(kms_grants_count(shared), 101);
    kms_grants_unref(shared);
}

KMS_TEST_MAIN("keys/grants", {"as a look at every grant", answers_as_a_look_at_every_grant},
              {"covering", covering}, {"no book", no_book}, {"expired", expired},
              {"each stops at an error", each_stops_at_an_error},
              {"copies own their texts", copies_own_their_texts},
              {"readers beside a writer", readers_beside_a_writer})
