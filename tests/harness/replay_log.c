/*
 * Makes every decision of an audit log again and compares it with what was recorded.
 *
 *     replay-log DIRECTORY DOCUMENTS
 *
 * DOCUMENTS holds policies, each in a file named by its SHA-256 in hex. The log itself says which one was in
 * force: the service's when it was read, a key's when CreateKey or PutKeyPolicy succeeded. A call that was
 * under way meanwhile may have seen either of two documents, so one of them must answer as recorded. Prints
 * what it counted as JSON. Status 1: a decision differs, and standard error says which.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define uthash_fatal(message) abort()
#include <uthash.h>

#include "kmsd/audit/reader.h"
#include "kmsd/policy/replay.h"
#include "kmsd/policy/value.h"

enum {
    HASH_TEXT = 65,
    ID_TEXT = 37,
    OWNER_TEXT = 700,     /* a key's id, or the ARN of a secret or database role */
    RECENT = 8,           /* documents of a key that may have answered */
    RELOAD_US = 1000000u, /* from the record of a service policy until it is in force, at most */
};

/* A document, compiled when it is first needed; policy NULL: it is not there. */
struct document {
    char hash[HASH_TEXT];
    kms_policy *policy;
    bool refused; /* malformed, so never in force */
    UT_hash_handle hh;
};

/* Whose documents: a key, a secret, a database role, or "" for the service. Newest first. */
struct owner {
    char id[OWNER_TEXT];
    struct {
        struct document *document;
        char request_id[ID_TEXT]; /* of the change that brings it, while that has no outcome */
        uint64_t until_us;        /* in force until then; UINT64_MAX: still, or not yet */
    } recent[RECENT];
    UT_hash_handle hh;
};

static struct {
    const char *folder;
    struct document *documents;
    struct owner *owners;
    uint64_t decisions, ambiguous, unknown, shortened, beside;
} state;

static void fail(const char *file, uint64_t line, const char *words)
{
    fprintf(stderr, "%s:%llu: %s\n", file, (unsigned long long)line, words);
    exit(1);
}

