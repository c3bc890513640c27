/* The ledger: what is counted, what a row brings back, and that no record counts twice. */
#include "kmsd/keys/ledger.h"

#include <stdio.h>

#include "tests/harness/suite.h"
#include "tests/unit/kmsd/keys/world.h"

static kms_ledger *ledger;

static void begin(void)
{
    KMS_ASSERT_OK_FATAL(kms_ledger_new(&ledger));
}

static void end(void)
{
    kms_ledger_free(ledger);
}

static void use(const char *principal, enum kms_action action, uint64_t at_us, uint64_t sequence)
{
    const struct kms_id id = id_of(1);
    const struct kms_ledger_use one = {.key_id = &id,
                                       .version = 2,
                                       .action = action,
                                       .principal = principal,
                                       .at_us = at_us,
                                       .times = 1,
                                       .sequence = sequence};
    kms_ledger_hold(ledger);
    kms_ledger_add(ledger, &one);
    kms_ledger_release(ledger, sequence);
}

static struct kms_usage found(struct kms_usage_principal *principals)
{
    const struct kms_id id = id_of(1);
    struct kms_usage usage = {.version = 0};
    CU_ASSERT_TRUE(kms_ledger_find(ledger, &id, 2, &usage, principals));
    return usage;
}

static void counts_and_principals(void)
{
    struct kms_usage_principal seen[KMS_LEDGER_PRINCIPALS];
    struct kms_usage usage;
    const struct kms_id id = id_of(1);
    begin();
    CU_ASSERT_FALSE(kms_ledger_find(ledger, &id, 2, &usage, NULL));
    use("a", KMS_ACT_ENCRYPT, 100, 1);
    use("b", KMS_ACT_DECRYPT, 200, 2);
    use("a", KMS_ACT_ENCRYPT, 300, 3);
    usage = found(seen);
    CU_ASSERT(usage.first_us == 100 && usage.last_us == 300 && usage.action_count == 2);
    CU_ASSERT(usage.counts[0].action == KMS_ACT_ENCRYPT && usage.counts[0].count == 2);
    CU_ASSERT(usage.counts[1].action == KMS_ACT_DECRYPT && usage.counts[1].count == 1);
    CU_ASSERT(usage.principal_count == 2 && strcmp(seen[0].name, "a") == 0 && seen[0].last_us == 300);
    CU_ASSERT(strcmp(seen[1].name, "b") == 0 && seen[1].last_us == 200);
    CU_ASSERT_FALSE(kms_ledger_find(ledger, &id, 1, &usage, NULL));
    end();
}

static void the_latest_eight(void)
{
    struct kms_usage_principal seen[KMS_LEDGER_PRINCIPALS];
    begin();
    for (unsigned i = 0; i < 10; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%u", i);
        use(name, KMS_ACT_ENCRYPT, i + 1, i + 1);
    }
    struct kms_usage usage = found(seen);
    CU_ASSERT_EQUAL(usage.principal_count, KMS_LEDGER_PRINCIPALS);
    CU_ASSERT_STRING_EQUAL(seen[0].name, "p9");
    CU_ASSERT_STRING_EQUAL(seen[KMS_LEDGER_PRINCIPALS - 1].name, "p2");
    end();
}

/* Takes what has changed and gives it to a fresh ledger, as a restart does. */
static size_t restart(void)
{
    struct kms_ledger_row rows[8];
    kms_ledger *fresh = NULL;
    size_t count = 0;
    KMS_ASSERT_OK_FATAL(kms_ledger_new(&fresh));
    KMS_ASSERT_OK_FATAL(kms_ledger_take(ledger, rows, 8, &count));
    for (size_t i = 0; i < count; i++) {
        const struct kms_row row = {.table = KMS_TABLE_USAGE,
                                    .id = rows[i].id,
                                    .revision = ++rows[i].revision,
                                    .body = kms_buf_view(&rows[i].body)};
        KMS_ASSERT_OK_FATAL(kms_ledger_load(fresh, &row, NULL));
    }
    kms_ledger_taken(ledger, rows, count, true);
    CU_ASSERT_FALSE(kms_ledger_dirty(ledger));
    kms_ledger_free(ledger);
    ledger = fresh;
    return count;
}

