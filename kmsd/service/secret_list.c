/* ListSecrets: by name, page by page, from memory. */
#include <string.h>

#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MOST = 1000 };

kms_err kms_list_secrets_gather(struct kms_call *call)
{
    const Kms__V1__ListSecretsRequest *request = (const void *)call->request;
    KMS_TRY(kms_access_service(call, KMS_ACT_LIST_SECRETS));
    if (request->limit > LIMIT_MOST)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "limit: 1 to %d", LIMIT_MOST);
    if (request->tag_value[0] != '\0' && request->tag_key[0] == '\0')
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "tag_value without tag_key");
    if (request->marker[0] == '\0') return KMS_OK;
    return kms_failed(kms_secret_name_check(kms_bytes_text(request->marker), &call->why))
               ? KMS_FAIL(INVALID_MARKER)
               : KMS_OK;
}

static bool has_tag(const kms_stored_secret *stored, const char *key, const char *value)
{
    for (size_t i = 0; i < stored->n_tags; i++)
        if (strcmp(stored->tags[i]->key, key) == 0)
            return value[0] == '\0' || strcmp(stored->tags[i]->value, value) == 0;
    return false;
}

static bool wanted(const void *user, const struct kms_secret_entry *entry)
{
    const Kms__V1__ListSecretsRequest *request = user;
    const kms_stored_secret *secret = entry->stored;
    if (secret->deletion_us != 0 && !request->include_planned_deletion) return false;
    if (strncmp(secret->name, request->name_prefix, strlen(request->name_prefix)) != 0) return false;
    return request->tag_key[0] == '\0' || has_tag(secret, request->tag_key, request->tag_value);
}

/* What the list gives back must be copied: the call does not hold these entries. */
static Kms__V1__SecretListEntry *line_of(struct kms_call *call, const struct kms_secret_entry *entry)
{
    const kms_stored_secret *secret = entry->stored;
    Kms__V1__SecretListEntry *line = kms_call_alloc(call, sizeof *line);
    if (line == NULL) return NULL;
    kms__v1__secret_list_entry__init(line);
    line->arn = kms_arena_print(&call->arena, "%s", entry->arn);
    line->name = kms_arena_print(&call->arena, "%s", secret->name);
    line->description = kms_arena_print(&call->arena, "%s", secret->description);
    line->rotation_enabled = secret->rotation != NULL && secret->rotation->automatic;
    line->last_changed_us = secret->changed_us;
    line->last_accessed_us = kms_read_day_of(entry->read);
    line->deletion_us = secret->deletion_us;
    bool ok = line->arn != NULL && line->name != NULL && line->description != NULL &&
              !kms_failed(kms_secret_reply_tags(call, secret, &line->tags, &line->n_tags));
    return ok ? line : NULL;
}

kms_err kms_list_secrets_act(struct kms_call *call)
{
    const Kms__V1__ListSecretsRequest *request = (const void *)call->request;
    Kms__V1__ListSecretsResponse *reply = kms_new_reply(call);
    KMS_OWN_SECRET_LIST list = {.count = 0};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    size_t limit = request->limit != 0 ? request->limit : LIMIT_DEFAULT;
    KMS_TRY(kms_secret_book_list(call->core->secrets, request->marker, limit, wanted, request, &list));
    reply->secrets = kms_call_alloc(call, (list.count + 1) * sizeof(Kms__V1__SecretListEntry *));
    if (reply->secrets == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < list.count; i++) {
        reply->secrets[i] = line_of(call, list.entries[i]);
        if (reply->secrets[i] == NULL) return KMS_FAIL(NO_MEMORY);
        reply->n_secrets++;
    }
    reply->truncated = list.more;
    if (list.more) reply->next_marker = reply->secrets[list.count - 1]->name;
    return KMS_OK;
}
