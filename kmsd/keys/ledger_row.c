/* Entries of the ledger as keystore rows (StoredUsage), out and in. */
#include <stdio.h>
#include <string.h>

#include "keystore/record.pb-c.h"
#include "kmsd/keys/ledger_row.h"
#include "kmsd/keys/stored.h"

/* The members of both messages borrow. */
static kms_err pack(const struct kms_usage *usage, Kms__Store__V1__StoredUsage *stored, kms_buf *body)
{
    Kms__Store__V1__StoredUsageCount counts[KMS_LEDGER_ACTIONS], *count_list[KMS_LEDGER_ACTIONS];
    Kms__Store__V1__StoredUsagePrincipal seen[KMS_LEDGER_PRINCIPALS], *seen_list[KMS_LEDGER_PRINCIPALS];
    for (size_t i = 0; i < usage->action_count; i++) {
        kms__store__v1__stored_usage_count__init(&counts[i]);
        counts[i].action = kms_lend(kms_action_name(usage->counts[i].action)); /* only read */
        counts[i].count = usage->counts[i].count;
        count_list[i] = &counts[i];
    }
    for (size_t i = 0; i < usage->principal_count; i++) {
        kms__store__v1__stored_usage_principal__init(&seen[i]);
        seen[i].principal = usage->principals[i].name;
        seen[i].last_us = usage->principals[i].last_us;
        seen_list[i] = &seen[i];
    }
    stored->counts = count_list;
    stored->n_counts = usage->action_count;
    stored->principals = seen_list;
    stored->n_principals = usage->principal_count;
    return kms_stored_pack(&stored->base, body);
}

kms_err kms_usage_body(const struct kms_usage *usage, uint64_t sequence, kms_buf *body)
{
    Kms__Store__V1__StoredUsage stored;
    kms__store__v1__stored_usage__init(&stored);
    stored.sequence = sequence;
    stored.first_us = usage->first_us;
    stored.last_us = usage->last_us;
    return pack(usage, &stored, body);
}

static bool fill(struct kms_usage *usage, const Kms__Store__V1__StoredUsage *stored)
{
    if (stored->n_counts > KMS_LEDGER_ACTIONS || stored->n_principals > KMS_LEDGER_PRINCIPALS) return false;
    usage->loaded = stored->sequence;
    usage->first_us = stored->first_us;
    usage->last_us = stored->last_us;
    usage->action_count = stored->n_counts;
    usage->principal_count = stored->n_principals;
    for (size_t i = 0; i < stored->n_counts; i++) {
        usage->counts[i].count = stored->counts[i]->count;
        if (!kms_action_find(stored->counts[i]->action, &usage->counts[i].action)) return false;
    }
    for (size_t i = 0; i < stored->n_principals; i++) {
        snprintf(usage->principals[i].name, sizeof usage->principals[i].name, "%s",
                 stored->principals[i]->principal);
        usage->principals[i].last_us = stored->principals[i]->last_us;
    }
    return true;
}

/* "KEYID/0000000a" */
static bool read_id(const char *id, struct kms_usage *usage)
{
    uint8_t number[4];
    if (strcmp(id, KMS_LEDGER_CHECKPOINT) == 0) return true;
    if (strlen(id) != KMS_ID_TEXT - 1 + 9 ||
        !kms_id_parse(kms_bytes_of(id, KMS_ID_TEXT - 1), &usage->key_id) ||
        !kms_unhex(id + KMS_ID_TEXT, 8, number, sizeof number))
        return false;
    usage->version =
        (uint32_t)number[0] << 24 | (uint32_t)number[1] << 16 | (uint32_t)number[2] << 8 | number[3];
    return usage->version != 0;
}

kms_err kms_usage_from_row(const struct kms_row *row, struct kms_usage *usage, struct kms_why *why)
{
    struct kms_stored_room room;
    kms_stored_room_open(&room);
    Kms__Store__V1__StoredUsage *stored =
        kms__store__v1__stored_usage__unpack(&room.allocator, row->body.len, row->body.ptr);
    bool ok = stored != NULL && read_id(row->id, usage) && fill(usage, stored);
    if (stored != NULL) kms__store__v1__stored_usage__free_unpacked(stored, &room.allocator);
    usage->revision = row->revision;
    if (ok) return KMS_OK;
    kms_why_set(why, "keystore row %s: not an entry of the usage ledger", row->id);
    return KMS_FAIL(CORRUPT);
}