static void no_record_counts_twice(void)
{
    struct kms_usage_principal seen[KMS_LEDGER_PRINCIPALS];
    begin();
    use("a", KMS_ACT_ENCRYPT, 100, 7);
    CU_ASSERT_EQUAL(restart(), 2); /* the entry and the checkpoint */
    CU_ASSERT_EQUAL(kms_ledger_loaded(ledger), 7);
    CU_ASSERT_EQUAL(found(seen).counts[0].count, 1);
    CU_ASSERT_STRING_EQUAL(seen[0].name, "a");
    use("a", KMS_ACT_ENCRYPT, 100, 7); /* read again from the log */
    CU_ASSERT_EQUAL(found(seen).counts[0].count, 1);
    use("a", KMS_ACT_ENCRYPT, 110, 8);
    CU_ASSERT_EQUAL(found(seen).counts[0].count, 2);
    kms_ledger_forget_loaded(ledger); /* another log */
    use("a", KMS_ACT_ENCRYPT, 120, 1);
    CU_ASSERT_EQUAL(found(seen).counts[0].count, 3);
    end();
}

static void what_was_not_stored_is_taken_again(void)
{
    struct kms_ledger_row rows[8];
    size_t count;
    begin();
    use("a", KMS_ACT_ENCRYPT, 100, 1);
    CU_ASSERT_EQUAL(kms_ledger_stored(ledger), 0);
    KMS_ASSERT_OK_FATAL(kms_ledger_take(ledger, rows, 8, &count));
    CU_ASSERT_FALSE(kms_ledger_dirty(ledger));
    CU_ASSERT_EQUAL(kms_ledger_stored(ledger), 0); /* taken is not stored */
    kms_ledger_taken(ledger, rows, count, false);
    CU_ASSERT_TRUE(kms_ledger_dirty(ledger));
    CU_ASSERT_EQUAL(kms_ledger_stored(ledger), 0);
    CU_ASSERT_EQUAL(restart(), 2);
    end();
}

static void in_parts_without_a_checkpoint(void)
{
    struct kms_ledger_row rows[2];
    size_t count;
    const struct kms_id other = id_of(2);
    begin();
    use("a", KMS_ACT_ENCRYPT, 100, 1);
    const struct kms_ledger_use two = {
        .key_id = &other, .version = 1, .action = KMS_ACT_DECRYPT, .principal = "a", .at_us = 1, .times = 3};
    kms_ledger_hold(ledger);
    kms_ledger_add(ledger, &two);
    kms_ledger_release(ledger, 2);
    KMS_ASSERT_OK_FATAL(kms_ledger_take(ledger, rows, 2, &count));
    CU_ASSERT(count == 1 && rows[0].version == 2); /* no checkpoint: something is left */
    kms_ledger_taken(ledger, rows, count, true);
    CU_ASSERT_TRUE(kms_ledger_dirty(ledger));
    CU_ASSERT_EQUAL(kms_ledger_stored(ledger), 0); /* a part is not all */
    KMS_ASSERT_OK_FATAL(kms_ledger_take(ledger, rows, 2, &count));
    CU_ASSERT_EQUAL(count, 2);
    CU_ASSERT_STRING_EQUAL(rows[1].id, KMS_LEDGER_CHECKPOINT);
    kms_ledger_taken(ledger, rows, count, true);
    CU_ASSERT_EQUAL(kms_ledger_stored(ledger), 2);
    kms_ledger_hold(ledger); /* records that use nothing leave nothing to store */
    kms_ledger_release(ledger, 9);
    CU_ASSERT_EQUAL(kms_ledger_stored(ledger), 9);
    end();
}

static void rows_that_are_none(void)
{
    static const char *const ids[] = {"checkpoints", "abcd0000-0000-4000-8000-000000000001/00000000",
                                      "abcd0000-0000-4000-8000-000000000001/0000000g", "x"};
    struct kms_why why = {{0}};
    begin();
    for (size_t i = 0; i < KMS_COUNT(ids); i++) {
        const struct kms_row row = {.table = KMS_TABLE_USAGE, .id = ids[i], .revision = 1};
        KMS_ASSERT_CODE(kms_ledger_load(ledger, &row, &why), CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, ids[i]));
    }
    const struct kms_row broken = {
        .table = KMS_TABLE_USAGE, .id = KMS_LEDGER_CHECKPOINT, .revision = 1, .body = kms_bytes_text("\xff")};
    KMS_ASSERT_CODE(kms_ledger_load(ledger, &broken, &why), CORRUPT);
    end();
}

KMS_TEST_MAIN("keys/ledger", {"counts and principals", counts_and_principals},
              {"the latest eight", the_latest_eight}, {"no record counts twice", no_record_counts_twice},
              {"what was not stored is taken again", what_was_not_stored_is_taken_again},
              {"in parts without a checkpoint", in_parts_without_a_checkpoint},
              {"rows that are none", rows_that_are_none})
