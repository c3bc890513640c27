/* What must hold of databases and rotators beyond the range of each option. */
#include <string.h>

#include "kmsd/conf/conf.h"

struct check {
    const char *path, *list; /* of the file; "databases" or "rotators" */
    size_t item;
    struct kms_why *why;
};

static kms_err refuse(const struct check *c, const char *option, const char *cause)
{
    kms_why_set(c->why, "%s: option '%s[%zu].%s': %s", c->path, c->list, c->item, option, cause);
    return KMS_FAIL(CONFIG_INVALID);
}

static bool is_name(const char *text)
{
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    return text[strspn(text, signs)] == '\0';
}

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~') return false;
    return true;
}

static kms_err check_database(const struct check *c, const struct kmsd_conf *conf)
{
    const struct kmsd_conf_database *d = &conf->databases[c->item];
    bool verifies = d->sslmode == KMSD_SSL_VERIFY_FULL || d->sslmode == KMSD_SSL_VERIFY_CA;
    if (!is_name(d->name)) return refuse(c, "name", "a character that names do not have");
    for (size_t i = 0; i < c->item; i++)
        if (strcmp(conf->databases[i].name, d->name) == 0) return refuse(c, "name", "there twice");
    if (strchr(d->host, ',') != NULL) return refuse(c, "host", "one host, not several");
    if (strchr(d->hostaddr, ',') != NULL) return refuse(c, "hostaddr", "one address, not several");
    if (verifies && d->host[0] != '/' && d->sslrootcert[0] == '\0')
        return refuse(c, "sslrootcert", "missing; verify-full and verify-ca need it");
    return KMS_OK;
}

static const struct kmsd_conf_database *find_database(const struct kmsd_conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->databases_count; i++)
        if (strcmp(conf->databases[i].name, name) == 0) return &conf->databases[i];
    return NULL;
}

static kms_err check_database_of(const struct check *c, const struct kmsd_conf *conf)
{
    const struct kmsd_conf_rotator *r = &conf->rotators[c->item];
    const struct kmsd_conf_database *d = find_database(conf, r->database);
    bool alternating = r->type == KMSD_ROTATOR_POSTGRESQL_ALTERNATING;
    if (!alternating && r->type != KMSD_ROTATOR_POSTGRESQL)
        return r->database[0] == '\0' ? KMS_OK : refuse(c, "database", "this type uses none");
    if (r->database[0] == '\0') return refuse(c, "database", "missing; this type needs it");
    if (d == NULL) return refuse(c, "database", "no such item of databases");
    if (alternating && d->admin_secret[0] == '\0')
        return refuse(c, "database", "it has no admin_secret, which postgresql-alternating needs");
    return KMS_OK;
}

static kms_err check_target(const struct check *c, const struct kmsd_conf *conf)
{
    const struct kmsd_conf_rotator *r = &conf->rotators[c->item];
    bool program = r->type == KMSD_ROTATOR_PROGRAM;
    if (program && r->program[0] == '\0') return refuse(c, "program", "missing; type program needs it");
    if (!program && r->program[0] != '\0') return refuse(c, "program", "only type program runs one");
    if (!program && r->user[0] != '\0') return refuse(c, "user", "only type program runs as a user");
    return check_database_of(c, conf);
}

static kms_err check_rotator(const struct check *c, const struct kmsd_conf *conf)
{
    const struct kmsd_conf_rotator *r = &conf->rotators[c->item];
    if (!is_name(r->name)) return refuse(c, "name", "a character that names do not have");
    for (size_t i = 0; i < c->item; i++)
        if (strcmp(conf->rotators[i].name, r->name) == 0) return refuse(c, "name", "there twice");
    if (!is_printable(r->alphabet)) return refuse(c, "alphabet", "only printable ASCII");
    if (!is_printable(r->exclude_characters)) return refuse(c, "exclude_characters", "only printable ASCII");
    return check_target(c, conf);
}

kms_err kmsd_conf_check_rotators(const struct kmsd_conf *conf, const char *path, struct kms_why *why)
{
    for (size_t i = 0; i < conf->databases_count; i++) {
        const struct check c = {path, "databases", i, why};
        KMS_TRY(check_database(&c, conf));
    }
    for (size_t i = 0; i < conf->rotators_count; i++) {
        const struct check c = {path, "rotators", i, why};
        KMS_TRY(check_rotator(&c, conf));
    }
    return KMS_OK;
}
