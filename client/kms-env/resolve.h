/*
 * Decides the environment of the program that `kms-env run` starts: what is inherited, what env files set,
 * what is ciphertext and has to be decrypted, what refers to a secret and has to be fetched. Knows neither
 * files nor the service: both are handed in. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMS_ENV_RESOLVE_H
#define KMS_CLIENT_KMS_ENV_RESOLVE_H

#include "client/kms-env/dotenv.h"
#include "client/kms-env/fetch.h"
#include "client/kms-env/jobs.h"

enum {
    KMS_ENV_STRING_BYTES =
        128 * 1024, /* longest NAME=value with its NUL: Linux, MAX_ARG_STRLEN (execve(2)) */
};

struct kms_env_names {
    const struct kms_bytes *names; /* borrowed */
    size_t count;                  /* 0: all */
};

struct kms_env_options {
    const char *app;           /* --app; NULL: the file says */
    const char *fallback_app;  /* where no file says; never NULL */
    struct kms_env_names only; /* touch these alone */
    bool pristine;             /* nothing inherited but what was decrypted */
    bool no_overwrite;         /* inherited beats env files */
    bool allow_missing;        /* start without what cannot be had */
    bool unsafe_names;         /* no guard (guard.h) */
    bool keep_settings;        /* the child gets KMS_ENDPOINT and the like */
};

struct kms_env_input {
    const char *path;
    const kms_dotenv *document;
};

enum kms_env_kind { KMS_ENV_KIND_PLAIN, KMS_ENV_KIND_CIPHERTEXT, KMS_ENV_KIND_REFERENCE };
enum kms_env_kind kms_env_kind_of(struct kms_bytes value); /* what it claims to be */
const char *kms_env_kind_name(enum kms_env_kind kind);     /* "plain", "ciphertext", "reference" */

struct kms_env_variable {
    struct kms_bytes name, value; /* value as it was found */
    struct kms_bytes app;         /* that the ciphertext is bound to */
    const char *file;             /* NULL: inherited */
    unsigned line;
    enum kms_env_kind kind;             /* what is not plain, the service has the value of */
    bool asked;                         /* the service was, for its value: */
    size_t at;                          /* which of the jobs, or of the fetches */
    struct kms_env_reference reference; /* in value */
    char *inherited;                    /* passed on as it is; NULL: string */
    char *string;                       /* NAME=value, in locked memory */
    size_t string_bytes;
};

/* Where values come from; borrowed while the plan lives. */
struct kms_env_sources {
    char *const *environment; /* NULL-terminated */
    const struct kms_env_input *inputs;
    size_t input_count; /* later inputs win */
};

typedef struct kms_env_plan kms_env_plan;

/*
 * options is borrowed while the plan lives. Errors: INVALID_ARGUMENT (a guarded name), NOT_FOUND (a name of
 * only that nothing sets), NO_MEMORY. notes gets lines for standard error (what is overwritten, each refused
 * name) on success and on failure.
 */
KMS_MUST_USE kms_err kms_env_plan_new(struct kms_env_sources sources, const struct kms_env_options *options,
                                      kms_env_plan **ret_plan, kms_buf *notes, struct kms_why *why);
void kms_env_plan_free(kms_env_plan *plan); /* wipes; NULL is a no-op */
void kms_env_plan_drop(kms_env_plan **plan);

size_t kms_env_plan_count(const kms_env_plan *plan);
const struct kms_env_variable *kms_env_plan_variable(const kms_env_plan *plan, size_t index);
bool kms_env_plan_has_roles(const kms_env_plan *plan); /* a variable refers to a database role */

/* The service, or what tests put in its place. */
struct kms_env_providers {
    struct kms_env_decrypter decrypter;
    struct kms_env_fetcher fetcher;
};

/*
 * Decrypts what is ciphertext, fetches what is referred to (nothing is called when there is none) and builds
 * the strings of the child. key is the pin of ciphertext, or NULL. Either all values are there or the first
 * error is returned, and notes has a line for each that failed, with its name and the reason, never its
 * value. With allow_missing failed values are left out and noted. INVALID_ARGUMENT: NUL in a value, a
 * reference that is none; LIMIT_EXCEEDED: KMS_ENV_STRING_BYTES.
 */
KMS_MUST_USE kms_err kms_env_plan_resolve(kms_env_plan *plan, const char *key,
                                          struct kms_env_providers providers, kms_buf *notes,
                                          struct kms_why *why);
/* What the last resolve fetched, without the values; borrowed from the plan; NULL: it was not resolved. */
kms_env_fetches *kms_env_plan_fetches(const kms_env_plan *plan);

/* For execve, NULL-terminated: borrowed from the plan; KMS_ENV=1 is its last string. NO_MEMORY. */
KMS_MUST_USE kms_err kms_env_plan_environment(kms_env_plan *plan, char *const **ret_environment);

bool kms_env_names_have(struct kms_env_names names, struct kms_bytes name);

#endif
