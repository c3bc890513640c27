/* Errors as a user sees them: reason, words, the next step, and an exit status for scripts. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/kmsctl/ctl.h"

/* What a reason means for a script and for a person. Reasons that are not here go by their gRPC code. */
static const struct row {
    const char *reason;
    enum ctl_exit status;
    const char *hint;
} rows[] = {
    {"ACCESS_DENIED", CTL_DENIED,
     "policy decides: ask an administrator of the key, or for the service policy who runs kmsd"},
    {"PERMISSION_DENIED", CTL_DENIED, NULL},
    {"UNAUTHENTICATED", CTL_DENIED,
     "check the certificate (cert, key) of the context: `kmsctl context show`"},
    {"NOT_FOUND", CTL_NOT_FOUND, "kmsctl key list, alias list and context list show what there is"},
    {"KEY_DISABLED", CTL_FAILED, "an administrator of the key can enable it: `kmsctl key enable KEY`"},
    {"KEY_BUDGET_EXHAUSTED", CTL_FAILED, "give the key a new version: `kmsctl key rotate KEY`"},
    {"POLICY_NOT_SEPARATED", CTL_FAILED, "give administration and usage to different principals"},
    {"POLICY_LOCKOUT", CTL_FAILED, "allow yourself kms:PutKeyPolicy, or add --bypass-lockout-check"},
    {"APPROVAL_NEEDED", CTL_WAITS,
     "`kmsctl approval show ID` shows others what they would approve; when they have, run this command "
     "again"},
    {"APPROVAL_CLOSED", CTL_FAILED,
     "who asked for the change can ask again; `kmsctl approval list KEY` shows the open ones"},
    {"MALFORMED_POLICY", CTL_FAILED,
     "`kmsctl policy check FILE` finds mistakes of form before anything is sent"},
    {"ROOT_IN_USE", CTL_FAILED, "`kmsctl root status` shows what each generation wraps"},
    {"INVALID_CIPHERTEXT", CTL_FAILED,
     "give the same --context pairs, or the same label, as at encryption, and the whole ciphertext"},
    {"INVALID_SIGNATURE", CTL_INTEGRITY,
     "message, signature, key and algorithm must be those of the signing"},
    {"INVALID_MAC", CTL_INTEGRITY, "message, MAC, key and algorithm must be those of the making"},
    {"INVALID_KEY_USAGE", CTL_FAILED, "`kmsctl key describe KEY` shows what the key is for"},
    {"INCORRECT_KEY", CTL_FAILED, "leave --key out: the ciphertext names its key itself"},
    {"ALREADY_EXISTS", CTL_FAILED, "point the alias to another key with `kmsctl alias update`"},
    {"CHECKSUM_MISMATCH", CTL_INTEGRITY,
     "data changed on the way: repeat the command; if it happens again, check the machine"},
    {"CORRUPT", CTL_INTEGRITY, "keep the files as they are and tell your security officer"},
    {"DATA_LOSS", CTL_INTEGRITY, NULL},
    {"CONFIG_INVALID", CTL_USAGE, "kmsctl(1) describes the file of contexts and the options"},
    {"IO", CTL_FAILED, NULL},
    {"LIMIT_EXCEEDED", CTL_UNAVAILABLE,
     "where it is calls at once or in a second, wait a little and repeat the command"},
    {"HSM_UNAVAILABLE", CTL_UNAVAILABLE, "`kmsctl status` shows how many HSM workers are healthy"},
    {"AUDIT_UNAVAILABLE", CTL_UNAVAILABLE,
     "the server cannot write its audit log: look for a full disk there"},
    {"DEADLINE_EXCEEDED", CTL_UNAVAILABLE,
     "give it more time with --timeout, or see whether kmsd is overloaded"},
    {"ROTATOR_UNKNOWN", CTL_FAILED, "who runs kmsd declares rotators and databases in kmsd.yaml"},
    {"DATABASE_UNAVAILABLE", CTL_UNAVAILABLE,
     "repeat the command when the database answers; leases that are ending end then by themselves"},
    {"DATABASE_REFUSED", CTL_FAILED,
     "the database's admin_secret (kmsd.yaml, databases) must hold a log-in that it accepts"},
    {"DATABASE_FAILED", CTL_FAILED, "what the database says is in the message; kmsd's log says more"},
    {"UNAVAILABLE", CTL_UNAVAILABLE,
     "is kmsd running there, and do ca, cert and key fit? `kmsctl context show`"},
};

