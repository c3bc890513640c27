/* The tables of options and commands as data: for parsing, for help, for completion. Thread-safe: constants.
 */
#ifndef KMS_CLIENT_KMSCTL_ARGUMENTS_H
#define KMS_CLIENT_KMSCTL_ARGUMENTS_H

#include "client/kmsctl/ctl.h"

enum ctl_kind { CTL_TEXT, CTL_LIST, CTL_FLAG, CTL_NUMBER };

struct ctl_option_row {
    const char *name;
    int key;         /* short option, 0: none */
    const char *arg; /* NULL: a flag; "a|b": one of these */
    enum ctl_kind kind;
    size_t offset; /* into struct ctl */
    const char *help;
};
const struct ctl_option_row *ctl_option_row(enum ctl_option option);

/* group NULL: a command without one. verb NULL: any of the group. NULL: there is none. */
const struct ctl_command *ctl_find_command(const char *group, const char *verb);

bool ctl_command_has(const struct ctl_command *command, enum ctl_option option);
bool ctl_own_output(const struct ctl_command *command);      /* it has an -o of its own */
bool ctl_choice_has(const char *choices, const char *value); /* "table|json" has "json" */

#endif
