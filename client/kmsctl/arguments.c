/* The command line, by argp: global options up to the command, then the options and arguments of its row. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/arguments.h"

const char *argp_program_version = "kmsctl " KMS_VERSION;

static const struct ctl_option_row rows[CTL_OPT_COUNT] = {
#define KMSCTL_OPTION(symbol, name_, key_, arg_, kind_, member_, help_)                                      \
    [CTL_OPT_##symbol] = {.name = (name_),                                                                   \
                          .key = (key_),                                                                     \
                          .arg = (arg_),                                                                     \
                          .kind = CTL_##kind_,                                                               \
                          .offset = offsetof(struct ctl, member_),                                           \
                          .help = (help_)},
#include "client/kmsctl/options.def"
#undef KMSCTL_OPTION
};

const struct ctl_option_row *ctl_option_row(enum ctl_option option)
{
    return &rows[option];
}

bool ctl_choice_has(const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (const char *at = choices; at != NULL; at = strchr(at, '|') != NULL ? strchr(at, '|') + 1 : NULL)
        if (strcspn(at, "|") == len && strncmp(at, value, len) == 0) return true;
    return false;
}

bool ctl_command_has(const struct ctl_command *command, enum ctl_option option)
{
    for (size_t i = 0; i < CTL_COMMAND_OPTIONS && command->options[i] != CTL_OPT_CONFIG; i++)
        if (command->options[i] == option) return true;
    return false;
}

bool ctl_own_output(const struct ctl_command *command)
{
    return ctl_command_has(command, CTL_OPT_RECORD_OUTPUT) ||
           ctl_command_has(command, CTL_OPT_MANIFEST_OUTPUT) ||
           ctl_command_has(command, CTL_OPT_UNSEALED_OUTPUT);
}

const struct ctl_command *ctl_find_command(const char *group, const char *verb)
{
    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *c = &ctl_commands[i];
        bool same_group = group == NULL ? c->group == NULL : c->group != NULL && strcmp(c->group, group) == 0;
        if (same_group && (verb == NULL || strcmp(c->verb, verb) == 0)) return c;
    }
    return NULL;
}

/* Keys of argp: short ones as they are, the others above all characters. */
enum { FIRST_KEY = 256 };

static int argp_key(enum ctl_option option)
{
    return rows[option].key != 0 ? rows[option].key : FIRST_KEY + (int)option;
}

static struct argp_option argp_row(enum ctl_option option)
{
    const struct ctl_option_row *row = &rows[option];
    return (struct argp_option){
        .name = row->name, .key = argp_key(option), .arg = row->arg, .doc = row->help};
}

static void store_number(void *member, const char *arg, const struct argp_state *state, const char *name)
{
    char *end;
    unsigned long long number = strtoull(arg, &end, 10);
    if (arg[0] < '0' || arg[0] > '9' || *end != '\0' || number < 1 || number > UINT32_MAX)
        argp_error(state, "--%s wants a number from 1", name);
    *(uint32_t *)member = (uint32_t)number;
}

static void store(struct ctl *ctl, enum ctl_option option, const char *arg, const struct argp_state *state)
{
    const struct ctl_option_row *row = &rows[option];
    void *member = (char *)ctl + row->offset;
    struct ctl_texts *list = member;
    switch (row->kind) {
    case CTL_TEXT:
        if (strchr(row->arg, '|') != NULL && !ctl_choice_has(row->arg, arg))
            argp_error(state, "--%s is %s, not %s", row->name, row->arg, arg);
        *(const char **)member = arg;
        return;
    case CTL_LIST:
        if (list->count == CTL_LIST_MAX)
            argp_error(state, "more than %d times --%s", CTL_LIST_MAX, row->name);
        list->items[list->count++] = arg;
        return;
    case CTL_FLAG:
        *(bool *)member = true;
        return;
    case CTL_NUMBER:
        store_number(member, arg, state, row->name);
        return;
    }
}

