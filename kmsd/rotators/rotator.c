/* Rotators by name, and the one that needs nothing but random numbers. */
#include "kmsd/rotators/rotator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/rotators/internal.h"
#include "kmsd/rotators/value.h"

struct kms_rotators {
    const struct kmsd_conf *conf;
    kms_runner *runner;
};

static kms_err (*const types[])(const struct kms_rotator_call *call) = {
    [KMSD_ROTATOR_RANDOM] = kms_rotator_random,
    [KMSD_ROTATOR_POSTGRESQL] = kms_rotator_postgres,
    [KMSD_ROTATOR_POSTGRESQL_ALTERNATING] = kms_rotator_postgres,
    [KMSD_ROTATOR_PROGRAM] = kms_rotator_program,
};

struct kms_password_rules kms_rotator_rules(const struct kmsd_conf_rotator *conf)
{
    return (struct kms_password_rules){
        .length = conf->length,
        .alphabet = kms_bytes_text(conf->alphabet),
        .exclude_characters = kms_bytes_text(conf->exclude_characters),
        .exclude_numbers = conf->exclude_numbers,
        .exclude_punctuation = conf->exclude_punctuation,
        .exclude_uppercase = conf->exclude_uppercase,
        .exclude_lowercase = conf->exclude_lowercase,
        .include_space = conf->include_space,
        .require_each_included_type = conf->require_each_included_type,
    };
}

kms_err kms_rotators_new(const struct kmsd_conf *conf, kms_runner *runner, kms_rotators **ret_rotators,
                         struct kms_why *why)
{
    for (size_t i = 0; i < conf->rotators_count; i++) {
        struct kms_why cause = {{0}};
        struct kms_password_rules rules = kms_rotator_rules(&conf->rotators[i]);
        if (!kms_failed(kms_password_check(&rules, &cause))) continue;
        kms_why_set(why, "rotator %s: %s", conf->rotators[i].name, cause.text);
        return KMS_FAIL(CONFIG_INVALID);
    }
    kms_rotators *rotators = calloc(1, sizeof *rotators);
    if (rotators == NULL) return KMS_FAIL(NO_MEMORY);
    *rotators = (kms_rotators){conf, runner};
    *ret_rotators = rotators;
    return KMS_OK;
}

void kms_rotators_free(kms_rotators *rotators)
{
    free(rotators);
}

void kms_rotators_drop(kms_rotators **rotators)
{
    kms_rotators_free(*rotators);
}

const struct kmsd_conf_rotator *kms_rotators_find(const kms_rotators *rotators, const char *name)
{
    for (size_t i = 0; i < rotators->conf->rotators_count; i++)
        if (strcmp(rotators->conf->rotators[i].name, name) == 0) return &rotators->conf->rotators[i];
    return NULL;
}

const struct kmsd_conf_database *kms_rotators_database(const kms_rotators *rotators, const char *name)
{
    for (size_t i = 0; i < rotators->conf->databases_count; i++)
        if (strcmp(rotators->conf->databases[i].name, name) == 0) return &rotators->conf->databases[i];
    return NULL;
}

const char *kms_rotators_admin_secret(const kms_rotators *rotators, const char *name)
{
    const struct kmsd_conf_rotator *r = kms_rotators_find(rotators, name);
    if (r == NULL) return NULL;
    return r->type == KMSD_ROTATOR_POSTGRESQL_ALTERNATING
               ? kms_rotators_database(rotators, r->database)->admin_secret
               : "";
}

bool kms_rotators_administers(const kms_rotators *rotators, const char *secret_name)
{
    const struct kms_bytes name = kms_bytes_text(secret_name);
    for (size_t i = 0; i < rotators->conf->databases_count; i++)
        if (kms_bytes_equal(kms_bytes_text(rotators->conf->databases[i].admin_secret), name)) return true;
    return false;
}

const char *kms_rotation_step_name(enum kms_rotation_step step)
{
    static const char *const names[] = {"createSecret", "setSecret",    "testSecret",
                                        "finishSecret", "revertSecret", "revokePrevious"};
    return names[step];
}

kms_err kms_rotator_refuse(const struct kms_rotator_call *call, const char *cause)
{
    kms_why_set(call->why, "%s", cause);
    return KMS_FAIL(VALUE_NOT_ROTATABLE);
}

/* Who, in which step: the words of the room below say what. */
static kms_err tell(const struct kms_rotator_call *call, kms_err err, const struct kms_why *cause)
{
    if (kms_failed(err))
        kms_why_set(call->why, "rotator %s, %s: %s", call->conf->name, kms_rotation_step_name(call->step),
                    cause->text[0] != '\0' ? cause->text : kms_err_text(err));
    return err;
}

kms_err kms_rotator_step(const kms_rotators *rotators, const char *name, enum kms_rotation_step step,
                         struct kms_rotation *rotation, struct kms_why *why)
{
    struct kms_why cause = {{0}};
    const struct kmsd_conf_rotator *conf = kms_rotators_find(rotators, name);
    rotation->created = NULL;
    rotation->said[0] = '\0';
    if (conf == NULL) {
        kms_why_set(why, "no rotator %.63s", name);
        return KMS_FAIL(ROTATOR_UNKNOWN);
    }
    struct kms_rotator_call call = {
        .conf = conf,
        .item = (size_t)(conf - rotators->conf->rotators),
        .database = conf->database[0] != '\0' ? kms_rotators_database(rotators, conf->database) : NULL,
        .runner = rotators->runner,
        .step = step,
        .rotation = rotation,
        .why = &cause,
    };
    bool made = step == KMS_ROTATION_CREATE && rotation->pending.bytes.ptr != NULL;
    kms_err err = made ? KMS_OK : types[conf->type](&call);
    call.why = why;
    return tell(&call, err, &cause);
}

/* A new value, or the current one with one member changed. */
static kms_err create_random(const struct kms_rotator_call *call)
{
    const struct kms_rotation_value *current = &call->rotation->current;
    const char *field = call->conf->field;
    struct kms_password_rules rules = kms_rotator_rules(call->conf);
    KMS_OWN(kms_secret) fresh = NULL;
    KMS_TRY(kms_password_new(&rules, &fresh, call->why));
    if (field[0] == '\0' || current->binary || !kms_value_is_object(current->bytes)) {
        call->rotation->created = KMS_GIVE(fresh);
        return KMS_OK;
    }
    struct kms_bytes password = kms_bytes_of(kms_secret_data(fresh), kms_secret_len(fresh));
    kms_err err = kms_value_replace(current->bytes, field, password, &call->rotation->created);
    if (!kms_is(err, KMS_E_INVALID_ARGUMENT)) return err;
    kms_why_set(call->why, "the value is a JSON object without the one member %.63s", field);
    return KMS_FAIL(VALUE_NOT_ROTATABLE);
}

kms_err kms_rotator_random(const struct kms_rotator_call *call)
{
    bool pending = call->rotation->pending.bytes.ptr != NULL;
    call->rotation->created_binary = false;
    if (call->step == KMS_ROTATION_CREATE) return create_random(call);
    bool needed = call->step <= KMS_ROTATION_FINISH;
    return needed && !pending ? kms_rotator_refuse(call, "there is no pending value") : KMS_OK;
}
