/* kms-env run --dry-run: what would be set, without values. */
#include <jansson.h>
#include <stdio.h>

#include "client/kms-env/run.h"
#include "client/kms-env/say.h"

static const char *origin_of(const struct kms_env_variable *v)
{
    return v->file != NULL ? v->file : "inherited";
}

static void print_text(const kms_env_plan *plan)
{
    for (size_t i = 0; i < kms_env_plan_count(plan); i++) {
        const struct kms_env_variable *v = kms_env_plan_variable(plan, i);
        if (v->file == NULL && v->kind == KMS_ENV_KIND_PLAIN) continue;
        printf("%.*s\t%s\t%s", (int)v->name.len, (const char *)v->name.ptr, kms_env_kind_name(v->kind),
               origin_of(v));
        if (v->file != NULL) printf(":%u", v->line);
        putchar('\n');
    }
}

static json_t *to_json(const struct kms_env_variable *v)
{
    const bool ciphertext = v->kind == KMS_ENV_KIND_CIPHERTEXT;
    json_t *row = json_pack("{s:s%,s:s,s:b}", "name", v->name.ptr, v->name.len, "kind",
                            kms_env_kind_name(v->kind), "ciphertext", ciphertext);
    if (row == NULL) return NULL;
    if (ciphertext) json_object_set_new(row, "app", json_stringn((const char *)v->app.ptr, v->app.len));
    if (v->file == NULL) return row;
    json_object_set_new(row, "file", json_string(v->file));
    json_object_set_new(row, "line", json_integer(v->line));
    return row;
}

static kms_err print_json(const kms_env_plan *plan)
{
    json_t *list = json_array();
    bool good = list != NULL;
    for (size_t i = 0; good && i < kms_env_plan_count(plan); i++) {
        const struct kms_env_variable *v = kms_env_plan_variable(plan, i);
        if (v->file != NULL || v->kind != KMS_ENV_KIND_PLAIN)
            good = json_array_append_new(list, to_json(v)) == 0;
    }
    json_t *whole = good ? json_pack("{s:O}", "variables", list) : NULL;
    good = whole != NULL && json_dumpf(whole, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(whole);
    json_decref(list);
    return good ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

int kms_env_run_list(const struct kms_env_run *run, const kms_env_plan *plan)
{
    struct kms_why why = {0};
    kms_err err = KMS_OK;
    if (run->arguments.json)
        err = print_json(plan);
    else
        print_text(plan);
    if (kms_failed(err)) kms_env_say_error(err, &why);
    return !kms_failed(err) && kms_env_output_done() ? 0 : KMS_ENV_EXIT_FAILED;
}