/* The same for a command, or a group of them, where the next step is another one. */
static const struct {
    const char *command, *reason, *hint;
} of_command[] = {
    {"secret", "NOT_FOUND", "`kmsctl secret list` shows the secrets that there are"},
    {"secret", "ALREADY_EXISTS", "store a new value with `kmsctl secret put`"},
    {"secret", "POLICY_LOCKOUT",
     "allow yourself secretsmanager:PutResourcePolicy, or add --bypass-lockout-check"},
    {"database-role", "NOT_FOUND",
     "`kmsctl database-role list` shows the roles; the admin_secret of a database is a stored secret"},
    {"database-role", "ACCESS_DENIED",
     "there is no such role, or its policy decides so: ask who administers it; new roles and lists are "
     "granted "
     "by the service policy"},
    {"database-role", "CONFLICT",
     "`kmsctl lease revoke-prefix ROLE/ --wait 1m` ends the leases of a role; then repeat the command"},
    {"database-role", "POLICY_LOCKOUT",
     "allow yourself secretsmanager:PutDatabaseRole, or add --bypass-lockout-check"},
    {"database-role", "POLICY_NOT_SEPARATED",
     "who writes statements never uses the role: give that to another principal (--policy FILE)"},
    {"unseal", "INVALID_CIPHERTEXT",
     "name, namespace and annotations of the manifest must be those that it was sealed with"},
    {"lease", "NOT_FOUND",
     "`kmsctl lease list ROLE` shows the leases that there are, `kmsctl database-role list` the roles"},
    {"lease", "ACCESS_DENIED",
     "there is none, or the role's policy decides so; a lease belongs to who asked for it, and who "
     "administers "
     "the role ends any: `kmsctl lease revoke-prefix LEASE`"},
    {"lease", "LIMIT_EXCEEDED", "give back leases that are not needed: `kmsctl lease revoke LEASE`"},
    {"lease", "DEADLINE_EXCEEDED",
     "what has begun goes on: `kmsctl lease list ROLE` shows what is left; --timeout, --wait give it longer"},
    {"lease", "DATABASE_FAILED",
     "the database says why; `kmsctl database-role describe ROLE` shows the statements that were run"},
};

static const struct row *find(const struct kms_error *error)
{
    for (int by_code = 0; by_code < 2; by_code++) {
        const char *name = by_code ? kms_error_code_name(error->code) : error->reason;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (strcmp(rows[i].reason, name) == 0) return &rows[i];
    }
    return NULL;
}

enum ctl_exit ctl_exit_of(const struct kms_error *error)
{
    const struct row *row = find(error);
    return row != NULL ? row->status : CTL_FAILED;
}

const char *ctl_hint_of(const struct kms_error *error, const char *command)
{
    for (size_t i = 0; command != NULL && i < sizeof of_command / sizeof of_command[0]; i++)
        if (strcmp(of_command[i].command, command) == 0 && strcmp(of_command[i].reason, error->reason) == 0)
            return of_command[i].hint;
    const struct row *row = find(error);
    return row != NULL ? row->hint : NULL;
}

static const char *first_word(const struct ctl_command *command)
{
    if (command == NULL) return NULL;
    return command->group != NULL ? command->group : command->verb;
}

enum ctl_exit ctl_report(const struct ctl *ctl)
{
    if (ctl->usage) {
        fprintf(stderr, "kmsctl: %s\nTry `kmsctl%s%s%s%s --help'.\n", ctl->error.message,
                ctl->command != NULL ? " " : "",
                ctl->command != NULL && ctl->command->group != NULL ? ctl->command->group : "",
                ctl->command != NULL && ctl->command->group != NULL ? " " : "",
                ctl->command != NULL ? ctl->command->verb : "");
        return CTL_USAGE;
    }
    const char *hint = ctl_hint_of(&ctl->error, first_word(ctl->command));
    fprintf(stderr, "kmsctl: %s: %s\n", ctl->error.reason, ctl->error.message);
    if (hint != NULL) fprintf(stderr, "hint: %s\n", hint);
    if (ctl->error.request_id[0] != '\0') fprintf(stderr, "request: %s\n", ctl->error.request_id);
    enum ctl_exit status = ctl_exit_of(&ctl->error);
    return status == CTL_FAILED && ctl->answers ? CTL_USAGE : status;
}

bool ctl_fail(struct ctl *ctl, kms_err err, const struct kms_why *why)
{
    bool has_words = why != NULL && why->text[0] != '\0';
    ctl->error = (struct kms_error){.code = kms_err_grpc_status(err)};
    snprintf(ctl->error.reason, sizeof ctl->error.reason, "%s", kms_err_reason(err));
    snprintf(ctl->error.message, sizeof ctl->error.message, "%s", has_words ? why->text : kms_err_text(err));
    return false;
}

bool ctl_fail_at(struct ctl *ctl, const char *format, ...)
{
    enum { PLACE_BYTES = 200 };
    char place[PLACE_BYTES], *message = ctl->error.message;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(place, sizeof place, format, arguments);
    va_end(arguments);
    const size_t front = strlen(place), room = sizeof ctl->error.message - 1 - front, len = strlen(message);
    const size_t kept = len < room ? len : room;
    memmove(message + front, message, kept);
    memcpy(message, place, front);
    message[front + kept] = '\0';
    return false;
}

bool ctl_fail_usage(struct ctl *ctl, const char *format, ...)
{
    ctl->error =
        (struct kms_error){.code = kms_err_grpc_status(KMS_FAIL(INVALID_ARGUMENT)), .reason = "USAGE"};
    ctl->usage = true;
    va_list args;
    va_start(args, format);
    vsnprintf(ctl->error.message, sizeof ctl->error.message, format, args);
    va_end(args);
    return false;
}
