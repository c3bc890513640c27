/* CreateSecret: a name, a policy, and perhaps the first version. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"
#include "kmsd/service/tags.h"

enum { DESCRIPTION_BYTES = 2048 };

static kms_err check_request(struct kms_call *call, const Kms__V1__CreateSecretRequest *request)
{
    struct kms_secret_plain plain;
    KMS_TRY(kms_secret_name_check(kms_bytes_text(request->name), &call->why));
    if (strlen(request->description) > DESCRIPTION_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "description: at most %d bytes",
                             DESCRIPTION_BYTES);
    if (request->value != NULL) KMS_TRY(kms_secret_plain_of(call, request->value, &plain));
    return kms_secret_version_gather(call, request->client_request_token);
}

static kms_stored_secret *new_stored(const struct kms_call *call, const Kms__V1__CreateSecretRequest *request,
                                     const char *suffix, const char *policy)
{
    kms_stored_secret *stored = malloc(sizeof *stored);
    if (stored == NULL) return NULL;
    kms__store__v1__stored_secret__init(stored);
    stored->created_us = kms_core_now_us(call->core);
    if (!kms_failed(kms_secret_set_text(&stored->name, request->name)) &&
        !kms_failed(kms_secret_set_text(&stored->suffix, suffix)) &&
        !kms_failed(kms_secret_set_text(&stored->creator, call->identity->principal)) &&
        !kms_failed(kms_secret_set_text(&stored->description, request->description)) &&
        !kms_failed(kms_secret_set_text(&stored->policy, policy)))
        return stored;
    kms__store__v1__stored_secret__free_unpacked(stored, NULL);
    return NULL;
}

/* The secret as it will be, but for its version: what the key is asked about needs its ARN. */
static kms_err gather_entry(struct kms_call *call, const Kms__V1__CreateSecretRequest *request)
{
    char suffix[KMS_SECRET_SUFFIX_BYTES];
    const char *policy = request->resource_policy;
    if (policy[0] == '\0') policy = kms_secret_policy_default(call);
    if (policy == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_policy_say(call, policy));
    KMS_TRY(kms_secret_suffix_new(suffix));
    kms_stored_secret *stored = new_stored(call, request, suffix, policy);
    if (stored == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_entry_new(&call->core->secret_arn, stored, &call->new_secret));
    kms_call_say(call, "new_secret", call->new_secret->arn);
    return kms_policy_parse(KMS_POLICY_SECRET, kms_bytes_text(policy), &call->new_secret->policy, &call->why);
}

kms_err kms_create_secret_gather(struct kms_call *call)
{
    const Kms__V1__CreateSecretRequest *request = (const void *)call->request;
    call->may_bypass_lockout = true;
    call->bypass_lockout = request->bypass_policy_lockout_safety_check;
    KMS_TRY(kms_access_service(call, KMS_ACT_CREATE_SECRET));
    KMS_TRY(check_request(call, request));
    KMS_TRY(kms_tags_gather(call, &call->access[0], request->tags, request->n_tags));
    struct kms_operation_inputs *inputs = kms_access_inputs(call, &call->access[0]);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    inputs->secret_name = kms_present(request->name);
    KMS_TRY(gather_entry(call, request));
    if (request->value == NULL && request->kms_key_id[0] == '\0') return KMS_OK;
    return kms_secret_key_gather(call, request->kms_key_id, NULL, call->new_secret->arn,
                                 call->secret_version);
}

/* Over all of the request but its value, which is compared by itself: a digest of a short one could be
 * guessed. */
static kms_err digest_of(struct kms_call *call, const Kms__V1__CreateSecretRequest *request,
                         uint8_t digest[KMS_DIGEST_BYTES])
{
    KMS_OWN(kms_digest) sha256 = NULL;
    Kms__V1__CreateSecretRequest bare = *request;
    const uint8_t kind = request->value != NULL ? (uint8_t)request->value->value_case : 0;
    bare.value = NULL;
    size_t len = kms__v1__create_secret_request__get_packed_size(&bare);
    uint8_t *packed = kms_call_alloc(call, len + 1);
    if (packed == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__create_secret_request__pack(&bare, packed);
    const struct kms_bytes parts[] = {kms_bytes_text("kmsd create secret 1"), kms_bytes_of(&kind, 1),
                                      kms_bytes_of(packed, len)};
    KMS_TRY(kms_digest_new(&sha256));
    return kms_digest_run(sha256, parts, sizeof parts / sizeof parts[0], digest);
}

static kms_err remember(struct kms_call *call, const Kms__V1__CreateSecretRequest *request,
                        kms_stored_secret *stored)
{
    uint8_t *digest = malloc(KMS_DIGEST_BYTES);
    if (digest == NULL) return KMS_FAIL(NO_MEMORY);
    stored->request_digest = (ProtobufCBinaryData){.data = digest, .len = KMS_DIGEST_BYTES};
    return digest_of(call, request, digest);
}

static kms_err check_digest(struct kms_call *call, const Kms__V1__CreateSecretRequest *request,
                            const kms_stored_secret *stored)
{
    uint8_t digest[KMS_DIGEST_BYTES];
    if (stored->request_digest.len != sizeof digest) return KMS_OK; /* an older row */
    KMS_TRY(digest_of(call, request, digest));
    if (kms_bytes_same(digest, stored->request_digest.data, sizeof digest)) return KMS_OK;
    return kms_call_fail(
        call, KMS_FAIL(ALREADY_EXISTS),
        "there is a secret %s, and it was made by another request: a repeated one has the same "
        "client_request_token, description, key, tags and policy",
        request->name);
}

static kms_err check_value(struct kms_call *call, const Kms__V1__CreateSecretRequest *request,
                           const struct kms_secret_entry *entry)
{
    struct kms_secret_plain sent, stored;
    size_t at = kms_secret_version_at(entry->stored, request->client_request_token);
    bool own = at == 0 && strcmp(entry->stored->versions[at]->creator, call->identity->principal) == 0;
    if (!own) return kms_call_fail(call, KMS_FAIL(ALREADY_EXISTS), "there is a secret %s", request->name);
    KMS_TRY(kms_secret_plain_of(call, request->value, &sent));
    KMS_TRY(kms_secret_open_now(call, entry, at, &stored));
    if (kms_secret_plain_same(&sent, &stored)) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(ALREADY_EXISTS), "client_request_token was used with another value");
}

