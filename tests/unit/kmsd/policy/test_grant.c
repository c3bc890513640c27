/* Grants: what one permits, whether one is within another, its form, and what policies say of grantees. */
#include "kmsd/policy/grant.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/kmsd/policy/fixture.h"
#include "tests/unit/kmsd/policy/generate.h"
#include "tests/unit/kmsd/policy/reference.h"

#define TEXT(s)   kms_bytes_text(s)
#define BIT(name) kms_grant_bit(KMS_ACT_##name)

static void operations(void)
{
    unsigned count = 0;
    for (uint32_t number = 0; number < 64; number++) {
        enum kms_action action;
        if (!kms_grant_action(number, &action)) continue;
        count++;
        CU_ASSERT_EQUAL(kms_grant_bit(action), UINT32_C(1) << number);
        CU_ASSERT_EQUAL((kms_grant_usage_bits() & kms_grant_bit(action)) != 0,
                        kms_action_class_of(action) == KMS_CLASS_USAGE);
    }
    CU_ASSERT_EQUAL(count, 16);
    CU_ASSERT_EQUAL(BIT(PUT_KEY_POLICY) | BIT(REVOKE_GRANT) | BIT(CREATE_KEY) | BIT(LIST_GRANTS), 0);
    CU_ASSERT_STRING_EQUAL(kms_grant_operation_name(KMS_ACT_REENCRYPT_TO), "ReEncryptTo");
    const uint32_t always = BIT(CREATE_GRANT) | BIT(RETIRE_GRANT) | BIT(DESCRIBE_KEY);
    const uint32_t encrypts = BIT(ENCRYPT) | BIT(DECRYPT) | BIT(REENCRYPT_FROM) | BIT(REENCRYPT_TO);
    CU_ASSERT_EQUAL(kms_grant_operations_for(KMS_GRANT_KIND_MAC),
                    always | BIT(GENERATE_MAC) | BIT(VERIFY_MAC));
    CU_ASSERT_EQUAL(kms_grant_operations_for(KMS_GRANT_KIND_SIGNING),
                    always | BIT(SIGN) | BIT(VERIFY) | BIT(GET_PUBLIC_KEY));
    CU_ASSERT_EQUAL(kms_grant_operations_for(KMS_GRANT_KIND_ASYMMETRIC),
                    always | encrypts | BIT(GET_PUBLIC_KEY));
    CU_ASSERT_EQUAL(kms_grant_operations_for(KMS_GRANT_KIND_SYMMETRIC),
                    always | encrypts | BIT(GENERATE_DATA_KEY) | BIT(GENERATE_DATA_KEY_WITHOUT_PLAINTEXT) |
                        BIT(GENERATE_DATA_KEY_PAIR) | BIT(GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT));
}

/* -- a second evaluator: slow, plain, over a small world -- */

/* Constraints name only the first two: so there is always a context with one more pair. */
enum { NAMES = 3, VALUES = 3, CONTEXTS = 27, CONSTRAINTS = 9, TIMES = 4 };
static const char *const names[NAMES] = {"a", "b", "c"}, *const values[VALUES] = {NULL, "1", "2"};
static const enum kms_action some[] = {KMS_ACT_ENCRYPT, KMS_ACT_DECRYPT, KMS_ACT_DESCRIBE_KEY,
                                       KMS_ACT_CREATE_GRANT};

struct context {
    struct kms_pair pairs[NAMES];
    size_t count;
};

/* Context number n: a digit to the base of VALUES for each name; 0 leaves it out. */
static struct context context_of(unsigned n)
{
    struct context context = {.count = 0};
    for (unsigned i = 0; i < NAMES; i++, n /= VALUES)
        if (n % VALUES != 0)
            context.pairs[context.count++] = (struct kms_pair){TEXT(names[i]), TEXT(values[n % VALUES])};
    return context;
}

struct drawn {
    struct kms_grant grant;
    struct context context; /* of the constraint */
    unsigned context_number;
};

