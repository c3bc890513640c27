/* Replies of KeyService as results. */
#include <kms/types.h>

#include "client/lib/message.h"
#include "client/lib/rpc.h"
#include "kms/v1/keys.pb-c.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static void metadata(void)
{
    Kms__V1__KeyVersion version;
    kms__v1__key_version__init(&version);
    version.version = 2;
    version.root_id = 5;
    Kms__V1__KeyVersion *versions[] = {&version};
    char *aliases[] = {kms_borrow_text("alias/a"), kms_borrow_text("alias/b")};
    Kms__V1__KeyMetadata from;
    kms__v1__key_metadata__init(&from);
    from.key_id = kms_borrow_text("id");
    from.key_state = KMS__V1__KEY_STATE__KEY_STATE_DISABLED;
    from.key_spec = KMS__V1__KEY_SPEC__KEY_SPEC_SYMMETRIC_DEFAULT;
    from.protection_level = KMS__V1__PROTECTION_LEVEL__PROTECTION_LEVEL_SOFTWARE;
    from.n_versions = 1;
    from.versions = versions;
    from.n_aliases = 2;
    from.aliases = aliases;
    Kms__V1__DescribeKeyResponse reply;
    kms__v1__describe_key_response__init(&reply);
    reply.key_metadata = &from;
    FAULTS_EACH () {
        void *result = NULL;
        kms_err err = kms_take_described_key(&reply.base, &result, NULL);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        const struct kms_key_metadata *m = result;
        if (m != NULL) {
            CU_ASSERT_STRING_EQUAL(m->key_id, "id");
            CU_ASSERT_STRING_EQUAL(m->description, "");
            CU_ASSERT_EQUAL(m->state, KMS_KEY_DISABLED);
            CU_ASSERT_EQUAL(m->protection_level, KMS_PROTECTION_SOFTWARE);
            CU_ASSERT_STRING_EQUAL(m->key_spec, "SYMMETRIC_DEFAULT");
            CU_ASSERT_STRING_EQUAL(m->key_usage, "UNKNOWN");
            CU_ASSERT_EQUAL(m->alias_count, 2);
            CU_ASSERT_STRING_EQUAL(m->aliases[1], "alias/b");
            CU_ASSERT_EQUAL(m->versions[0].root_id, 5);
        }
        kms_key_metadata_free(result);
    }
}

static void metadata_that_is_missing(void)
{
    Kms__V1__CreateKeyResponse reply;
    kms__v1__create_key_response__init(&reply);
    void *result = NULL;
    KMS_ASSERT_CODE(kms_take_created_key(&reply.base, &result, NULL), INTERNAL);
    CU_ASSERT_PTR_NULL(result);
}

static void lists(void)
{
    Kms__V1__KeyListEntry key;
    kms__v1__key_list_entry__init(&key);
    key.key_arn = kms_borrow_text("arn");
    Kms__V1__KeyListEntry *keys[] = {&key, &key};
    Kms__V1__ListKeysResponse reply;
    kms__v1__list_keys_response__init(&reply);
    reply.n_keys = 2;
    reply.keys = keys;
    reply.truncated = true;
    reply.next_marker = kms_borrow_text("more");
    Kms__V1__AliasListEntry alias;
    kms__v1__alias_list_entry__init(&alias);
    alias.alias_name = kms_borrow_text("alias/a");
    Kms__V1__AliasListEntry *aliases[] = {&alias};
    Kms__V1__ListAliasesResponse alias_reply;
    kms__v1__list_aliases_response__init(&alias_reply);
    alias_reply.n_aliases = 1;
    alias_reply.aliases = aliases;
    FAULTS_EACH () {
        void *key_result = NULL, *alias_result = NULL;
        kms_err key_err = kms_take_key_list(&reply.base, &key_result, NULL);
        kms_err alias_err = kms_take_alias_list(&alias_reply.base, &alias_result, NULL);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(key_err) || kms_failed(alias_err), faults_hit());
        const struct kms_key_list *list = key_result;
        if (list != NULL)
            CU_ASSERT(list->count == 2 && list->truncated && strcmp(list->next_marker, "more") == 0);
        const struct kms_alias_list *names = alias_result;
        if (names != NULL) CU_ASSERT(names->count == 1 && strcmp(names->aliases[0].alias, "alias/a") == 0);
        kms_key_list_free(key_result);
        kms_alias_list_free(alias_result);
    }
}

KMS_TEST_MAIN("client/lib/take_keys", {"metadata", metadata},
              {"metadata that is missing", metadata_that_is_missing}, {"lists", lists})
