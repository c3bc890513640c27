/* Events become JSON with the dictionary's names; whatever they hold, the record fits. */
#include "kmsd/audit/encode.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/suite.h"

static uint8_t body[KMS_AUDIT_BATCH_BODY_BYTES];

/* The event as an object; freed by the caller. */
static json_t *encode(const struct kms_audit_event *event, size_t *ret_len)
{
    size_t len = 0;
    KMS_ASSERT_OK_FATAL(kms_audit_encode(event, "unit-1", 2000, body, &len));
    CU_ASSERT_TRUE(len <= sizeof body);
    CU_ASSERT_PTR_NULL(memchr(body, '\n', len));
    KMS_OWN_BUF text = {0};
    KMS_ASSERT_OK_FATAL(kms_buf_print(&text, "{%.*s}", (int)len - 1, (const char *)body + 1));
    json_t *object = json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(object);
    *ret_len = len;
    return object;
}

static struct kms_bytes text(const char *s)
{
    return kms_bytes_text(s);
}

static void exact_line(void)
{
    struct kms_audit_pair context[] = {{text("a"), text("b")}}, own[] = {{text("key_spec"), {NULL, 0}}},
                          shared[] = {{text("source_ip"), text("127.0.0.1")}};
    struct kms_audit_event event = {
        .kind = KMS_AUDIT_CALL,
        .principal = "spiffe://x/app",
        .principal_source = "mtls-uri",
        .peer = "ipv4:127.0.0.1:4",
        .service = "kms.v1.CryptoService",
        .operation = "Decrypt",
        .class = "usage",
        .access = {{.action = "kms:Decrypt",
                    .key_id = "k",
                    .key_named = text("alias/x"),
                    .key_version = 1,
                    .context = context,
                    .context_count = 1,
                    .inputs = own,
                    .input_count = 1,
                    .decision = "allow",
                    .statement = "AppUsage"}},
        .access_count = 1,
        .inputs = shared,
        .input_count = 1,
        .stage = "finish",
        .started_us = 1188,
        .client = text("libkms/0.1"),
    };
    event.request_id.bytes[15] = 7;
    size_t len;
    json_decref(encode(&event, &len));
    static const char want[] =
        ",\"kind\":\"call\",\"instance\":\"unit-1\",\"request_id\":\"00000000-0000-0000-0000-000000000007\","
        "\"principal\":\"spiffe://x/app\",\"principal_source\":\"mtls-uri\",\"peer\":\"ipv4:127.0.0.1:4\","
        "\"service\":\"kms.v1.CryptoService\",\"operation\":\"Decrypt\",\"class\":\"usage\",\"access\":[{"
        "\"action\":\"kms:Decrypt\","
        "\"key_id\":\"k\",\"key_named\":\"alias/"
        "x\",\"key_version\":1,\"context\":{\"a\":\"b\"},\"inputs\":{\"key_spec\":null},"
        "\"decision\":\"allow\",\"statement\":\"AppUsage\"}],\"inputs\":{\"source_ip\":\"127.0.0.1\"},"
        "\"outcome\":\"OK\",\"stage\":\"finish\",\"latency_us\":812,\"client\":"
        "\"libkms/0.1\"";
    CU_ASSERT_EQUAL_FATAL(len, sizeof want - 1);
    CU_ASSERT_EQUAL(memcmp(body, want, len), 0);
}