static void draw(struct drawn *ret)
{
    *ret = (struct drawn){.context_number = 1 + generate_below(CONSTRAINTS - 1)};
    ret->context = context_of(ret->context_number);
    ret->grant = (struct kms_grant){
        .id = {{(uint8_t)generate_below(3)}},
        .grantee = TEXT(generate_below(2) != 0 ? "p" : "q"),
        .retiring = generate_below(2) != 0 ? TEXT("q") : (struct kms_bytes){0},
        .constraint = (enum kms_grant_constraint)generate_below(3),
        .expires_us = generate_below(TIMES),
    };
    for (size_t i = 0; i < KMS_COUNT(some); i++)
        if (generate_below(2) != 0) ret->grant.operations |= kms_grant_bit(some[i]);
    if (generate_below(4) == 0) ret->grant.operations |= BIT(RETIRE_GRANT);
    if (ret->grant.constraint == KMS_GRANT_ANY_CONTEXT) return;
    ret->grant.pairs = ret->context.pairs;
    ret->grant.pair_count = ret->context.count;
}

static unsigned digit(unsigned number, unsigned at)
{
    while (at-- > 0) number /= VALUES;
    return number % VALUES;
}

static bool slow_context(const struct drawn *d, unsigned context)
{
    if (d->grant.constraint == KMS_GRANT_ANY_CONTEXT) return true;
    for (unsigned i = 0; i < NAMES; i++) {
        unsigned wanted = digit(d->context_number, i), got = digit(context, i);
        if (wanted != 0 && got != wanted) return false;
        if (wanted == 0 && got != 0 && d->grant.constraint == KMS_GRANT_CONTEXT_EQUALS) return false;
    }
    return true;
}

static bool slow_allows(const struct drawn *d, enum kms_action action, unsigned context, uint64_t now_us)
{
    bool bound = action == KMS_ACT_ENCRYPT || action == KMS_ACT_DECRYPT;
    if ((d->grant.operations & kms_grant_bit(action)) == 0) return false;
    if (d->grant.expires_us != 0 && now_us >= d->grant.expires_us) return false;
    return !bound || slow_context(d, context);
}

static void allows_as_the_slow_evaluator(void)
{
    generate_seed(1);
    unsigned allowed = 0;
    for (int i = 0; i < 200000; i++) {
        struct drawn d;
        draw(&d);
        unsigned number = generate_below(CONTEXTS);
        struct context context = context_of(number);
        const char *who = generate_below(2) != 0 ? "p" : "q";
        struct kms_grant_question question = {.principal = TEXT(who),
                                              .action = some[generate_below(3)],
                                              .context = context.pairs,
                                              .context_count = context.count,
                                              .now_us = generate_below(TIMES)};
        bool want = kms_bytes_equal(d.grant.grantee, question.principal) &&
                    slow_allows(&d, question.action, number, question.now_us);
        CU_ASSERT_EQUAL_FATAL(kms_grant_allows(&d.grant, &question), want);
        allowed += want;
    }
    CU_ASSERT(allowed > 10000);
}

/* Whatever the inner grant permits, the outer one must: tried for every operation, context and time. */
static bool slow_within(const struct drawn *inner, const struct drawn *outer)
{
    for (size_t i = 0; i < KMS_COUNT(some); i++)
        for (unsigned context = 0; context < CONTEXTS; context++)
            for (uint64_t now_us = 0; now_us <= TIMES; now_us++)
                if (slow_allows(inner, some[i], context, now_us) &&
                    !slow_allows(outer, some[i], context, now_us))
                    return false;
    return (inner->grant.operations & BIT(RETIRE_GRANT) & ~outer->grant.operations) == 0;
}

static void within_is_never_wider(void)
{
    generate_seed(2);
    unsigned within = 0, exact = 0;
    for (int i = 0; i < 40000; i++) {
        struct drawn inner, outer;
        draw(&inner);
        draw(&outer);
        if (inner.grant.expires_us == 0 && generate_below(2) != 0) outer.grant.expires_us = 0;
        bool got = kms_grant_within(&inner.grant, &outer.grant), want = slow_within(&inner, &outer);
        CU_ASSERT_FATAL(!got || want);
        /* Nor stricter, where a constraint binds an operation at all. */
        bool bound = (inner.grant.operations & (BIT(ENCRYPT) | BIT(DECRYPT))) != 0;
        CU_ASSERT_FATAL(got || !(bound && want));
        within += got;
        exact += bound && want;
        struct kms_grant_question create = {
            .principal = TEXT("p"), .action = KMS_ACT_CREATE_GRANT, .wanted = &inner.grant};
        bool may = kms_bytes_equal(outer.grant.grantee, create.principal) &&
                   (outer.grant.operations & BIT(CREATE_GRANT)) != 0 && got;
        CU_ASSERT_EQUAL_FATAL(kms_grant_allows(&outer.grant, &create), may);
    }
    CU_ASSERT(within > 1000 && exact > 1000);
}

