/* ListGrants and ListRetirableGrants. */
#include <stdio.h>
#include <string.h>

#include "kms/v1/grants.pb-c.h"
#include "kmsd/keys/grant_record.h"
#include "kmsd/service/access.h"
#include "kmsd/service/core.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/page.h"
#include "kmsd/service/seal.h"

enum {
    VISITED_MOST = 10000,               /* rows read for one page, however few of them are wanted */
    REPLY_BYTES_MOST = 2 * 1024 * 1024, /* of entries, roughly: what any client takes */
};

struct wanted {
    const struct kms_id *key_id;    /* NULL: of all keys */
    const char *grantee, *retiring; /* "": any */
    char last[KMS_GRANT_ROW_BYTES]; /* the last row that was read */
    size_t visited, bytes;
};

static char *text_of(struct kms_call *call, struct kms_bytes text)
{
    return kms_arena_print(&call->arena, "%.*s", (int)text.len, text.len > 0 ? (const char *)text.ptr : "");
}

static bool fill_operations(struct kms_call *call, const struct kms_grant *grant,
                            Kms__V1__GrantListEntry *entry)
{
    entry->operations = kms_call_alloc(call, KMS_GRANT_OPERATIONS * sizeof *entry->operations);
    for (uint32_t number = 0; entry->operations != NULL && number < KMS_GRANT_OPERATIONS; number++)
        if ((grant->operations & UINT32_C(1) << number) != 0)
            entry->operations[entry->n_operations++] = (Kms__V1__GrantOperation)number;
    return entry->operations != NULL;
}

typedef Kms__V1__GrantConstraints__EncryptionContextEqualsEntry equals_entry;
typedef Kms__V1__GrantConstraints__EncryptionContextSubsetEntry subset_entry;

static bool fill_equals(struct kms_call *call, const struct kms_grant *grant, Kms__V1__GrantConstraints *to)
{
    to->encryption_context_equals = kms_call_alloc(call, grant->pair_count * sizeof(equals_entry *));
    equals_entry *entries = kms_call_alloc(call, grant->pair_count * sizeof *entries);
    if (to->encryption_context_equals == NULL || entries == NULL) return false;
    for (size_t i = 0; i < grant->pair_count; i++) {
        kms__v1__grant_constraints__encryption_context_equals_entry__init(&entries[i]);
        entries[i].key = text_of(call, grant->pairs[i].name);
        entries[i].value = text_of(call, grant->pairs[i].value);
        if (entries[i].key == NULL || entries[i].value == NULL) return false;
        to->encryption_context_equals[to->n_encryption_context_equals++] = &entries[i];
    }
    return true;
}

static bool fill_subset(struct kms_call *call, const struct kms_grant *grant, Kms__V1__GrantConstraints *to)
{
    to->encryption_context_subset = kms_call_alloc(call, grant->pair_count * sizeof(subset_entry *));
    subset_entry *entries = kms_call_alloc(call, grant->pair_count * sizeof *entries);
    if (to->encryption_context_subset == NULL || entries == NULL) return false;
    for (size_t i = 0; i < grant->pair_count; i++) {
        kms__v1__grant_constraints__encryption_context_subset_entry__init(&entries[i]);
        entries[i].key = text_of(call, grant->pairs[i].name);
        entries[i].value = text_of(call, grant->pairs[i].value);
        if (entries[i].key == NULL || entries[i].value == NULL) return false;
        to->encryption_context_subset[to->n_encryption_context_subset++] = &entries[i];
    }
    return true;
}

static bool fill_constraint(struct kms_call *call, const struct kms_grant *grant,
                            Kms__V1__GrantListEntry *entry)
{
    if (grant->constraint == KMS_GRANT_ANY_CONTEXT) return true;
    entry->constraints = kms_call_alloc(call, sizeof *entry->constraints);
    if (entry->constraints == NULL) return false;
    kms__v1__grant_constraints__init(entry->constraints);
    return grant->constraint == KMS_GRANT_CONTEXT_EQUALS ? fill_equals(call, grant, entry->constraints)
                                                         : fill_subset(call, grant, entry->constraints);
}

/* In the arena; NULL: no room. */
static Kms__V1__GrantListEntry *describe(struct kms_call *call, const struct kms_id *key_id,
                                         const struct kms_grant *grant)
{
    Kms__V1__GrantListEntry *entry = kms_call_alloc(call, sizeof *entry);
    char *key = kms_call_alloc(call, KMS_ID_TEXT), *id = kms_call_alloc(call, KMS_ID_TEXT);
    if (entry == NULL || key == NULL || id == NULL) return NULL;
    kms__v1__grant_list_entry__init(entry);
    kms_id_text(key_id, key);
    kms_id_text(&grant->id, id);
    entry->key_id = key;
    entry->grant_id = id;
    entry->name = text_of(call, grant->name);
    entry->creation_time_us = grant->created_us;
    entry->grantee_principal = text_of(call, grant->grantee);
    entry->retiring_principal = text_of(call, grant->retiring);
    entry->creator = text_of(call, grant->creator);
    entry->expiration_time_us = grant->expires_us;
    bool whole = entry->name != NULL && entry->grantee_principal != NULL &&
                 entry->retiring_principal != NULL && entry->creator != NULL;
    return whole && fill_operations(call, grant, entry) && fill_constraint(call, grant, entry) ? entry : NULL;
}

static bool is(const char *wanted, struct kms_bytes text)
{
    return wanted[0] == '\0' || kms_bytes_equal(kms_bytes_text(wanted), text);
}