static void outcome_by_kind(void)
{
    static const struct {
        enum kms_audit_kind kind;
        kms_err outcome;
        const char *name, *want;
    } rows[] = {
        {KMS_AUDIT_CALL, {KMS_E_OK}, "call", "OK"},
        {KMS_AUDIT_CALL, {KMS_E_ACCESS_DENIED}, "call", "ACCESS_DENIED"},
        {KMS_AUDIT_ATTEMPT, {KMS_E_OK}, "attempt", NULL},
        {KMS_AUDIT_ATTEMPT, {KMS_E_CONFLICT}, "attempt", NULL},
        {KMS_AUDIT_OUTCOME, {KMS_E_OK}, "outcome", "OK"},
        {KMS_AUDIT_OUTCOME, {KMS_E_CONFLICT}, "outcome", "CONFLICT"},
        {KMS_AUDIT_RECOVERY, {KMS_E_OK}, "recovery", NULL},
        {KMS_AUDIT_SUPPRESSED, {KMS_E_LIMIT_EXCEEDED}, "suppressed", "LIMIT_EXCEEDED"},
        {KMS_AUDIT_SERVICE, {KMS_E_OK}, "service", NULL},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_audit_event event = {.kind = rows[i].kind, .outcome = rows[i].outcome};
        size_t len;
        json_t *object = encode(&event, &len);
        const char *outcome = json_string_value(json_object_get(object, "outcome"));
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "kind")), rows[i].name);
        CU_ASSERT_EQUAL(outcome == NULL, rows[i].want == NULL);
        if (outcome != NULL && rows[i].want != NULL) CU_ASSERT_STRING_EQUAL(outcome, rows[i].want);
        json_decref(object);
    }
}

/* Every name of the dictionary is used, and no other. */
static const struct {
    const char *parent, *name;
} dictionary[] = {
#define KMS_FIELD(symbol, parent, name, type, meaning) {parent, name},
#include "kmsd/audit/fields.def"
#undef KMS_FIELD
};
static bool seen[KMS_COUNT(dictionary)];

static void note(const char *parent, const char *name)
{
    for (size_t i = 0; i < KMS_COUNT(dictionary); i++)
        if (strcmp(dictionary[i].parent, parent) == 0 && strcmp(dictionary[i].name, name) == 0) {
            seen[i] = true;
            return;
        }
    fprintf(stderr, "\nnot in fields.def: %s.%s\n", parent, name);
    CU_FAIL("a name that the dictionary does not have");
}

static void walk(const char *parent, const json_t *value)
{
    bool open_names =
        strcmp(parent, "context") == 0 || strcmp(parent, "extra") == 0 || strcmp(parent, "inputs") == 0;
    size_t index;
    const char *name;
    json_t *item;
    json_array_foreach(value, index, item) walk(parent, item);
    json_object_foreach((json_t *)(uintptr_t)value, name, item)
    {
        if (open_names) continue;
        note(parent, name);
        walk(name, item);
    }
}

static struct kms_audit_event full_event(struct kms_audit_pair *pair)
{
    struct kms_audit_event event = {
        .kind = KMS_AUDIT_OUTCOME,
        .principal = "p",
        .principal_source = "unix",
        .peer = "unix:pid=1",
        .protocol = "sops",
        .service = "s",
        .operation = "o",
        .class = "admin",
        .access = {{.action = "a",
                    .key_id = "k",
                    .secret = text("s"),
                    .role = text("r"),
                    .key_named = text("n"),
                    .key_version = 3,
                    .context = pair,
                    .context_count = 1,
                    .inputs = pair,
                    .input_count = 1,
                    .decision = "deny",
                    .statement = "S",
                    .grant = "G"}},
        .access_count = 1,
        .inputs = pair,
        .input_count = 1,
        .outcome = KMS_FAIL(ACCESS_DENIED),
        .detail = "why",
        .stage = "decide",
        .started_us = 1,
        .client = text("c"),
        .correlation_id = text("x"),
        .has_mark = true,
        .store_revision = 9,
        .count = 2,
        .extra_count = 1,
    };
    event.request_id.bytes[0] = 1;
    event.extra[0] = *pair;
    return event;
}