static void retiring(void)
{
    struct kms_id one = {{1}}, two = {{2}};
    struct kms_grant grant = {
        .id = one, .grantee = TEXT("p"), .retiring = TEXT("r"), .operations = BIT(ENCRYPT)};
    struct kms_grant_question ask = {.principal = TEXT("r"), .action = KMS_ACT_RETIRE_GRANT, .retired = &one};
    CU_ASSERT(kms_grant_allows(&grant, &ask));
    ask.retired = &two;
    CU_ASSERT_FALSE(kms_grant_allows(&grant, &ask));
    ask.retired = NULL;
    CU_ASSERT_FALSE(kms_grant_allows(&grant, &ask));
    ask.retired = &one;
    ask.principal = TEXT("p");
    CU_ASSERT_FALSE(kms_grant_allows(&grant, &ask));
    grant.operations |= BIT(RETIRE_GRANT);
    CU_ASSERT(kms_grant_allows(&grant, &ask));
    ask.principal = TEXT("");
    grant.retiring = TEXT("");
    CU_ASSERT_FALSE(kms_grant_allows(&grant, &ask));
    ask.principal = TEXT("p");
    grant.expires_us = 5;
    ask.now_us = 5;
    CU_ASSERT_FALSE(kms_grant_allows(&grant, &ask));
}

static void nobody(void)
{
    struct kms_grant grant = {.grantee = TEXT(""), .operations = BIT(ENCRYPT) | BIT(CREATE_GRANT)};
    struct kms_grant_question ask = {.principal = TEXT(""), .action = KMS_ACT_ENCRYPT};
    CU_ASSERT_FALSE(kms_grant_allows(&grant, &ask));
    grant.grantee = ask.principal = TEXT("p");
    CU_ASSERT(kms_grant_allows(&grant, &ask));
    ask.action = KMS_ACT_CREATE_GRANT; /* which grant? */
    CU_ASSERT_FALSE(kms_grant_allows(&grant, &ask));
    ask.action = KMS_ACT_PUT_KEY_POLICY;
    CU_ASSERT_FALSE(kms_grant_allows(&grant, &ask));
}

/* -- form -- */

static struct kms_pair sorted[9] = {{{(const uint8_t *)"a", 1}, {(const uint8_t *)"1", 1}}};

static void form(void)
{
    static char text[600];
    memset(text, 'x', sizeof text - 1);
    const struct kms_grant good = {.grantee = TEXT("p"), .operations = BIT(ENCRYPT), .created_us = 10};
    struct kms_why why;
    KMS_ASSERT_OK(kms_grant_check(&good, &why));
#define BAD(words, ...)                                                                                      \
    do {                                                                                                     \
        struct kms_grant grant = good;                                                                       \
        __VA_ARGS__;                                                                                         \
        KMS_ASSERT_CODE(kms_grant_check(&grant, &why), INVALID_ARGUMENT);                                    \
        CU_ASSERT(says(&why, words));                                                                        \
    } while (0)
    BAD("grantee_principal is required", grant.grantee = TEXT(""));
    BAD("grantee_principal", grant.grantee = kms_bytes_of(text, 512));
    BAD("no wildcard", grant.grantee = TEXT("a*"));
    BAD("no wildcard", grant.grantee = TEXT("a?"));
    BAD("'a?b'", grant.grantee = TEXT("a\tb"));
    BAD("retiring_principal", grant.retiring = TEXT("*"));
    BAD("name: ", grant.name = TEXT("a b"));
    BAD("name: ", grant.name = kms_bytes_of(text, 257));
    BAD("operations: at least one", grant.operations = 0);
    BAD("not in the future", grant.expires_us = 10);
    BAD("1 to 8 pairs", grant.constraint = KMS_GRANT_CONTEXT_SUBSET);
    BAD("1 to 8 pairs", grant.constraint = KMS_GRANT_CONTEXT_SUBSET, grant.pairs = sorted,
        grant.pair_count = 9);
    struct kms_pair twice[] = {sorted[0], sorted[0]}, wide = {TEXT("n"), kms_bytes_of(text, 385)};
    BAD("twice", grant.constraint = KMS_GRANT_CONTEXT_EQUALS, grant.pairs = twice, grant.pair_count = 2);
    BAD("384", grant.constraint = KMS_GRANT_CONTEXT_EQUALS, grant.pairs = &wide, grant.pair_count = 1);
#undef BAD
    struct kms_grant bound = good;
    bound.grantee = kms_bytes_of(text, 511);
    bound.name = kms_bytes_of(text, 256);
    bound.expires_us = 11;
    bound.constraint = KMS_GRANT_CONTEXT_EQUALS;
    bound.pairs = sorted;
    bound.pair_count = 1;
    KMS_ASSERT_OK(kms_grant_check(&bound, &why));
    KMS_ASSERT_OK(kms_grant_check_kind(&bound, KMS_GRANT_KIND_SYMMETRIC, &why));
    KMS_ASSERT_CODE(kms_grant_check_kind(&bound, KMS_GRANT_KIND_ASYMMETRIC, &why), INVALID_ARGUMENT);
    CU_ASSERT(says(&why, "only a symmetric key"));
    KMS_ASSERT_CODE(kms_grant_check_kind(&bound, KMS_GRANT_KIND_SIGNING, &why), INVALID_KEY_USAGE);
    CU_ASSERT(says(&why, "Encrypt is not"));
    bound.operations = 1;
    KMS_ASSERT_CODE(kms_grant_check_kind(&bound, KMS_GRANT_KIND_SYMMETRIC, &why), INVALID_ARGUMENT);
}