/* The page may be shorter than asked for; the marker is the row before this one. */
static kms_err visit_grant(void *user, const struct kms_row *row)
{
    struct kms_page *page = user;
    struct wanted *wanted = (struct wanted *)(uintptr_t)page->only;
    struct kms_id key_id;
    KMS_OWN_GRANTED granted = NULL;
    KMS_TRY(kms_grant_from_row(row, &key_id, &granted, &page->call->why));
    if (wanted->key_id != NULL && !kms_id_equal(wanted->key_id, &key_id)) return kms_page_end(page);
    if (page->count == page->limit || wanted->visited == VISITED_MOST || wanted->bytes > REPLY_BYTES_MOST)
        return kms_page_full(page);
    const struct kms_grant *grant = &granted->grant;
    if (is(wanted->grantee, grant->grantee) && is(wanted->retiring, grant->retiring) &&
        !kms_grant_expired(grant, page->call->started_us)) {
        Kms__V1__GrantListEntry *entry = describe(page->call, &key_id, grant);
        if (entry == NULL) return page->count > 0 ? kms_page_full(page) : KMS_FAIL(NO_MEMORY);
        page->items[page->count++] = entry;
        wanted->bytes += row->body.len + 2 * KMS_ID_TEXT;
    }
    wanted->visited++;
    kms_copy(wanted->last, row->id, sizeof wanted->last);
    return KMS_OK;
}

kms_err kms_list_grants_gather(struct kms_call *call)
{
    const Kms__V1__ListGrantsRequest *request = (const void *)call->request;
    struct kms_access *access;
    struct kms_id id;
    KMS_TRY(kms_access_named(call, KMS_ACT_LIST_GRANTS, request->key_id, &access));
    if (request->grant_id[0] != '\0' && !kms_id_parse(kms_bytes_text(request->grant_id), &id))
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "grant_id: not a UUID");
    if (request->marker[0] != '\0' && !kms_id_parse(kms_bytes_text(request->marker), &id))
        return KMS_FAIL(INVALID_MARKER);
    return KMS_OK;
}

static kms_err list_one(struct kms_page *page, const struct kms_key *key, const char *grant_id,
                        const char *grantee)
{
    struct kms_id id;
    if (!kms_id_parse(kms_bytes_text(grant_id), &id)) return KMS_FAIL(INTERNAL);
    KMS_OWN_GRANTED granted = kms_grants_find(key->grants, &id);
    if (granted == NULL || kms_grant_expired(&granted->grant, page->call->started_us) ||
        !is(grantee, granted->grant.grantee))
        return KMS_OK;
    page->items[0] = describe(page->call, &key->id, &granted->grant);
    page->count = 1;
    return page->items[0] != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_list_grants_act(struct kms_call *call)
{
    const Kms__V1__ListGrantsRequest *request = (const void *)call->request;
    const struct kms_key *key = call->access[0].key;
    Kms__V1__ListGrantsResponse *reply = kms_new_reply(call);
    struct wanted wanted = {.key_id = &key->id, .grantee = request->grantee_principal, .retiring = ""};
    struct kms_page page;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_page_begin(call, request->limit, &page));
    page.only = &wanted;
    if (request->grant_id[0] != '\0') {
        KMS_TRY(list_one(&page, key, request->grant_id, request->grantee_principal));
    } else {
        char after[KMS_GRANT_ROW_BYTES];
        snprintf(after, sizeof after, "%s/%s", key->id_text, request->marker);
        KMS_TRY(kms_page_scan(&page, KMS_TABLE_GRANT, after, visit_grant));
    }
    reply->grants = (Kms__V1__GrantListEntry **)page.items;
    reply->n_grants = page.count;
    reply->truncated = page.more;
    if (page.more) reply->next_marker = kms_arena_print(&call->arena, "%s", wanted.last + KMS_ID_TEXT);
    return reply->next_marker != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_list_retirable_grants_gather(struct kms_call *call)
{
    const Kms__V1__ListRetirableGrantsRequest *request = (const void *)call->request;
    const char *of = request->retiring_principal;
    struct kms_id key_id, grant_id;
    bool own = of[0] == '\0' || strcmp(of, call->identity->principal) == 0;
    KMS_TRY(own ? kms_access_own(call, KMS_ACT_LIST_RETIRABLE_GRANTS)
                : kms_access_service(call, KMS_ACT_LIST_RETIRABLE_GRANTS));
    bool good = request->marker[0] == '\0' || kms_grant_row_parse(request->marker, &key_id, &grant_id);
    return good ? KMS_OK : KMS_FAIL(INVALID_MARKER);
}

kms_err kms_list_retirable_grants_act(struct kms_call *call)
{
    const Kms__V1__ListRetirableGrantsRequest *request = (const void *)call->request;
    Kms__V1__ListRetirableGrantsResponse *reply = kms_new_reply(call);
    const char *of = request->retiring_principal;
    struct wanted wanted = {.grantee = "", .retiring = of[0] != '\0' ? of : call->identity->principal};
    struct kms_page page;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_page_begin(call, request->limit, &page));
    page.only = &wanted;
    KMS_TRY(kms_page_scan(&page, KMS_TABLE_GRANT, request->marker, visit_grant));
    reply->grants = (Kms__V1__GrantListEntry **)page.items;
    reply->n_grants = page.count;
    reply->truncated = page.more;
    if (page.more) reply->next_marker = kms_arena_print(&call->arena, "%s", wanted.last);
    return reply->next_marker != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