static void dictionary_is_complete(void)
{
    struct kms_audit_pair pair = {text("name"), text("value")};
    struct kms_audit_event event = full_event(&pair), cut = {.kind = KMS_AUDIT_CALL};
    const struct kms_audit_item items[] = {{.access_count = 2, .access = {0, 1}, .key_version = {3, 4}},
                                           {.access_count = 2, .access = {0, 1}, .key_version = {3, 4}}};
    const struct kms_audit_batch batch = {event.access, 1, items, 2};
    struct kms_audit_event many = {.kind = KMS_AUDIT_CALL, .batch = &batch};
    const struct kms_audit_signed_head head = {.sequence = 7, .hash = "h", .key_id = "k", .signature = "s"};
    struct kms_audit_state state = {0};
    struct kms_audit_opening opening = {.number = 2, .after = 1, .because = KMS_AUDIT_CRASH};
    KMS_OWN_BUF line = {0};
    char *endless = malloc(100000);
    size_t len;
    memset(endless, 'x', 99999);
    endless[99999] = '\0';
    cut.detail = endless;
    event.head = &head;
    cut.started_us = 2001; /* after the record's own time */
    for (int i = 0; i < 3; i++) {
        json_t *object = encode(i == 0 ? &event : i == 1 ? &cut : &many, &len);
        walk("", object);
        json_decref(object);
    }
    event.kind = KMS_AUDIT_ATTEMPT;
    KMS_ASSERT_OK(kms_audit_state_apply(&state, &event));
    KMS_ASSERT_OK_FATAL(kms_audit_encode_opening(&opening, &state, "unit-1", body, &len));
    KMS_ASSERT_OK_FATAL(kms_buf_print(&line, "{\"seq\":1,\"time\":1,\"prev\":1%.*s,\"hash\":1}", (int)len,
                                      (const char *)body));
    json_t *object = json_loadb((const char *)line.data, line.len, 0, NULL);
    walk("", object);
    json_decref(object);
    for (size_t i = 0; i < KMS_COUNT(dictionary); i++)
        if (!seen[i]) {
            fprintf(stderr, "\nnever written: %s.%s\n", dictionary[i].parent, dictionary[i].name);
            CU_FAIL("a name that is never written");
        }
    free(endless);
}

/* The worst a caller can send: everything at its longest, all of it to be escaped. */
static void always_fits(void)
{
    enum { PAIRS = 200, LONG = 20000 };
    static char fill[LONG + 1];
    static const char fillers[] = {'x', '\x01', '"', '\xff'};
    for (size_t f = 0; f < sizeof fillers; f++) {
        static struct kms_audit_pair pairs[PAIRS];
        struct kms_audit_event event = {
            .kind = KMS_AUDIT_CALL, .access_count = KMS_AUDIT_ACCESSES, .has_mark = true};
        memset(fill, fillers[f], LONG);
        for (size_t i = 0; i < PAIRS; i++)
            pairs[i] = (struct kms_audit_pair){kms_bytes_of(fill, 130), kms_bytes_of(fill, 130)};
        for (size_t i = 0; i < KMS_AUDIT_ACCESSES; i++)
            event.access[i] = (struct kms_audit_access){.action = fill,
                                                        .key_id = fill,
                                                        .secret = kms_bytes_of(fill, LONG),
                                                        .key_named = kms_bytes_of(fill, LONG),
                                                        .key_version = UINT32_MAX,
                                                        .context = pairs,
                                                        .context_count = PAIRS,
                                                        .inputs = pairs,
                                                        .input_count = PAIRS,
                                                        .decision = fill,
                                                        .statement = fill,
                                                        .grant = fill};
        event.principal = event.principal_source = event.peer = event.service = event.operation =
            event.class = fill;
        event.detail = event.stage = fill;
        event.client = event.correlation_id = kms_bytes_of(fill, LONG);
        event.started_us = 1;
        event.inputs = pairs;
        event.input_count = PAIRS;
        event.count = event.store_revision = INT64_MAX;
        event.extra_count = KMS_AUDIT_EXTRAS;
        for (size_t i = 0; i < KMS_AUDIT_EXTRAS; i++)
            event.extra[i] = (struct kms_audit_pair){kms_bytes_of(fill, LONG), kms_bytes_of(fill, LONG)};
        size_t len;
        json_t *object = encode(&event, &len);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(object, "shortened")), 48);
        CU_ASSERT_EQUAL(json_array_size(json_object_get(object, "access")), KMS_AUDIT_ACCESSES);
        json_decref(object);
    }
}

