/* Which variables the child gets and from where: inherited ones first, then each env file over them. */
#include "client/kms-env/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/ciphertext.h"
#include "client/kms-env/bind.h"
#include "client/kms-env/guard.h"

static char nested[] = "KMS_ENV=1"; /* tells the child that it was started by kms-env */

bool kms_env_names_have(struct kms_env_names names, struct kms_bytes name)
{
    for (size_t i = 0; i < names.count; i++)
        if (kms_bytes_equal(names.names[i], name)) return true;
    return names.count == 0;
}

enum kms_env_kind kms_env_kind_of(struct kms_bytes value)
{
    if (kms_ciphertext_is_text(value)) return KMS_ENV_KIND_CIPHERTEXT;
    return kms_env_reference_is(value) ? KMS_ENV_KIND_REFERENCE : KMS_ENV_KIND_PLAIN;
}

const char *kms_env_kind_name(enum kms_env_kind kind)
{
    static const char *const names[] = {[KMS_ENV_KIND_PLAIN] = "plain",
                                        [KMS_ENV_KIND_CIPHERTEXT] = "ciphertext",
                                        [KMS_ENV_KIND_REFERENCE] = "reference"};
    return names[kind];
}

static kms_err add(kms_env_plan *plan, struct kms_env_variable variable)
{
    if (plan->count == plan->cap) {
        size_t cap = plan->cap == 0 ? 64 : 2 * plan->cap;
        struct kms_env_variable *variables = reallocarray(plan->variables, cap, sizeof *variables);
        if (variables == NULL) return KMS_FAIL(NO_MEMORY);
        plan->variables = variables;
        plan->cap = cap;
    }
    plan->variables[plan->count++] = variable;
    return KMS_OK;
}

static struct kms_env_variable *find(const kms_env_plan *plan, struct kms_bytes name)
{
    for (size_t i = 0; i < plan->count; i++)
        if (kms_bytes_equal(plan->variables[i].name, name)) return &plan->variables[i];
    return NULL;
}

/* An environment may name a variable twice; what is overwritten is overwritten everywhere. */
static void remove_all(kms_env_plan *plan, struct kms_bytes name)
{
    size_t kept = 0;
    for (size_t i = 0; i < plan->count; i++)
        if (!kms_bytes_equal(plan->variables[i].name, name)) plan->variables[kept++] = plan->variables[i];
    plan->count = kept;
}

static struct kms_env_variable split(char *string)
{
    const char *equals = strchr(string, '=');
    size_t len = equals != NULL ? (size_t)(equals - string) : strlen(string);
    return (struct kms_env_variable){
        .name = kms_bytes_of(string, len),
        .value = equals != NULL ? kms_bytes_text(equals + 1) : kms_bytes_of(NULL, 0),
        .inherited = string,
    };
}

static kms_err inherit(kms_env_plan *plan)
{
    const struct kms_env_options *options = plan->options;
    for (char *const *at = plan->inherited; *at != NULL; at++) {
        struct kms_env_variable variable = split(*at);
        bool setting = kms_env_name_is_setting(variable.name) && !options->keep_settings;
        if (setting || kms_bytes_equal(variable.name, kms_bytes_text("KMS_ENV"))) continue;
        if (kms_env_names_have(options->only, variable.name)) variable.kind = kms_env_kind_of(variable.value);
        if (options->pristine && variable.kind == KMS_ENV_KIND_PLAIN) continue;
        variable.app = kms_env_app(options->app, kms_bytes_of(NULL, 0), options->fallback_app);
        KMS_TRY(add(plan, variable));
    }
    return KMS_OK;
}

/* NAME alone in a file keeps the inherited variable where it would have been dropped. */
static kms_err keep_inherited(kms_env_plan *plan, struct kms_bytes name)
{
    if (find(plan, name) != NULL) return KMS_OK;
    for (char *const *at = plan->inherited; *at != NULL; at++) {
        struct kms_env_variable variable = split(*at);
        if (kms_bytes_equal(variable.name, name)) return add(plan, variable);
    }
    return KMS_OK;
}

static kms_err note_overwrite(const struct kms_env_variable *old, const struct kms_env_variable *new,
                              kms_buf *notes)
{
    KMS_TRY(kms_buf_print(notes, "warning: %s:%u: %.*s overwrites ", new->file, new->line, (int)new->name.len,
                          (const char *)new->name.ptr));
    if (old->file == NULL) return kms_buf_print(notes, "the inherited value\n");
    return kms_buf_print(notes, "%s:%u\n", old->file, old->line);
}

