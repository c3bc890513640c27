/* kms-env check: what is ciphertext, under which key, and what should be. */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "client/kms-env/command.h"
#include "client/kms-env/exec.h"
#include "client/kms-env/input.h"
#include "client/kms-env/inspect.h"
#include "client/kms-env/say.h"
#include "client/kms-env/service.h"

struct check {
    struct kms_env_arguments arguments;
    bool online, strict;
};

enum { OPT_ONLINE = 512, OPT_STRICT };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct check *check = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        kms_env_give_children(state, &check->arguments, kms_env_many_files_children);
        return 0;
    case OPT_ONLINE:
        check->online = true;
        return 0;
    case OPT_STRICT:
        check->strict = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: files are named by --env-file", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"online", OPT_ONLINE, NULL, 0,
     "Decrypt every ciphertext and fetch every secret too, and say how it went; values are not shown", 3},
    {"strict", OPT_STRICT, NULL, 0, "Every plain value is wrong, not only those that look like secrets", 3},
    {0},
};

static void print_text(const struct kms_env_finding *f)
{
    char key_id[KMS_ID_TEXT];
    printf("%s:", f->file != NULL ? f->file : "environment");
    if (f->file != NULL) printf("%u:", f->line);
    printf(" %.*s: %s", (int)f->name.len, (const char *)f->name.ptr, kms_env_state_name(f->state));
    if (f->state == KMS_ENV_CIPHERTEXT) {
        kms_id_text(&f->header.key_id, key_id);
        printf(", key %s version %u, %s", key_id, f->header.key_version,
               kms_env_algorithm_name(f->header.algorithm));
    }
    if (f->tried && f->wrong == NULL)
        fputs(f->state == KMS_ENV_REFERENCE ? ", can be had" : ", decrypts", stdout);
    if (f->wrong != NULL) printf(": WRONG: %s", f->wrong);
    if (f->reason[0] != '\0') printf(": %s", f->reason);
    if (f->wrong != NULL && f->detail.text[0] != '\0') printf(": %s", f->detail.text);
    putchar('\n');
}

static void add(json_t *row, const char *name, json_t *value)
{
    json_object_set_new(row, name, value);
}

static json_t *to_json(const struct kms_env_finding *f)
{
    json_t *row =
        json_pack("{s:s%,s:s}", "name", f->name.ptr, f->name.len, "state", kms_env_state_name(f->state));
    char key_id[KMS_ID_TEXT];
    if (row == NULL) return NULL;
    if (f->file != NULL) add(row, "file", json_string(f->file));
    if (f->file != NULL) add(row, "line", json_integer(f->line));
    if (f->state == KMS_ENV_CIPHERTEXT) {
        kms_id_text(&f->header.key_id, key_id);
        add(row, "key_id", json_string(key_id));
        add(row, "key_version", json_integer(f->header.key_version));
        add(row, "algorithm", json_string(kms_env_algorithm_name(f->header.algorithm)));
        add(row, "app", json_stringn((const char *)f->app.ptr, f->app.len));
    }
    if (f->tried)
        add(row, f->state == KMS_ENV_REFERENCE ? "available" : "decrypts",
            json_boolean(!kms_failed(f->outcome)));
    if (f->reason[0] != '\0') add(row, "reason", json_string(f->reason));
    if (f->wrong != NULL) add(row, "wrong", json_string(f->wrong));
    if (f->wrong != NULL && f->detail.text[0] != '\0') add(row, "detail", json_string(f->detail.text));
    return row;
}

static kms_err print_json(const kms_env_report *report)
{
    json_t *list = json_array();
    bool good = list != NULL;
    for (size_t i = 0; good && i < report->count; i++)
        good = json_array_append_new(list, to_json(&report->findings[i])) == 0;
    json_t *whole =
        good ? json_pack("{s:O,s:I}", "values", list, "wrong", (json_int_t)kms_env_report_wrong(report))
             : NULL;
    good = whole != NULL && json_dumpf(whole, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(whole);
    json_decref(list);
    return good ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err print(const struct check *check, const kms_env_report *report)
{
    if (check->arguments.json) return print_json(report);
    for (size_t i = 0; i < report->count; i++) print_text(&report->findings[i]);
    return KMS_OK;
}

static kms_err run(const struct check *check, size_t *ret_wrong, struct kms_why *why)
{
    const struct kms_env_arguments *arguments = &check->arguments;
    const struct kms_env_inspect_options how = {.app = arguments->app,
                                                .fallback_app = arguments->fallback_app,
                                                .key = arguments->key,
                                                .only = arguments->only,
                                                .strict = check->strict};
    KMS_OWN_INPUTS inputs = {0};
    KMS_OWN_REPORT report = {0};
    KMS_OWN(kms_env_service) service = NULL;
    KMS_TRY(kms_env_inputs_read(arguments, false, &inputs, why));
    KMS_TRY(kms_env_inspect(inputs.count == 0 ? environ : NULL, inputs.inputs, inputs.count, &how, &report));
    KMS_TRY(kms_env_service_new(&arguments->settings, &service));
    if (check->online)
        KMS_TRY(kms_env_inspect_online(&report, &how, kms_env_service_providers(service), why));
    KMS_TRY(print(check, &report));
    *ret_wrong = kms_env_report_wrong(&report);
    return KMS_OK;
}

int kms_env_command_check(int argc, char **argv)
{
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Say what the values of env files are, or without any those of the environment.",
        .children = kms_env_many_files_children};
    struct check check = {0};
    struct kms_env_shield shield;
    struct kms_why why = {0};
    size_t wrong = 0;
    kms_env_arguments_from_environment(&check.arguments);
    if (argp_parse(&argp, argc, argv, 0, NULL, &check) != 0) return KMS_ENV_EXIT_FAILED;
    kms_err err = kms_env_shield_up(&shield, &why);
    if (!kms_failed(err)) {
        err = run(&check, &wrong, &why);
        kms_env_shield_down(&shield);
    }
    if (kms_failed(err)) kms_env_say_error(err, &why);
    if (kms_failed(err) || !kms_env_output_done()) return KMS_ENV_EXIT_FAILED;
    return wrong > 0 ? KMS_ENV_EXIT_FOUND : 0;
}