static void must(kms_err err, const struct kms_why *why)
{
    if (kms_failed(err)) fail(kms_err_reason(err), 0, why->text);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static struct document *find_document(const char *hash, enum kms_policy_kind kind)
{
    struct document *found;
    HASH_FIND_STR(state.documents, hash, found);
    if (found != NULL) return found;
    found = calloc(1, sizeof *found);
    if (found == NULL) abort();
    snprintf(found->hash, sizeof found->hash, "%s", hash);
    HASH_ADD_STR(state.documents, hash, found);
    char path[4096];
    struct kms_why why = {0};
    KMS_OWN_BUF text = {0};
    snprintf(path, sizeof path, "%s/%s", state.folder, hash);
    if (kms_failed(kms_read_file(path, KMS_POLICY_BYTES, &text, &why))) return found;
    found->refused = kms_failed(kms_policy_parse(kind, kms_buf_view(&text), &found->policy, &why));
    return found;
}

static struct owner *find_owner(const char *id)
{
    struct owner *found;
    HASH_FIND_STR(state.owners, id, found);
    if (found != NULL) return found;
    found = calloc(1, sizeof *found);
    if (found == NULL) abort();
    snprintf(found->id, sizeof found->id, "%s", id);
    HASH_ADD_STR(state.owners, id, found);
    return found;
}

/* The change has begun: from now on its document may answer. */
static void add(struct owner *owner, struct document *document, const char *request_id)
{
    memmove(&owner->recent[1], &owner->recent[0], (RECENT - 1) * sizeof owner->recent[0]);
    owner->recent[0].document = document;
    owner->recent[0].until_us = UINT64_MAX;
    snprintf(owner->recent[0].request_id, ID_TEXT, "%s", request_id);
}

/* The change is made: the document before it answers who had begun by now, nobody later. */
static void settle(struct owner *owner, size_t at, uint64_t now_us)
{
    owner->recent[at].request_id[0] = '\0';
    for (size_t i = 0; i < RECENT; i++)
        if (i != at && owner->recent[i].request_id[0] == '\0' && owner->recent[i].until_us > now_us)
            owner->recent[i].until_us = now_us;
}

static void end_change(const char *request_id, bool made, uint64_t now_us)
{
    for (struct owner *owner = state.owners; owner != NULL; owner = owner->hh.next)
        for (size_t i = 0; i < RECENT; i++) {
            if (request_id[0] == '\0' || strcmp(owner->recent[i].request_id, request_id) != 0) continue;
            if (made)
                settle(owner, i, now_us);
            else
                owner->recent[i].document = NULL;
        }
}

/* An attempt brings a document: for a key, secret or role that it makes, or for that of its first access. */
static void follow_attempt(const json_t *record, const char *hash, enum kms_policy_kind kind)
{
    static const char *const
        made_as[] = {[KMS_POLICY_KEY] = "new_key_id",
                     [KMS_POLICY_SECRET] = "new_secret",
                     [KMS_POLICY_DATABASE_ROLE] = "new_role"},
        *const named[] = {
            [KMS_POLICY_KEY] = "key_id", [KMS_POLICY_SECRET] = "secret", [KMS_POLICY_DATABASE_ROLE] = "role"};
    const char *made = text_of(json_object_get(record, "extra"), made_as[kind]),
               *old = text_of(json_array_get(json_object_get(record, "access"), 0), named[kind]);
    if (hash[0] == '\0') return;
    add(find_owner(made[0] != '\0' ? made : old), find_document(hash, kind), text_of(record, "request_id"));
}

/* What the record says of documents: brought by an attempt, in force or dropped by its end. */
static void follow(const json_t *record, uint64_t now_us)
{
    const json_t *extra = json_object_get(record, "extra");
    const char *kind = text_of(record, "kind"), *operation = text_of(record, "operation"),
               *request_id = text_of(record, "request_id");
    if (strcmp(operation, "service-policy") == 0) {
        add(find_owner(""), find_document(text_of(extra, "service_policy_sha256"), KMS_POLICY_SERVICE), "");
        settle(find_owner(""), 0, now_us + RELOAD_US);
    }
    if (strcmp(kind, "recovery") == 0)
        end_change(request_id, strcmp(text_of(record, "detail"), "committed before the crash") == 0, now_us);
    if (strcmp(kind, "outcome") == 0)
        end_change(request_id, strcmp(text_of(record, "outcome"), "OK") == 0, now_us);
    if (strcmp(kind, "attempt") != 0) return;
    follow_attempt(record, text_of(extra, "key_policy_sha256"), KMS_POLICY_KEY);
    follow_attempt(record, text_of(extra, "resource_policy_sha256"), KMS_POLICY_SECRET);
    follow_attempt(record, text_of(extra, "role_policy_sha256"), KMS_POLICY_DATABASE_ROLE);
}

static bool same(const struct kms_replayed *past, struct kms_decision now)
{
    const struct kms_decision *was = &past->recorded;
    if (past->beside_policy) return now.effect == KMS_DENY_IMPLICIT;
    if (was->effect != now.effect || (was->statement == NULL) != (now.statement == NULL)) return false;
    return was->statement == NULL || strcmp(was->statement, now.statement) == 0;
}

/* True: one of the documents that may have answered decides as recorded. */
static bool again(const struct kms_replay *replay, const struct kms_replayed *past)
{
    const char *id = past->service ? "" : past->secret != NULL ? past->secret : past->key_id;
    if (id == NULL) return same(past, kms_policy_decide(NULL, &past->request));
    const struct owner *owner = find_owner(id);
    size_t asked = 0;
    bool agreed = false, known = true;
    for (size_t i = 0; i < RECENT; i++) {
        const struct document *document = owner->recent[i].document;
        if (document == NULL || document->refused || owner->recent[i].until_us < replay->started_us) continue;
        asked++;
        known = known && document->policy != NULL;
        agreed = agreed || same(past, kms_policy_decide(document->policy, &past->request));
    }
    if (asked == 0 || !known) state.unknown++;
    state.ambiguous += asked > 1;
    return agreed || asked == 0 || !known;
}

/* The key that CreateKey is about to make, and an alias for it, or the default key that CreateSecret
 * makes: the document is that of the request. */
static bool of_new_key(const json_t *record, const struct kms_replayed *past)
{
    const char *made = text_of(json_object_get(record, "extra"), "new_key_id");
    if (past->service || past->secret != NULL) return false;
    return strcmp(text_of(record, "operation"), "CreateKey") == 0 ||
           (past->key_id != NULL && made[0] != '\0' && strcmp(made, past->key_id) == 0);
}

static void check(const struct kms_replay *replay, const struct kms_audit_line *line)
{
    const json_t *record = replay->json;
    const char *hash = text_of(json_object_get(record, "extra"), "key_policy_sha256");
    for (size_t i = 0; i < replay->count; i++) {
        const struct kms_replayed *past = &replay->accesses[i];
        bool good;
        if (of_new_key(record, past)) {
            const kms_policy *policy = find_document(hash, KMS_POLICY_KEY)->policy;
            good = policy == NULL || same(past, kms_policy_decide(policy, &past->request));
            state.unknown += policy == NULL;
        } else {
            good = again(replay, past);
        }
        state.decisions++;
        state.beside += past->beside_policy;
        if (!good && !replay->shortened) fail(line->file, line->line_number, "decided otherwise now");
    }
    state.shortened += replay->shortened;
}

int main(int argc, char **argv)
{
    KMS_OWN_REPLAY replay = {.count = 0};
    KMS_OWN(kms_audit_reader) reader = NULL;
    struct kms_why why = {0};
    bool more = true;
    if (argc != 3) return 2;
    state.folder = argv[2];
    must(kms_audit_reader_open(argv[1], NULL, &reader, &why), &why);
    while (more) {
        struct kms_audit_line line;
        must(kms_audit_reader_next(reader, &line, &more, &why), &why);
        if (!more) break;
        kms_err err = kms_replay_read(&replay, line.text, &why);
        if (kms_failed(err)) fail(line.file, line.line_number, why.text);
        int64_t time_us = 0;
        if (!kms_value_date(kms_bytes_text(text_of(replay.json, "time")), &time_us))
            fail(line.file, line.line_number, "a record without a time");
        check(&replay, &line);
        follow(replay.json, (uint64_t)time_us);
    }
    printf("{\"decisions\": %llu, \"ambiguous\": %llu, \"beside\": %llu, \"unknown\": %llu, \"shortened\": "
           "%llu}\n",
           (unsigned long long)state.decisions, (unsigned long long)state.ambiguous,
           (unsigned long long)state.beside, (unsigned long long)state.unknown,
           (unsigned long long)state.shortened);
    return 0;
}
