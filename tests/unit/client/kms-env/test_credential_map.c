/* Who gets what, and which lists are refused. */
#include "client/kms-env/credential_map.h"

#include <stdio.h>

#include "tests/harness/suite.h"

static const char *write_file(const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/credentials.yaml", kms_temp_dir());
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static const char *secret_of(const struct kms_env_credentials *map, const char *unit, const char *credential)
{
    const struct kms_env_credential_name name = {kms_bytes_text(unit), kms_bytes_text(credential)};
    const struct kms_env_credential *found = kms_env_credential_map_find(map, &name);
    return found != NULL ? found->secret : "none";
}

static void the_closest_entry_counts(void)
{
    struct kms_env_credentials map;
    KMS_ASSERT_OK_FATAL(kms_env_credential_map_load(
        write_file("retry: 3s\ncredentials:\n"
                   "- {unit: 'app@*', credential: p, secret: 'kms-secret://all'}\n"
                   "- {unit: 'app@blue*', credential: p, secret: 'kms-secret://blue#p'}\n"
                   "- {unit: app@blue.service, credential: p, secret: 'kms-secret://one?stage=AWSPREVIOUS'}\n"
                   "- {unit: db.service, credential: q, secret: 'kms-secret://q'}\n"),
        &map, NULL));
    CU_ASSERT_EQUAL(map.retry_ms, 3000);
    CU_ASSERT_EQUAL(map.connections, 64);
    CU_ASSERT_STRING_EQUAL(secret_of(&map, "app@red.service", "p"), "kms-secret://all");
    CU_ASSERT_STRING_EQUAL(secret_of(&map, "app@", "p"), "kms-secret://all");
    CU_ASSERT_STRING_EQUAL(secret_of(&map, "app@blue2.service", "p"), "kms-secret://blue#p");
    CU_ASSERT_STRING_EQUAL(secret_of(&map, "app@blue.service", "p"), "kms-secret://one?stage=AWSPREVIOUS");
    CU_ASSERT_STRING_EQUAL(secret_of(&map, "db.service", "q"), "kms-secret://q");
    CU_ASSERT_STRING_EQUAL(secret_of(&map, "db.service", "p"), "none");
    CU_ASSERT_STRING_EQUAL(secret_of(&map, "db.servic", "q"), "none");
    CU_ASSERT_STRING_EQUAL(secret_of(&map, "db.service2", "q"), "none");
    CU_ASSERT_STRING_EQUAL(secret_of(&map, "app.service", "p"), "none");
    kms_env_credential_map_free(&map);
}

static void wrong_lists_say_where(void)
{
    static const struct {
        const char *entry, *words;
    } rows[] = {
        {"{unit: '*', credential: p, secret: 'kms-secret://a'}", "entry 2 of credentials: unit is a name"},
        {"{unit: 'a*b', credential: p, secret: 'kms-secret://a'}", "entry 2 of credentials: unit is a name"},
        {"{unit: 'a**', credential: p, secret: 'kms-secret://a'}", "entry 2 of credentials: unit is a name"},
        {"{unit: a/b, credential: p, secret: 'kms-secret://a'}", "entry 2 of credentials: unit is a name"},
        {"{unit: b, credential: '*', secret: 'kms-secret://a'}", "entry 2 of credentials: credential has"},
        {"{unit: b, credential: '..', secret: 'kms-secret://a'}", "entry 2 of credentials: credential has"},
        {"{unit: b, credential: p, secret: 'a'}", "entry 2 of credentials: column 1 of the reference"},
        {"{unit: b, credential: p, secret: 'kms-secret://../a'}", "column 14 of the reference"},
        {"{unit: b, credential: p, secret: 'kms-db://ro#password'}", "the lease of a database role"},
        {"{unit: a, credential: p, secret: 'kms-secret://b'}", "unit and credential are there twice"},
        {"{unit: b, credential: p}", "credentials"},
        {"{unit: b, credential: p, secret: 'kms-secret://a', more: x}", "more"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_env_credentials map;
        struct kms_why why = {0};
        char text[300];
        snprintf(text, sizeof text,
                 "credentials:\n- {unit: a, credential: p, secret: 'kms-secret://a'}\n- %s\n", rows[i].entry);
        KMS_ASSERT_CODE(kms_env_credential_map_load(write_file(text), &map, &why), CONFIG_INVALID);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "credentials.yaml"));
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, rows[i].words));
    }
    struct kms_env_credentials map;
    KMS_ASSERT_CODE(kms_env_credential_map_load("/nonexistent/file", &map, NULL), IO);
}

KMS_TEST_MAIN("client/kms-env/credential_map", {"the closest entry counts", the_closest_entry_counts},
              {"wrong lists say where", wrong_lists_say_where})
