/* ListKeys and ListAliases: pages straight from the keystore, which keeps them sorted. */
#include <stdlib.h>
#include <string.h>

#include "kms/v1/keys.pb-c.h"
#include "kmsd/keys/record.h"
#include "kmsd/service/access.h"
#include "kmsd/service/core.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/page.h"
#include "kmsd/service/seal.h"

static bool has_tag(const struct kms_key *key, const char *name, const char *value)
{
    for (uint32_t i = 0; i < key->tag_count; i++)
        if (strcmp(key->tags[i].key, name) == 0)
            return value[0] == '\0' || strcmp(key->tags[i].value, value) == 0;
    return false;
}

static bool has_alias(struct kms_page *page, const struct kms_key *key, const char *prefix)
{
    struct kms_alias first; /* that is not less: if any begins so, this one does */
    return kms_keyring_aliases_from(page->call->core->keys, &key->id, prefix, &first, 1) == 1 &&
           strncmp(first.name, prefix, strlen(prefix)) == 0;
}

/* Not by the row, which has the policy too: what the keyring knows is enough. */
static bool wanted(struct kms_page *page, const char *id_text)
{
    const Kms__V1__ListKeysRequest *filter = page->only;
    if (filter->tag_key[0] == '\0' && filter->alias_prefix[0] == '\0') return true;
    struct kms_id id;
    if (!kms_id_parse(kms_bytes_text(id_text), &id)) return false;
    KMS_OWN_KEY key = kms_keyring_find(page->call->core->keys, &id);
    if (key == NULL) return false;
    if (filter->tag_key[0] != '\0' && !has_tag(key, filter->tag_key, filter->tag_value)) return false;
    return filter->alias_prefix[0] == '\0' || has_alias(page, key, filter->alias_prefix);
}

static kms_err visit_key(void *user, const struct kms_row *row)
{
    struct kms_page *page = user;
    if (!wanted(page, row->id)) return KMS_OK;
    if (page->count == page->limit) return kms_page_full(page);
    Kms__V1__KeyListEntry *entry = kms_call_alloc(page->call, sizeof *entry);
    char *arn = kms_call_alloc(page->call, KMS_ARN_BYTES);
    char *id = kms_arena_print(&page->call->arena, "%s", row->id);
    if (entry == NULL || arn == NULL || id == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__key_list_entry__init(entry);
    kms_key_arn(&page->call->core->arn, row->id, arn);
    entry->key_id = id;
    entry->key_arn = arn;
    page->items[page->count++] = entry;
    return KMS_OK;
}

kms_err kms_list_keys_gather(struct kms_call *call)
{
    const Kms__V1__ListKeysRequest *request = (const void *)call->request;
    struct kms_id id;
    KMS_TRY(kms_access_service(call, KMS_ACT_LIST_KEYS));
    if (request->tag_value[0] != '\0' && request->tag_key[0] == '\0')
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "tag_value without tag_key");
    if (request->marker[0] != '\0' && !kms_id_parse(kms_bytes_text(request->marker), &id))
        return KMS_FAIL(INVALID_MARKER);
    return KMS_OK;
}

kms_err kms_list_keys_act(struct kms_call *call)
{
    const Kms__V1__ListKeysRequest *request = (const void *)call->request;
    Kms__V1__ListKeysResponse *reply = kms_new_reply(call);
    struct kms_page page;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_page_begin(call, request->limit, &page));
    page.only = request;
    KMS_TRY(kms_page_scan(&page, KMS_TABLE_KEY, request->marker, visit_key));
    reply->keys = (Kms__V1__KeyListEntry **)page.items;
    reply->n_keys = page.count;
    reply->truncated = page.more;
    if (page.more) reply->next_marker = reply->keys[page.count - 1]->key_id;
    return KMS_OK;
}

