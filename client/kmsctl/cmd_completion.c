/* kmsctl completion: the script of bash, and the candidates that it asks for while somebody types. */
#include "client/kmsctl/completion.h"

#include <stdio.h>
#include <string.h>

#include "client/kmsctl/arguments.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/kmsctl_bash.h" /* made from client/completion/kmsctl.bash */
#include "client/kmsctl/output.h"

bool ctl_completion_bash(struct ctl *ctl)
{
    return ctl_write(ctl, kms_bytes_text(KMSCTL_BASH));
}

bool ctl_completion_words(struct ctl *ctl)
{
    KMS_OWN_BUF out = {0};
    kms_err err = ctl_complete(&ctl->words, &out);
    return kms_failed(err) ? ctl_fail(ctl, err, NULL) : ctl_write(ctl, kms_buf_view(&out));
}

/* Where a command line stands. */
struct place {
    const struct ctl_command *command;        /* NULL: not complete */
    const char *group;                        /* its first word, when that is a group */
    const struct ctl_option_row *wants_value; /* the word before is this option */
};

static bool is_in(const struct ctl_command *command, enum ctl_option option)
{
    if (command == NULL) return option < CTL_OPT_GLOBAL_END;
    if (option == CTL_OPT_OUTPUT) return !ctl_own_output(command);
    return option == CTL_OPT_TIMEOUT || ctl_command_has(command, option);
}

static bool names(const struct ctl_option_row *row, const char *word)
{
    if (word[0] != '-') return false;
    if (word[1] != '-') return row->key != 0 && word[1] == row->key && word[2] == '\0';
    return strcmp(word + 2, row->name) == 0;
}

static const struct ctl_option_row *option_named(const struct place *place, const char *word)
{
    for (int i = 0; i < CTL_OPT_COUNT; i++) {
        const struct ctl_option_row *row = ctl_option_row((enum ctl_option)i);
        if (is_in(place->command, (enum ctl_option)i) && names(row, word)) return row;
    }
    return NULL;
}

static void step(struct place *place, const char *word)
{
    if (place->wants_value != NULL) {
        place->wants_value = NULL;
    } else if (word[0] == '-') {
        const struct ctl_option_row *row = option_named(place, word);
        place->wants_value = row != NULL && row->arg != NULL ? row : NULL;
    } else if (place->command == NULL) {
        place->command =
            place->group != NULL ? ctl_find_command(place->group, word) : ctl_find_command(NULL, word);
        if (place->group == NULL && place->command == NULL) place->group = word;
    }
}

/* Adds "text\n" when it starts with prefix and is not there yet. */
static kms_err offer(kms_buf *out, const char *before, const char *text, const char *prefix)
{
    char line[80];
    int len = snprintf(line, sizeof line, "%s%s", before, text);
    if (strncmp(line, prefix, strlen(prefix)) != 0) return KMS_OK;
    line[len] = '\n';
    if (out->len > 0 && memmem(out->data, out->len, line, (size_t)len + 1) != NULL) return KMS_OK;
    return kms_buf_append(out, line, (size_t)len + 1);
}

static kms_err offer_choices(kms_buf *out, const char *choices, const char *prefix)
{
    if (strchr(choices, '|') == NULL) return KMS_OK;
    for (const char *at = choices; *at != '\0'; at += strspn(at, "|")) {
        char choice[32];
        snprintf(choice, sizeof choice, "%.*s", (int)strcspn(at, "|"), at);
        KMS_TRY(offer(out, "", choice, prefix));
        at += strcspn(at, "|");
    }
    return KMS_OK;
}

static kms_err offer_options(kms_buf *out, const struct place *place, const char *prefix)
{
    for (int i = 0; i < CTL_OPT_COUNT; i++)
        if (is_in(place->command, (enum ctl_option)i))
            KMS_TRY(offer(out, "--", ctl_option_row((enum ctl_option)i)->name, prefix));
    return offer(out, "--", "help", prefix);
}

static kms_err offer_commands(kms_buf *out, const struct place *place, const char *prefix)
{
    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *c = &ctl_commands[i];
        if (c->hidden) continue;
        if (place->group == NULL)
            KMS_TRY(offer(out, "", c->group != NULL ? c->group : c->verb, prefix));
        else if (c->group != NULL && strcmp(c->group, place->group) == 0)
            KMS_TRY(offer(out, "", c->verb, prefix));
    }
    return KMS_OK;
}

kms_err ctl_complete(const struct ctl_texts *words, kms_buf *out)
{
    struct place place = {0};
    const char *last = words->count > 0 ? words->items[words->count - 1] : "";
    for (size_t i = 0; i + 1 < words->count; i++) step(&place, words->items[i]);
    if (place.wants_value != NULL) return offer_choices(out, place.wants_value->arg, last);
    if (last[0] == '-') return offer_options(out, &place, last);
    return place.command == NULL ? offer_commands(out, &place, last) : KMS_OK;
}