/* What a batch did, item by item: those alike in a row are one element with their number. */
static void items_of_a_batch(void)
{
    const struct kms_audit_access access[] = {{.action = "kms:Encrypt", .key_id = "k1", .decision = "allow"},
                                              {.action = "kms:Encrypt", .key_id = "k2", .decision = "deny"}};
    const struct kms_audit_item items[] = {
        {.outcome = KMS_FAIL(INVALID_ARGUMENT)},
        {.access_count = 1, .access = {0}, .key_version = {7}},
        {.access_count = 1, .access = {0}, .key_version = {7}},
        {.access_count = 1, .access = {0}, .key_version = {8}},
        {.access_count = 1, .access = {1}, .outcome = KMS_FAIL(ACCESS_DENIED)},
        {.access_count = 1, .access = {0}, .key_version = {8}},
        {.access_count = 2, .access = {0, 1}, .key_version = {8, 1}},
        {.access_count = 2, .access = {0, 1}, .key_version = {8, 2}},
    };
    const struct kms_audit_batch batch = {access, KMS_COUNT(access), items, KMS_COUNT(items)};
    const struct kms_audit_event event = {.kind = KMS_AUDIT_CALL, .batch = &batch};
    size_t len;
    json_t *object = encode(&event, &len);
    char *text = json_dumps(json_object_get(object, "items"), JSON_COMPACT);
    CU_ASSERT_STRING_EQUAL(
        text,
        "[{\"outcome\":\"INVALID_ARGUMENT\"},"
        "{\"count\":2,\"access\":0,\"key_version\":7,\"outcome\":\"OK\"},"
        "{\"access\":0,\"key_version\":8,\"outcome\":\"OK\"},{\"access\":1,\"outcome\":\"ACCESS_DENIED\"},"
        "{\"access\":0,\"key_version\":8,\"outcome\":\"OK\"},"
        "{\"access\":0,\"key_version\":8,\"to_access\":1,\"to_key_version\":1,\"outcome\":\"OK\"},"
        "{\"access\":0,\"key_version\":8,\"to_access\":1,\"to_key_version\":2,\"outcome\":\"OK\"}]");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(object, "access")), 2);
    free(text);
    json_decref(object);
}

/* The worst batch: as many items, decisions and contexts as there may be, none alike, all to be escaped. */
static void any_batch_fits(void)
{
    enum { LONG = 20000, INPUTS = 20 };
    static char fill[LONG + 1];
    static struct kms_audit_pair pairs[KMS_AUDIT_BATCH_PAIRS];
    static struct kms_audit_access access[KMS_AUDIT_BATCH_ACCESSES];
    static struct kms_audit_item items[KMS_AUDIT_ITEMS];
    const struct kms_audit_batch batch = {access, KMS_AUDIT_BATCH_ACCESSES, items, KMS_AUDIT_ITEMS};
    struct kms_audit_event event = {.kind = KMS_AUDIT_CALL, .batch = &batch, .started_us = 1};
    memset(fill, '\x01', LONG);
    for (size_t i = 0; i < KMS_AUDIT_BATCH_PAIRS; i++)
        pairs[i] = (struct kms_audit_pair){kms_bytes_of(fill, 100), kms_bytes_of(fill, LONG)};
    for (size_t i = 0; i < KMS_AUDIT_BATCH_ACCESSES; i++)
        access[i] = (struct kms_audit_access){.action = "kms:GenerateDataKeyWithoutPlaintext",
                                              .key_id = "abcd0000-0000-4000-8000-000000000001",
                                              .key_named = kms_bytes_of(fill, LONG),
                                              .context = &pairs[i * 2],
                                              .context_count = 2,
                                              .inputs = pairs,
                                              .input_count = INPUTS,
                                              .decision = "no-match",
                                              .statement = fill,
                                              .grant = "abcd0000-0000-4000-8000-000000000001"};
    for (uint16_t i = 0; i < KMS_AUDIT_ITEMS; i++)
        items[i] = (struct kms_audit_item){.access_count = 2,
                                           .access = {(uint16_t)(511 - i), (uint16_t)(i + 200)},
                                           .key_version = {UINT32_MAX, UINT32_MAX - i},
                                           .outcome = KMS_FAIL(KEY_BUDGET_EXHAUSTED)};
    event.principal = event.peer = event.detail = event.stage = fill;
    event.client = event.correlation_id = kms_bytes_of(fill, LONG);
    event.inputs = pairs;
    event.input_count = 100;
    size_t len;
    json_t *object = encode(&event, &len);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(object, "shortened")), 24);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(object, "access")), KMS_AUDIT_BATCH_ACCESSES);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(object, "items")), KMS_AUDIT_ITEMS);
    CU_ASSERT_TRUE(len > KMS_AUDIT_BODY_BYTES);
    json_decref(object);
}