/* A second call with the token of the first finds what that made, if it brings the same. */
static kms_err made_before(struct kms_call *call, const Kms__V1__CreateSecretRequest *request,
                           struct kms_secret_entry **ret_entry)
{
    KMS_OWN_ENTRY entry = kms_secret_book_find(call->core->secrets, kms_bytes_text(request->name));
    if (entry == NULL) return KMS_OK;
    const kms_stored_secret *stored = entry->stored;
    bool old = stored->request_digest.len == 0; /* knows nothing of a request without a value */
    bool may = request->client_request_token[0] != '\0' && stored->deletion_us == 0 &&
               strcmp(stored->creator, call->identity->principal) == 0 && (request->value != NULL || !old);
    if (!may) return kms_call_fail(call, KMS_FAIL(ALREADY_EXISTS), "there is a secret %s", request->name);
    KMS_TRY(check_digest(call, request, stored));
    if (request->value != NULL) KMS_TRY(check_value(call, request, entry));
    *ret_entry = KMS_GIVE(entry);
    return KMS_OK;
}

static kms_err add_value(struct kms_call *call, const Kms__V1__CreateSecretRequest *request,
                         struct kms_change_set *changes, struct kms_secret_entry *entry)
{
    struct kms_access *access = &call->access[1];
    struct kms_secret_plain plain;
    struct kms_sealed_value *value;
    if (call->access_count < 2) return KMS_OK;
    KMS_TRY(kms_secret_key_need(call, access, changes));
    KMS_TRY(kms_seal_key_check(call, access->key));
    KMS_TRY(kms_secret_set_key(entry, access->key));
    if (request->value == NULL) return KMS_OK;
    KMS_TRY(kms_secret_plain_of(call, request->value, &plain));
    KMS_TRY(kms_secret_seal(call, access, &plain, &value));
    return kms_secret_add_version(call, changes, entry, value, NULL, 0);
}

static kms_err create(struct kms_call *call, const Kms__V1__CreateSecretRequest *request)
{
    struct kms_secret_entry *entry = call->new_secret;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (kms_secret_book_count(call->core->secrets) >= call->core->secrets_most)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED), "there are %u secrets (limits.secrets)",
                             call->core->secrets_most);
    KMS_TRY(kms_secret_policy_accept(call, entry->policy, entry->arn));
    for (size_t i = 0; i < request->n_tags; i++)
        KMS_TRY(kms_secret_tag(call, entry->stored, request->tags[i]));
    if (request->value == NULL) call->secret_version = NULL;
    KMS_TRY(remember(call, request, entry->stored));
    KMS_TRY(add_value(call, request, &changes, entry));
    KMS_TRY(kms_change_secret(&changes, call, entry));
    KMS_TRY(kms_change_apply_secret_policy(&changes, call, entry));
    return call->access_count < 2 ? KMS_OK : kms_secret_key_made(call, &call->access[1]);
}

kms_err kms_create_secret_act(struct kms_call *call)
{
    const Kms__V1__CreateSecretRequest *request = (const void *)call->request;
    Kms__V1__CreateSecretResponse *reply = kms_new_reply(call);
    KMS_OWN_ENTRY before = NULL;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(made_before(call, request, &before));
    if (before == NULL) KMS_TRY(create(call, request));
    const struct kms_secret_entry *entry = before != NULL ? before : call->new_secret;
    reply->arn = kms_arena_print(&call->arena, "%s", entry->arn);
    reply->name = request->name;
    if (request->value != NULL) reply->version_id = kms_arena_print(&call->arena, "%s", call->secret_version);
    return reply->arn != NULL && reply->version_id != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