/* Of several with the same short key the command's own comes first. */
static bool option_of_key(const struct ctl_command *command, int key, enum ctl_option *ret_option)
{
    for (size_t i = 0; command != NULL && i < CTL_COMMAND_OPTIONS && command->options[i] != CTL_OPT_CONFIG;
         i++) {
        if (argp_key(command->options[i]) != key) continue;
        *ret_option = command->options[i];
        return true;
    }
    for (int i = 0; i < CTL_OPT_COUNT; i++) {
        if (argp_key((enum ctl_option)i) != key) continue;
        *ret_option = (enum ctl_option)i;
        return true;
    }
    return false;
}

static size_t count_words(const char *words, bool required_only)
{
    size_t count = 0;
    for (const char *at = words; *at != '\0'; at += strspn(at, " ")) {
        if (!required_only || *at != '[') count++;
        at += strcspn(at, " ");
    }
    return count;
}

static void take_argument(struct ctl *ctl, const char *arg, const struct argp_state *state)
{
    if (ctl->command->hidden) {
        if (ctl->words.count < CTL_LIST_MAX) ctl->words.items[ctl->words.count++] = arg;
        return;
    }
    if (state->arg_num >= count_words(ctl->command->arguments, false))
        argp_error(state, "too many arguments: %s", arg);
    ctl->arguments[state->arg_num] = arg;
}

static bool takes_any_number(const struct ctl_command *command)
{
    size_t len = strlen(command->arguments);
    return !command->hidden && len > 3 && strcmp(command->arguments + len - 3, "...") == 0;
}

static error_t parse_command(int key, char *arg, struct argp_state *state)
{
    struct ctl *ctl = state->input;
    enum ctl_option option;
    switch (key) {
    case ARGP_KEY_ARG:
        if (takes_any_number(ctl->command)) return ARGP_ERR_UNKNOWN; /* they come at once, as ARGP_KEY_ARGS */
        take_argument(ctl, arg, state);
        return 0;
    case ARGP_KEY_ARGS:
        ctl->rest = (struct ctl_rest){.items = state->argv + state->next,
                                      .count = (size_t)(state->argc - state->next)};
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num < count_words(ctl->command->arguments, true))
            argp_error(state, "wanted: %s", ctl->command->arguments);
        return 0;
    default:
        if (!option_of_key(ctl->command, key, &option)) return ARGP_ERR_UNKNOWN;
        store(ctl, option, arg, state);
        return 0;
    }
}

static void parse_rest(struct ctl *ctl, int argc, char **argv)
{
    const struct ctl_command *command = ctl->command;
    struct argp_option options[CTL_COMMAND_OPTIONS + 3] = {{0}};
    size_t count = 0;
    for (size_t i = 0; i < CTL_COMMAND_OPTIONS && command->options[i] != CTL_OPT_CONFIG; i++)
        options[count++] = argp_row(command->options[i]);
    options[count++] = argp_row(CTL_OPT_TIMEOUT);
    if (!ctl_own_output(command)) options[count++] = argp_row(CTL_OPT_OUTPUT);
    char name[64], doc[128];
    snprintf(name, sizeof name, "kmsctl %s%s%s", command->group != NULL ? command->group : "",
             command->group != NULL ? " " : "", command->verb);
    snprintf(doc, sizeof doc, "%s.", command->summary);
    doc[0] = (char)(doc[0] - 'a' + 'A'); /* summaries start lower-case */
    argv[0] = name;
    struct argp argp = {
        .options = options, .parser = parse_command, .args_doc = command->arguments, .doc = doc};
    argp_parse(&argp, argc, argv, command->hidden ? ARGP_IN_ORDER : 0, NULL, ctl);
}

struct global_parse {
    struct ctl *ctl;
    int command_at; /* index of its first word in argv */
};