static void sorting_and_sameness(void)
{
    struct kms_pair pairs[] = {{TEXT("b"), TEXT("1")}, {TEXT("ab"), TEXT("2")}, {TEXT("a"), TEXT("3")}};
    kms_grant_sort_pairs(pairs, 3);
    CU_ASSERT(kms_bytes_equal(pairs[0].value, TEXT("3")) && kms_bytes_equal(pairs[1].value, TEXT("2")));
    struct kms_grant a = {.id = {{1}},
                          .grantee = TEXT("p"),
                          .operations = 2,
                          .pairs = pairs,
                          .pair_count = 3,
                          .constraint = KMS_GRANT_CONTEXT_EQUALS};
    struct kms_grant b = a;
    b.id.bytes[0] = 2;
    b.created_us = 7;
    b.creator = TEXT("c");
    CU_ASSERT(kms_grant_same(&a, &b));
    b.pair_count = 2;
    CU_ASSERT_FALSE(kms_grant_same(&a, &b));
    b.pair_count = 3;
    b.constraint = KMS_GRANT_CONTEXT_SUBSET;
    CU_ASSERT_FALSE(kms_grant_same(&a, &b));
}

/* -- what documents say of grantees -- */

#define S(sid, effect, who, action)                                                                          \
    "{'Sid':'" sid "','Effect':'" effect "','Principal':" who ",'Action':'" action "','Resource':'*'"
#define P_ "{'AWS':'p'}"

static const struct {
    const char *statements;
    const char *admin, *writer; /* NULL: OK */
    bool sure;                  /* may surely decrypt */
} rows[] = {
    {S("a", "Allow", P_, "kms:Decrypt") "}", NULL, "statement \"a\" would allow it kms:Decrypt (usage)",
     true},
    {S("a", "Allow", P_, "kms:Describe*") "}", NULL, NULL, false},
    {S("a", "Allow", P_, "kms:TagResource") "}", "statement \"a\" allows kms:TagResource", NULL, false},
    {S("a", "Allow", P_, "kms:RetireGrant") "}", "kms:RetireGrant", NULL, false},
    {S("a", "Allow", "'*'", "kms:TagResource") "}", "allows kms:TagResource to everybody", NULL, false},
    {S("a", "Allow", "'*'", "kms:Decrypt") "}", NULL, "kms:Decrypt (usage) to everybody", true},
    {S("a", "Allow", P_, "kms:Decrypt") ",'Condition':{'Bool':{'aws:SecureTransport':'false'}}}", NULL,
     "\"a\"", false},
    {S("a", "Allow", P_, "kms:Decrypt") "}," S("d", "Deny", P_, "kms:Decrypt") "}", NULL, NULL, false},
    {S("a", "Allow", P_, "kms:Decrypt") "}," S(
         "d", "Deny", P_, "kms:Decrypt") ",'Condition':{'Bool':{'aws:SecureTransport':'false'}}}",
     NULL, "\"a\"", false},
    {S("a", "Allow", P_, "kms:PutKeyPolicy") "}," S("d", "Deny", P_, "kms:*") "}", NULL, NULL, false},
    {S("a", "Allow", "{'AWS':'q'}", "kms:*") "}", NULL, NULL, false},
};

