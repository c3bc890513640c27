/* Command lines become a struct ctl; the tables are sound. */
#include "client/kmsctl/arguments.h"

#include "tests/harness/suite.h"

static struct ctl parse(const char *line)
{
    static char words[20][40];
    static char *argv[21];
    int argc = 0;
    for (const char *at = line; *at != '\0'; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        memcpy(words[argc], at, len);
        words[argc][len] = '\0';
        argv[argc] = words[argc];
        argc++;
        at += len;
    }
    argv[argc] = NULL;
    struct ctl ctl = {0};
    ctl_parse(&ctl, argc, argv);
    return ctl;
}

static void position_tells_the_two_contexts_apart(void)
{
    struct ctl ctl =
        parse("kmsctl --context prod --key mine.key encrypt --context app=web --key alias/x -o json");
    CU_ASSERT_STRING_EQUAL(ctl.context_name, "prod");
    CU_ASSERT_STRING_EQUAL(ctl.key_file, "mine.key"); /* --key is short for --key-file there */
    CU_ASSERT_EQUAL(ctl.pairs.count, 1);
    CU_ASSERT_STRING_EQUAL(ctl.pairs.items[0], "app=web");
    CU_ASSERT_STRING_EQUAL(ctl.key, "alias/x");
    CU_ASSERT_STRING_EQUAL(ctl.output, "json");
    CU_ASSERT_STRING_EQUAL(ctl.command->verb, "encrypt");
}

static void every_kind_of_option(void)
{
    struct ctl ctl =
        parse("kmsctl key create --admin a --user b --user c --protection software --bypass-lockout-check");
    CU_ASSERT_EQUAL(ctl.admins.count, 1);
    CU_ASSERT_EQUAL(ctl.users.count, 2);
    CU_ASSERT_STRING_EQUAL(ctl.users.items[1], "c");
    CU_ASSERT_STRING_EQUAL(ctl.protection, "software");
    CU_ASSERT_TRUE(ctl.bypass);
    ctl = parse("kmsctl audit tail -f -n 25 --timeout 2s");
    CU_ASSERT_TRUE(ctl.follow);
    CU_ASSERT_EQUAL(ctl.lines, 25);
    CU_ASSERT_STRING_EQUAL(ctl.timeout, "2s");
}

static void arguments(void)
{
    struct ctl ctl = parse("kmsctl policy put alias/x -");
    CU_ASSERT_STRING_EQUAL(ctl.arguments[0], "alias/x");
    CU_ASSERT_STRING_EQUAL(ctl.arguments[1], "-");
    ctl = parse("kmsctl context show");
    CU_ASSERT_PTR_NULL(ctl.arguments[0]);
    ctl = parse("kmsctl reencrypt a --all b c --max-bytes 7");
    CU_ASSERT_EQUAL_FATAL(ctl.rest.count, 3);
    CU_ASSERT_STRING_EQUAL(ctl.rest.items[0], "a");
    CU_ASSERT_STRING_EQUAL(ctl.rest.items[2], "c");
    CU_ASSERT_PTR_NULL(ctl.rest.items[3]);
    CU_ASSERT(ctl.all && ctl.max_bytes == 7);
    ctl = parse("kmsctl completion words -- key --x");
    CU_ASSERT_EQUAL(ctl.words.count, 2);
    CU_ASSERT_STRING_EQUAL(ctl.words.items[1], "--x");
}

static void choices(void)
{
    static const struct {
        const char *choices, *value;
        bool want;
    } rows[] = {{"table|json", "table", true}, {"table|json", "json", true},
                {"table|json", "jso", false},  {"table|json", "", false},
                {"one", "one", true},          {"table|json", "table|json", false}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        CU_ASSERT_EQUAL(ctl_choice_has(rows[i].choices, rows[i].value), rows[i].want);
}

static void tables_are_sound(void)
{
    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *c = &ctl_commands[i];
        CU_ASSERT_PTR_NOT_NULL(c->run);
        CU_ASSERT(c->summary[0] >= 'a' && c->summary[0] <= 'z' && strlen(c->summary) < 56);
        CU_ASSERT_PTR_EQUAL(ctl_find_command(c->group, c->verb), c); /* no row twice */
        if (c->group != NULL) CU_ASSERT_PTR_NULL(ctl_find_command(NULL, c->group));
        for (size_t o = 0; o < CTL_COMMAND_OPTIONS && c->options[o] != CTL_OPT_CONFIG; o++)
            CU_ASSERT(c->options[o] >= CTL_OPT_GLOBAL_END);
    }
}

KMS_TEST_MAIN("client/kmsctl/arguments",
              {"position tells the two contexts apart", position_tells_the_two_contexts_apart},
              {"every kind of option", every_kind_of_option}, {"arguments", arguments}, {"choices", choices},
              {"tables are sound", tables_are_sound})