static error_t parse_global(int key, char *arg, struct argp_state *state)
{
    struct global_parse *parse = state->input;
    enum ctl_option option;
    switch (key) {
    case ARGP_KEY_ARG:
        parse->command_at = state->next - 1;
        state->next = state->argc; /* what follows belongs to the command */
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "no command");
        return 0;
    default:
        if (!option_of_key(NULL, key, &option)) return ARGP_ERR_UNKNOWN;
        store(parse->ctl, option, arg, state);
        return 0;
    }
}

/* The commands of a group, or all of them, one on a line with what each is for. */
static kms_err list_commands(const char *group, kms_buf *out)
{
    KMS_TRY(kms_buf_print(out, "Commands:\n"));
    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *c = &ctl_commands[i];
        if (c->hidden || (group != NULL && (c->group == NULL || strcmp(c->group, group) != 0))) continue;
        char usage[64];
        snprintf(usage, sizeof usage, "%s%s%s %s", c->group != NULL ? c->group : "",
                 c->group != NULL ? " " : "", c->verb, c->arguments);
        KMS_TRY(kms_buf_print(out, "  %-22s %s\n", usage, c->summary));
    }
    return KMS_OK;
}

/* The list of commands, behind the options in --help. */
static char *help_text(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) return (char *)(uintptr_t)text;
    kms_buf help = {0};
    return kms_failed(list_commands(NULL, &help)) ? NULL : (char *)help.data; /* argp frees it */
}

/* `kmsctl GROUP --help` ends here. */
static void group_help(const char *group, const char *word)
{
    if (strcmp(word, "--help") != 0 && strcmp(word, "-?") != 0) return;
    KMS_OWN_BUF help = {0};
    if (kms_failed(list_commands(group, &help))) exit(CTL_FAILED);
    printf("Usage: kmsctl [OPTION...] %s COMMAND [ARGUMENT...]\n\n%s\n"
           "`kmsctl %s COMMAND --help' lists the options of each.\n",
           group, (const char *)help.data, group);
    exit(EXIT_SUCCESS);
}

static void find_command(struct ctl *ctl, const char *first, const char *second)
{
    ctl->command = ctl_find_command(NULL, first);
    if (ctl->command == NULL && second != NULL) ctl->command = ctl_find_command(first, second);
    if (ctl->command != NULL) return;
    bool is_group = ctl_find_command(first, NULL) != NULL;
    if (is_group && second != NULL) group_help(first, second);
    if (is_group && second != NULL)
        fprintf(stderr, "kmsctl: no command \"%s %s\"", first, second);
    else
        fprintf(stderr, is_group ? "kmsctl: %s what?" : "kmsctl: no command \"%s\"", first);
    fprintf(stderr, is_group ? "; there is:" : "\nTry `kmsctl --help'.");
    for (size_t i = 0; i < ctl_command_count; i++)
        if (is_group && ctl_commands[i].group != NULL && strcmp(ctl_commands[i].group, first) == 0)
            fprintf(stderr, " %s", ctl_commands[i].verb);
    fputc('\n', stderr);
    exit(CTL_USAGE);
}

void ctl_parse(struct ctl *ctl, int argc, char **argv)
{
    struct argp_option options[CTL_OPT_GLOBAL_END + 1] = {{0}};
    for (int i = 0; i < CTL_OPT_GLOBAL_END; i++) options[i] = argp_row((enum ctl_option)i);
    struct argp argp = {.options = options,
                        .parser = parse_global,
                        .args_doc = "COMMAND [ARGUMENT...]",
                        .doc = "Administers and uses the keys of a kmsd.\v",
                        .help_filter = help_text};
    struct global_parse parse = {.ctl = ctl};
    argp_err_exit_status = CTL_USAGE;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &parse);
    int at = parse.command_at;
    find_command(ctl, argv[at], at + 1 < argc ? argv[at + 1] : NULL);
    int words =
        ctl->command->group != NULL ? 1 : 0; /* of the command, besides the one that becomes argv[0] */
    parse_rest(ctl, argc - at - words, argv + at + words);
}