static kms_err add_alias(struct kms_page *page, const struct kms_alias *alias)
{
    if (page->count == page->limit) return kms_page_full(page);
    Kms__V1__AliasListEntry *entry = kms_call_alloc(page->call, sizeof *entry);
    char *arn = kms_call_alloc(page->call, KMS_ARN_BYTES), *id = kms_call_alloc(page->call, KMS_ID_TEXT);
    char *name = kms_arena_print(&page->call->arena, "%s", alias->name);
    if (entry == NULL || arn == NULL || id == NULL || name == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__alias_list_entry__init(entry);
    kms_alias_arn(&page->call->core->arn, alias->name, arn);
    kms_id_text(&alias->key_id, id);
    entry->alias_name = name;
    entry->alias_arn = arn;
    entry->target_key_id = id;
    page->items[page->count++] = entry;
    return KMS_OK;
}

static kms_err visit_alias(void *user, const struct kms_row *row)
{
    struct kms_page *page = user;
    struct kms_alias alias;
    KMS_TRY(kms_alias_from_row(row, &alias, &page->call->why));
    return alias.deleted ? KMS_OK : add_alias(page, &alias);
}

/* Of one key: the keyring has them together, the keystore among all others. */
static kms_err list_of_key(struct kms_page *page, const struct kms_key *key, const char *marker)
{
    size_t cap = page->limit + 2; /* the marker itself, and one more to see that there are more */
    struct kms_alias *aliases = calloc(cap, sizeof *aliases);
    if (aliases == NULL) return KMS_FAIL(NO_MEMORY);
    size_t count = kms_keyring_aliases_from(page->call->core->keys, &key->id, marker, aliases, cap);
    size_t first = count > 0 && strcmp(aliases[0].name, marker) == 0;
    kms_err err = KMS_OK;
    for (size_t i = first; i < count && !kms_failed(err); i++) err = add_alias(page, &aliases[i]);
    free(aliases);
    return page->ended ? KMS_OK : err;
}

kms_err kms_list_aliases_gather(struct kms_call *call)
{
    const Kms__V1__ListAliasesRequest *request = (const void *)call->request;
    KMS_TRY(kms_access_service(call, KMS_ACT_LIST_ALIASES));
    if (request->marker[0] == '\0') return KMS_OK;
    return kms_failed(kms_alias_name_syntax(kms_bytes_text(request->marker), &call->why))
               ? KMS_FAIL(INVALID_MARKER)
               : KMS_OK;
}

/* After the decision, so that only who may list learns whether the key exists. */
static kms_err find_only(struct kms_call *call, const char *named, struct kms_key **ret_key)
{
    struct kms_key_name name;
    KMS_TRY(kms_key_name_parse(&call->core->arn, kms_bytes_text(named), &name, &call->why));
    *ret_key = kms_name_resolve(call, &name) ? kms_keyring_find(call->core->keys, &name.id) : NULL;
    return *ret_key != NULL ? KMS_OK : kms_call_fail(call, KMS_FAIL(NOT_FOUND), "%s", named);
}

kms_err kms_list_aliases_act(struct kms_call *call)
{
    const Kms__V1__ListAliasesRequest *request = (const void *)call->request;
    Kms__V1__ListAliasesResponse *reply = kms_new_reply(call);
    KMS_OWN_KEY only = NULL;
    struct kms_page page;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    if (request->key_id[0] != '\0') KMS_TRY(find_only(call, request->key_id, &only));
    KMS_TRY(kms_page_begin(call, request->limit, &page));
    KMS_TRY(only != NULL ? list_of_key(&page, only, request->marker)
                         : kms_page_scan(&page, KMS_TABLE_ALIAS, request->marker, visit_alias));
    reply->aliases = (Kms__V1__AliasListEntry **)page.items;
    reply->n_aliases = page.count;
    reply->truncated = page.more;
    if (page.more) reply->next_marker = reply->aliases[page.count - 1]->alias_name;
    return KMS_OK;
}
