/* Every command of kmsctl, one row each: what it takes, what it is called in help, what it runs. */
#include "client/kmsctl/commands.h"

#define OPT(symbol) CTL_OPT_##symbol

/* clang-format off */
const struct ctl_command ctl_commands[] = {
    {"key", "create", "", "make a key",
     {OPT(ALIAS), OPT(ADMIN), OPT(USER), OPT(POLICY), OPT(DESCRIPTION), OPT(PROTECTION), OPT(BYPASS)},
     ctl_key_create, false},
    {"key", "list", "", "list all keys", {OPT(LIMIT)}, ctl_key_list, false},
    {"key", "describe", "KEY", "show a key: state, versions, aliases", {0}, ctl_key_describe, false},
    {"key", "enable", "KEY", "let a disabled key be used again", {0}, ctl_key_enable, false},
    {"key", "disable", "KEY", "stop every use of a key", {0}, ctl_key_disable, false},
    {"key", "rotate", "KEY", "add a key version that encrypts from now on", {0}, ctl_key_rotate, false},
    {"alias", "create", "ALIAS KEY", "give a key a name, alias/NAME", {0}, ctl_alias_create, false},
    {"alias", "update", "ALIAS KEY", "point an alias to another key", {0}, ctl_alias_update, false},
    {"alias", "delete", "ALIAS", "take an alias away", {0}, ctl_alias_delete, false},
    {"alias", "list", "", "list all aliases, or those of --key",
     {OPT(KEY), OPT(LIMIT)}, ctl_alias_list, false},
    {"policy", "get", "KEY", "print the policy of a key", {OPT(OUT)}, ctl_policy_get, false},
    {"policy", "put", "KEY FILE", "replace the policy of a key",
     {OPT(BYPASS)}, ctl_policy_put, false},
    {"policy", "check", "FILE", "check the form of a policy document", {0}, ctl_policy_check_file, false},
    {NULL, "encrypt", "", "encrypt up to 64 KiB",
     {OPT(KEY), OPT(CONTEXT), OPT(IN), OPT(OUT), OPT(BASE64)}, ctl_encrypt, false},
    {NULL, "decrypt", "", "decrypt a ciphertext",
     {OPT(KEY), OPT(CONTEXT), OPT(IN), OPT(OUT), OPT(BASE64), OPT(SHOW)}, ctl_decrypt, false},
    {NULL, "re-encrypt", "", "move a ciphertext to another key",
     {OPT(TO), OPT(KEY), OPT(CONTEXT), OPT(TO_CONTEXT), OPT(IN), OPT(OUT), OPT(BASE64)},
     ctl_re_encrypt, false},
    {NULL, "data-key", "", "make a data key, plain and wrapped",
     {OPT(KEY), OPT(SPEC), OPT(BYTES), OPT(CONTEXT), OPT(NO_PLAIN), OPT(SHOW)}, ctl_data_key, false},
    {NULL, "random", "", "take random bytes from the token",
     {OPT(BYTES), OPT(OUT), OPT(BASE64), OPT(SHOW)}, ctl_random, false},
    {NULL, "call", "METHOD [JSON]", "call any method of administration", {0}, ctl_call_method, false},
    {NULL, "status", "", "show how the service is, and what weakens it", {0}, ctl_status, false},
    {"audit", "tail", "", "print the last records of the audit log",
     {OPT(FOLLOW), OPT(LINES), OPT(DIR), OPT(INSTANCE)}, ctl_audit_tail, false},
    {"audit", "verify", "", "check that nobody changed the audit log",
     {OPT(DIR), OPT(INSTANCE), OPT(HEAD)}, ctl_audit_verify, false},
    {"context", "list", "", "list the contexts", {0}, ctl_context_list, false},
    {"context", "show", "[NAME]", "show a context, or the current one", {0}, ctl_context_show, false},
    {"context", "use", "NAME", "make a context the current one", {0}, ctl_context_use, false},
    {"completion", "bash", "", "print the completion script of bash", {0}, ctl_completion_bash, false},
    {"completion", "words", "[WORD...]", "print what may follow", {0}, ctl_completion_words, true},
    {NULL, "version", "", "print the release of kmsctl", {0}, ctl_version, false},
};
/* clang-format on */
const size_t ctl_command_count = sizeof ctl_commands / sizeof ctl_commands[0];