static kms_err take_entry(kms_env_plan *plan, const struct kms_env_input *input,
                          const struct kms_dotenv_entry *entry, kms_buf *notes)
{
    if (!kms_env_names_have(plan->options->only, entry->name)) return KMS_OK;
    if (!entry->assigned) return keep_inherited(plan, entry->name);
    struct kms_env_variable variable = {.name = entry->name,
                                        .value = entry->value,
                                        .app = kms_env_app(plan->options->app,
                                                           kms_dotenv_header(input->document)->app,
                                                           plan->options->fallback_app),
                                        .file = input->path,
                                        .line = entry->line,
                                        .kind = kms_env_kind_of(entry->value)};
    const struct kms_env_variable *old = find(plan, entry->name);
    if (old != NULL && old->file == NULL && plan->options->no_overwrite) return KMS_OK;
    if (old != NULL) {
        KMS_TRY(note_overwrite(old, &variable, notes));
        remove_all(plan, entry->name);
    }
    return add(plan, variable);
}

static kms_err take_inputs(kms_env_plan *plan, const struct kms_env_input *inputs, size_t count,
                           kms_buf *notes)
{
    for (size_t i = 0; i < count; i++)
        for (size_t e = 0; e < kms_dotenv_count(inputs[i].document); e++)
            KMS_TRY(take_entry(plan, &inputs[i], kms_dotenv_entry(inputs[i].document, e), notes));
    return KMS_OK;
}

/* Guards what is set from a file or had from the service; what the caller had anyway is his. */
static kms_err check_names(const kms_env_plan *plan, kms_buf *notes, struct kms_why *why)
{
    size_t refused = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct kms_env_variable *v = &plan->variables[i];
        if (v->file == NULL && v->kind == KMS_ENV_KIND_PLAIN) continue;
        const bool valid = kms_dotenv_name_valid(v->name);
        if (valid && (plan->options->unsafe_names || !kms_env_name_guarded(v->name))) continue;
        KMS_TRY(kms_buf_print(notes, "%.*s: %s\n", (int)v->name.len, (const char *)v->name.ptr,
                              valid ? "refused without --unsafe-names: it can make a program run other code"
                                    : "not a valid name"));
        refused++;
    }
    if (refused == 0) return KMS_OK;
    kms_why_set(why, "%zu name%s refused: nothing was started", refused, refused == 1 ? " is" : "s are");
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err check_only(const kms_env_plan *plan, struct kms_why *why)
{
    const struct kms_env_names only = plan->options->only;
    for (size_t i = 0; i < only.count && !plan->options->allow_missing; i++) {
        if (find(plan, only.names[i]) != NULL) continue;
        kms_why_set(why, "--only names %.*s, which nothing sets (--allow-missing starts without it)",
                    (int)only.names[i].len, (const char *)only.names[i].ptr);
        return KMS_FAIL(NOT_FOUND);
    }
    return KMS_OK;
}

kms_err kms_env_plan_new(struct kms_env_sources sources, const struct kms_env_options *options,
                         kms_env_plan **ret_plan, kms_buf *notes, struct kms_why *why)
{
    KMS_OWN(kms_env_plan) plan = calloc(1, sizeof *plan);
    if (plan == NULL) return KMS_FAIL(NO_MEMORY);
    plan->options = options;
    plan->inherited = sources.environment;
    KMS_TRY(inherit(plan));
    KMS_TRY(take_inputs(plan, sources.inputs, sources.input_count, notes));
    KMS_TRY(check_names(plan, notes, why));
    KMS_TRY(check_only(plan, why));
    *ret_plan = KMS_GIVE(plan);
    return KMS_OK;
}

void kms_env_plan_free(kms_env_plan *plan)
{
    if (plan == NULL) return;
    for (size_t i = 0; i < plan->count; i++)
        kms_locked_free(plan->variables[i].string, plan->variables[i].string_bytes);
    free(plan->variables);
    kms_env_fetches_free(plan->fetches);
    free(plan->environment);
    free(plan);
}

void kms_env_plan_drop(kms_env_plan **plan)
{
    kms_env_plan_free(*plan);
}

size_t kms_env_plan_count(const kms_env_plan *plan)
{
    return plan->count;
}

const struct kms_env_variable *kms_env_plan_variable(const kms_env_plan *plan, size_t index)
{
    return &plan->variables[index];
}

bool kms_env_plan_has_roles(const kms_env_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->variables[i].kind == KMS_ENV_KIND_REFERENCE &&
            kms_env_reference_is_role(plan->variables[i].value))
            return true;
    return false;
}

kms_err kms_env_plan_environment(kms_env_plan *plan, char *const **ret_environment)
{
    char **environment = calloc(plan->count + 2, sizeof *environment);
    if (environment == NULL) return KMS_FAIL(NO_MEMORY);
    size_t at = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct kms_env_variable *v = &plan->variables[i];
        char *string = v->string != NULL ? v->string : v->inherited;
        if (string != NULL) environment[at++] = string;
    }
    environment[at] = nested;
    free(plan->environment);
    plan->environment = environment;
    *ret_environment = environment;
    return KMS_OK;
}