/* Two contexts of 8 KiB in plain text are kept whole, in four decisions as well. */
static void ordinary_contexts_are_whole(void)
{
    static char value[8000];
    memset(value, 'v', sizeof value);
    struct kms_audit_pair pair = {text("name"), kms_bytes_of(value, sizeof value)};
    struct kms_audit_event event = {.kind = KMS_AUDIT_CALL, .access_count = 4};
    for (size_t i = 0; i < 4; i++)
        event.access[i] = (struct kms_audit_access){.action = "a", .context = &pair, .context_count = 1};
    size_t len;
    json_t *object = encode(&event, &len);
    CU_ASSERT_PTR_NULL(json_object_get(object, "shortened"));
    CU_ASSERT_TRUE(len > 32000);
    json_decref(object);
}

static void opening_fits(void)
{
    struct kms_audit_state state = {.has_mark = true,
                                    .revision = INT64_MAX,
                                    .open_count = KMS_AUDIT_OPEN_ATTEMPTS},
                           back;
    struct kms_audit_opening opening = {.number = 99999999, .after = 99999998, .because = KMS_AUDIT_FAILED},
                             read;
    for (size_t i = 0; i < state.open_count; i++) {
        memset(state.open[i].request_id.bytes, (int)i + 1, KMS_ID_BYTES);
        memset(state.open[i].operation, 'o', 63);
    }
    KMS_OWN_BUF line = {0};
    size_t len;
    KMS_ASSERT_OK_FATAL(
        kms_audit_encode_opening(&opening, &state, "an-instance-name-of-32-characters", body, &len));
    CU_ASSERT_TRUE(len <= KMS_AUDIT_OPENING_BYTES - KMS_AUDIT_FRAME_BYTES);
    KMS_ASSERT_OK(kms_buf_print(&line, "{%.*s}", (int)len - 1, (const char *)body + 1));
    CU_ASSERT_FATAL(kms_audit_opening_read(kms_buf_view(&line), &read, &back));
    CU_ASSERT_EQUAL(read.number, opening.number);
    CU_ASSERT_EQUAL(read.after, opening.after);
    CU_ASSERT_EQUAL(read.because, opening.because);
    CU_ASSERT_EQUAL(back.open_count, state.open_count);
    CU_ASSERT_EQUAL(memcmp(back.open, state.open, sizeof back.open), 0);
    CU_ASSERT_EQUAL(back.revision, state.revision);
}

KMS_TEST_MAIN("audit/encode", {"the line, byte by byte", exact_line}, {"outcome by kind", outcome_by_kind},
              {"dictionary is complete", dictionary_is_complete}, {"always fits", always_fits},
              {"items of a batch", items_of_a_batch}, {"any batch fits", any_batch_fits},
              {"ordinary contexts are whole", ordinary_contexts_are_whole},
              {"first record of a file fits", opening_fits})
