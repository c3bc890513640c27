/*
 * One run of kmsctl: what was asked for, the connection, what went wrong; and the table of commands. A
 * command fills nothing but the error and prints its own output. Not thread-safe: one run, one thread.
 */
#ifndef KMS_CLIENT_KMSCTL_CTL_H
#define KMS_CLIENT_KMSCTL_CTL_H

#include <kms/client.h>

#include "base/bytes.h"
#include "client/lib/contexts.h"

/* Exit status; kmsctl(1) documents them. */
enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1,
    CTL_USAGE = 2,
    CTL_DENIED = 3,
    CTL_NOT_FOUND = 4,
    CTL_UNAVAILABLE = 5,
    CTL_INTEGRITY = 6, /* a checksum, a signature, a MAC or the audit log is not as it was made */
    CTL_WAITS = 7,     /* for the approval of others */
};

enum ctl_option {
#define KMSCTL_OPTION(symbol, name, key, arg, kind, member, help) CTL_OPT_##symbol,
#include "client/kmsctl/options.def"
#undef KMSCTL_OPTION
    CTL_OPT_COUNT,
    CTL_OPT_GLOBAL_END = CTL_OPT_ALIAS, /* those before it are global */
};

enum { CTL_LIST_MAX = 64, CTL_ARGUMENTS_MAX = 2, CTL_COMMAND_OPTIONS = 20 };

struct ctl_texts {
    const char *items[CTL_LIST_MAX];
    size_t count;
};

/* The arguments of a command that takes any number of them ("PATH..."); NULL behind the last. */
struct ctl_rest {
    char *const *items;
    size_t count;
};

struct ctl;

/* One row of the table: `kmsctl GROUP VERB`, or `kmsctl VERB` when group is NULL. */
struct ctl_command {
    const char *group, *verb;
    const char *arguments; /* "KEY", "[FILE]", ...: as many words as there are arguments */
    const char *summary;   /* starts lower-case, no full stop */
    enum ctl_option options[CTL_COMMAND_OPTIONS]; /* besides -o and --timeout; ends at CTL_OPT_CONFIG */
    bool (*run)(struct ctl *ctl);                 /* false: ctl->error says why */
    bool hidden;                                  /* not in help */
};
extern const struct ctl_command ctl_commands[];
extern const size_t ctl_command_count;

struct ctl {
    const char *config, *context_name, *endpoint, *ca, *cert, *key_file, *server_name, *timeout, *output;
    const char *correlation_id;
    const char *alias, *policy, *description, *protection, *key, *to, *in, *out, *spec, *dir, *instance,
        *head, *anchor, *key_spec, *key_usage, *origin, *algorithm, *proof;
    bool archived;
    uint32_t max_unsigned; /* 0: not given */
    struct ctl_texts admins, users, pairs, to_pairs, tags;
    const char *alias_prefix;
    uint32_t days, version, revision; /* 0: not given */
    bool force;
    const char *by, *svg, *operation, *outcome, *kind, *request_id, *correlated, *protocol; /* audit */
    const char *principal, *action, *expect, *cases, *since, *until;
    struct ctl_texts inputs;
    bool remote;
    bool service;
    const char *secret;           /* policy replay */
    uint32_t bytes, limit, lines; /* 0: not given */
    bool bypass, base64, show, without_plaintext, follow, digest, der;
    const char *oaep_label;
    const char *wrapping, *import_token; /* import */
    bool new_material;
    const char *grantee, *retiring, *name, *expires; /* grant */
    struct ctl_texts subset, operations, grant_tokens;
    struct ctl_texts approvers;
    uint32_t required; /* of them; 0: not given */
    const struct ctl_command *command;
    const char *arguments[CTL_ARGUMENTS_MAX]; /* NULL: not given */
    struct ctl_texts words;                   /* of `completion words` */
    struct ctl_rest rest;                     /* of `reencrypt` */
    const char *app, *dialect;
    const char *stage, *version_id, *from, *token, *rotator, *schedule, *window, *prefix,
        *exclude; /* secret */
    struct ctl_texts stages;
    uint32_t password_length; /* 0: not given */
    bool binary, no_value, now, later, revoke_previous, no_numbers, no_punctuation, no_uppercase,
        no_lowercase, space, not_each_type;
    uint32_t max_bytes; /* 0: not given */
    bool all, dry_run, no_context;
    const char *database, *default_ttl, *max_ttl, *ttl, *wait; /* database-role, lease */
    struct ctl_texts creation, creation_sql, renewal, renewal_sql, revocation, revocation_sql;
    bool prometheus;                              /* metrics */
    const char *sealing_cert, *scope, *namespace; /* seal */
    struct ctl_texts sealing_keys;
    bool raw;
    const char *offset, *length; /* file */
    uint32_t chunk_bytes;        /* 0: not given */

    struct kmsctl_contexts contexts;      /* read when first needed */
    const struct kmsctl_context *context; /* NULL: none */
    bool contexts_read;
    kms_client *client; /* opened when first needed */
    struct kms_error error;
    bool usage;           /* the error is one of the command line */
    bool answers;         /* exit status 1 is an answer, so what fails ends with 2 or more */
    enum ctl_exit answer; /* exit status of a command that succeeded, where it has several */
};

void ctl_close(struct ctl *ctl);

/* All answer false. Our own errors, in words; and a command line that makes no sense. */
bool ctl_fail(struct ctl *ctl, kms_err err, const struct kms_why *why);
__attribute__((format(printf, 2, 3))) bool ctl_fail_usage(struct ctl *ctl, const char *format, ...);
/* Puts where it went wrong in front of an error that is there: "PLACE: ". */
__attribute__((format(printf, 2, 3))) bool ctl_fail_at(struct ctl *ctl, const char *format, ...);
/* "kmsctl: REASON: message" and a hint, to standard error. Tells the exit status. */
enum ctl_exit ctl_report(const struct ctl *ctl);
/* The exit status of an error, and the next step for whoever sees it (NULL: none), which depends on the
 * first word of the command (NULL: none). */
enum ctl_exit ctl_exit_of(const struct kms_error *error);
const char *ctl_hint_of(const struct kms_error *error, const char *command);

/* The context of this run, once. None is fine when --endpoint says enough. */
bool ctl_read_context(struct ctl *ctl);
/* The client of this run, opened when first asked for; NULL: ctl->error says why. */
kms_client *ctl_client(struct ctl *ctl);

/* Where the audit log is: --dir, else the folder of the context. NULL: ctl->error says why. */
const char *ctl_audit_dir(struct ctl *ctl);

/* What goes with every use of a key: the grant tokens of the command line. */
struct kms_call_options ctl_call_options(const struct ctl *ctl);

/* Parses the command line. On --help, --version and mistakes it ends the program (exit status 2
 * for the last). */
void ctl_parse(struct ctl *ctl, int argc, char **argv);

#endif
