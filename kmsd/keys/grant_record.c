/* Grants as keystore rows, out and in. */
#include "kmsd/keys/grant_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/record.pb-c.h"
#include "kmsd/keys/stored.h"

void kms_grant_row_id(const struct kms_id *key_id, const struct kms_id *grant_id,
                      char row_id[KMS_GRANT_ROW_BYTES])
{
    char grant[KMS_ID_TEXT];
    kms_id_text(key_id, row_id);
    kms_id_text(grant_id, grant);
    row_id[KMS_ID_TEXT - 1] = '/';
    kms_copy(row_id + KMS_ID_TEXT, grant, KMS_ID_TEXT);
}

bool kms_grant_row_parse(const char *row_id, struct kms_id *ret_key_id, struct kms_id *ret_grant_id)
{
    return strlen(row_id) == KMS_GRANT_ROW_BYTES - 1 && row_id[KMS_ID_TEXT - 1] == '/' &&
           kms_id_parse(kms_bytes_of(row_id, KMS_ID_TEXT - 1), ret_key_id) &&
           kms_id_parse(kms_bytes_of(row_id + KMS_ID_TEXT, KMS_ID_TEXT - 1), ret_grant_id);
}

/* Texts of a grant have a NUL behind them only by chance: protobuf-c gets copies, all in one block. */
static char *text_of(struct kms_bytes text, char **at)
{
    char *copy = *at;
    kms_copy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

static size_t texts_len(const struct kms_grant *grant)
{
    size_t len = grant->grantee.len + grant->retiring.len + grant->name.len + grant->creator.len + 4;
    for (size_t i = 0; i < grant->pair_count; i++)
        len += grant->pairs[i].name.len + grant->pairs[i].value.len + 2;
    return len;
}

kms_err kms_grant_body(const struct kms_grant *grant, kms_buf *body)
{
    Kms__Store__V1__StoredGrant stored;
    Kms__Store__V1__StoredPair pairs[KMS_GRANT_PAIRS], *pair_list[KMS_GRANT_PAIRS];
    uint32_t operations[KMS_GRANT_OPERATIONS];
    uint8_t check[KMS_GRANT_CHECK_BYTES];
    char *texts = malloc(texts_len(grant)), *at = texts;
    if (texts == NULL) return KMS_FAIL(NO_MEMORY);
    kms__store__v1__stored_grant__init(&stored);
    stored.grantee = text_of(grant->grantee, &at);
    stored.retiring = text_of(grant->retiring, &at);
    stored.name = text_of(grant->name, &at);
    stored.creator = text_of(grant->creator, &at);
    stored.operations = operations;
    for (uint32_t number = 0; number < KMS_GRANT_OPERATIONS; number++)
        if ((grant->operations & UINT32_C(1) << number) != 0) operations[stored.n_operations++] = number;
    stored.constraint = grant->constraint;
    stored.pairs = pair_list;
    for (; stored.n_pairs < grant->pair_count; stored.n_pairs++) {
        Kms__Store__V1__StoredPair *pair = pair_list[stored.n_pairs] = &pairs[stored.n_pairs];
        kms__store__v1__stored_pair__init(pair);
        pair->name = text_of(grant->pairs[stored.n_pairs].name, &at);
        pair->value = text_of(grant->pairs[stored.n_pairs].value, &at);
    }
    stored.created_us = grant->created_us;
    stored.expires_us = grant->expires_us;
    kms_copy(check, grant->check, sizeof check);
    stored.token_check = (ProtobufCBinaryData){.data = check, .len = sizeof check};
    kms_err err = kms_stored_pack(&stored.base, body);
    free(texts);
    return err;
}

/* What this release can have written. */
static bool possible(const Kms__Store__V1__StoredGrant *stored, uint32_t *ret_operations)
{
    uint32_t operations = 0;
    enum kms_action action;
    for (size_t i = 0; i < stored->n_operations; i++) {
        if (!kms_grant_action(stored->operations[i], &action)) return false;
        operations |= kms_grant_bit(action);
    }
    *ret_operations = operations;
    bool bound = stored->constraint != KMS_GRANT_ANY_CONTEXT;
    return operations != 0 && stored->constraint <= KMS_GRANT_CONTEXT_SUBSET &&
           stored->n_pairs <= KMS_GRANT_PAIRS && (stored->n_pairs > 0) == bound &&
           stored->grantee[0] != '\0' && stored->token_check.len == KMS_GRANT_CHECK_BYTES;
}

static kms_err granted_of(const Kms__Store__V1__StoredGrant *stored, const struct kms_id *id,
                          uint32_t operations, struct kms_granted **ret_granted)
{
    struct kms_pair pairs[KMS_GRANT_PAIRS];
    struct kms_grant grant = {
        .id = *id,
        .grantee = kms_bytes_text(stored->grantee),
        .retiring = kms_bytes_text(stored->retiring),
        .name = kms_bytes_text(stored->name),
        .creator = kms_bytes_text(stored->creator),
        .operations = operations,
        .constraint = (enum kms_grant_constraint)stored->constraint,
        .pairs = pairs,
        .pair_count = stored->n_pairs,
        .created_us = stored->created_us,
        .expires_us = stored->expires_us,
    };
    kms_copy(grant.check, stored->token_check.data, sizeof grant.check);
    for (size_t i = 0; i < stored->n_pairs; i++)
        pairs[i] = (struct kms_pair){kms_bytes_text(stored->pairs[i]->name),
                                     kms_bytes_text(stored->pairs[i]->value)};
    return kms_granted_new(&grant, ret_granted);
}

kms_err kms_grant_from_row(const struct kms_row *row, struct kms_id *ret_key_id,
                           struct kms_granted **ret_granted, struct kms_why *why)
{
    Kms__Store__V1__StoredGrant *stored =
        kms__store__v1__stored_grant__unpack(NULL, row->body.len, row->body.ptr);
    struct kms_id id;
    uint32_t operations;
    kms_err err = KMS_FAIL(CORRUPT);
    if (stored == NULL)
        kms_why_set(why, "keystore row %s: unreadable body", row->id);
    else if (!kms_grant_row_parse(row->id, ret_key_id, &id) || !possible(stored, &operations))
        kms_why_set(why, "keystore row %s: impossible values", row->id);
    else
        err = granted_of(stored, &id, operations, ret_granted);
    if (stored != NULL) kms__store__v1__stored_grant__free_unpacked(stored, NULL);
    if (!kms_failed(err)) (*ret_granted)->revision = row->revision;
    return err;
}