static void documents(void)
{
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char document[1024];
        struct kms_why why;
        snprintf(document, sizeof document, "{'Version':'2012-10-17','Statement':[%s]}", rows[i].statements);
        kms_policy *policy = parsed(document);
        kms_err admin = kms_policy_check_no_admin(policy, TEXT("p"), &why);
        CU_ASSERT_EQUAL(kms_failed(admin), rows[i].admin != NULL);
        CU_ASSERT(rows[i].admin == NULL ||
                  (kms_is(admin, KMS_E_POLICY_NOT_SEPARATED) && says(&why, rows[i].admin)));
        kms_err writer = kms_policy_check_writer(policy, TEXT("p"), &why);
        CU_ASSERT_EQUAL(kms_failed(writer), rows[i].writer != NULL);
        CU_ASSERT(rows[i].writer == NULL ||
                  (kms_is(writer, KMS_E_POLICY_NOT_SEPARATED) && says(&why, rows[i].writer)));
        bool sure = (kms_policy_sure_operations(policy, TEXT("p")) & BIT(DECRYPT)) != 0;
        if (sure != rows[i].sure) printf("\n%s\n", rows[i].statements);
        CU_ASSERT_EQUAL(sure, rows[i].sure);
        kms_policy_unref(policy);
    }
    KMS_ASSERT_OK(kms_policy_check_no_admin(NULL, TEXT("p"), NULL));
    KMS_ASSERT_OK(kms_policy_check_writer(NULL, TEXT("p"), NULL));
    CU_ASSERT_EQUAL(kms_policy_sure_operations(NULL, TEXT("p")), 0);
}

/* What is said of a document holds for any request, by the reference evaluator. */
static void documents_by_reference(void)
{
    unsigned safe = 0, sure = 0;
    generate_seed(3);
    for (int i = 0; i < 3000; i++) {
        json_t *json = generate_document(generate_below(2) != 0);
        char *text = json_dumps(json, 0);
        kms_policy *policy = NULL;
        struct kms_why why;
        if (!kms_failed(kms_policy_parse(KMS_POLICY_KEY, TEXT(text), &policy, &why)))
            for (int j = 0; j < 40; j++) {
                struct generated g;
                generate_request(&g);
                enum kms_effect effect = reference_decide(json, &g.request);
                enum kms_action_class class = kms_action_class_of(g.request.action);
                bool no_admin = !kms_failed(kms_policy_check_no_admin(policy, g.request.principal, &why));
                bool no_user = !kms_failed(kms_policy_check_writer(policy, g.request.principal, &why));
                CU_ASSERT_FATAL(!(no_admin && class == KMS_CLASS_ADMIN && effect == KMS_ALLOW));
                bool itself = g.request.via_service.ptr == NULL; /* not a service for it */
                CU_ASSERT_FATAL(!(no_user && itself && class == KMS_CLASS_USAGE && effect == KMS_ALLOW));
                safe += no_admin;
                uint32_t bit = kms_grant_bit(g.request.action);
                if ((kms_policy_sure_operations(policy, g.request.principal) & bit) == 0) continue;
                CU_ASSERT_EQUAL_FATAL(effect, KMS_ALLOW);
                sure++;
            }
        kms_policy_unref(policy);
        free(text);
        json_decref(json);
    }
    CU_ASSERT(safe > 100 && sure > 100);
}

KMS_TEST_MAIN("policy/grant", {"operations", operations},
              {"allows as a slow evaluator does", allows_as_the_slow_evaluator},
              {"within is never wider", within_is_never_wider}, {"retiring", retiring}, {"nobody", nobody},
              {"form", form}, {"sorting, sameness", sorting_and_sameness},
              {"documents and grantees", documents}, {"documents, by reference", documents_by_reference})
