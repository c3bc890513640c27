/* The dialect of Docker Compose: what each line means, and where a wrong one is wrong. */
#include "tests/unit/client/kms-env/table.h"

static void lines_mean_what_compose_says(void)
{
    static const struct reading rows[] = {
        {"", "", ""},
        {"\n\n  \n", "", ""},
        {"# only a comment", "", ""},
        {"   # indented comment\nA=1", "A<1>", ""},
        {"A=1", "A<1>", ""},
        {"A=1\n", "A<1>", ""},
        {"A=1\r\nB=2\r\n", "A<1>B<2>", ""},
        {"  A = 1  ", "A<1>", ""},
        {"A=", "A<>", ""},
        {"A=   ", "A<>", ""},
        {"A", "A", ""},
        {"A # comment", "A", ""},
        {"A#comment", "A", ""},
        {"export A=1\nexport\tB=2\nexport C\n", "A<1>B<2>C", ""},
        {"export=1\n", "export<1>", ""},
        {"export = 1\n", "export<1>", ""},
        {"exported=1\n", "exported<1>", ""},
        {"_A9=x y  z", "_A9<x y  z>", ""},
        {"A=a#b", "A<a#b>", ""},
        {"A=a #b", "A<a>", ""},
        {"A=#b", "A<#b>", ""},
        {"A= #b", "A<>", ""},
        {"A=a\t#b", "A<a\t#b>", ""},
        {"A=a=b==", "A<a=b==>", ""},
        {"A=$B ${C} $$", "A<$B ${C} $$>", ""},
        {"A=a\\nb", "A<a\\nb>", ""},
        {"A=a\"b\"", "A<a\"b\">", ""},
        {"A=\xc3\xa4", "A<\xc3\xa4>", ""},
        {"A=a\rb", "A<a\rb>", ""},
    };
    CHECK_READINGS(rows, KMS_DOTENV_COMPOSE);
}

static void quotes_hold_anything(void)
{
    static const struct reading rows[] = {
        {"A=\"\"", "A<>", ""},
        {"A=''", "A<>", ""},
        {"A=\"a b\" # c", "A<a b>", ""},
        {"A=\"a b\"# c", "A<a b>", ""},
        {"A='a b'   \nB=1", "A<a b>B<1>", ""},
        {"A=\"x # y\"", "A<x # y>", ""},
        {"A='x # y'", "A<x # y>", ""},
        {"A=\"a\\nb\\tc\\rd\\\\e\\\"f\\$g\"", "A<a\nb\tc\rd\\e\"f$g>", ""},
        {"A=\"\\a\\b\\f\\v\"", "A<\a\b\f\v>", ""},
        {"A=\"\\033[0m\"", "A<\033[0m>", ""},
        {"A=\"\\x \\' \\é\"", "A<\\x \\' \\é>", ""},
        {"A=\"$B ${C} $$\"", "A<$B ${C} $$>", ""},
        {"A='a\\nb\\'", "A<a\\nb\\>", ""},
        {"A='\"'\nB=\"'\"", "A<\">B<'>", ""},
        {"A=\"one\ntwo\"\nB=1", "A<one\ntwo>B<1>", ""},
        {"A=\"one\r\ntwo\"\r\nB=1", "A<one\ntwo>B<1>", ""},
        {"A='one\n\n# no comment\nB=2'\n", "A<one\n\n# no comment\nB=2>", ""},
        {"A=\"a\\\nb\"", "A<a\\\nb>", ""},
        {"export A='x'", "A<x>", ""},
    };
    CHECK_READINGS(rows, KMS_DOTENV_COMPOSE);
}

static void wrong_lines_say_where(void)
{
    static const struct reading rows[] = {
        {"A=1\n=2", NULL, "line 2, column 1: a name was expected"},
        {"1A=2", NULL, "line 1, column 1: a name begins with"},
        {"\n A-B=2", NULL, "line 2, column 3: = was expected"},
        {"A.B=2", NULL, "line 1, column 2: = was expected"},
        {"A: 2", NULL, "line 1, column 2: = was expected"},
        {"A B=2", NULL, "line 1, column 3: = was expected"},
        {"export 1A=2", NULL, "line 1, column 8: = was expected"},
        {"X=1\nA=\"abc\nB=2\n", NULL, "line 2, column 3: this quote is not closed"},
        {"A='abc", NULL, "line 1, column 3: this quote is not closed"},
        {"A=\"abc\\\"", NULL, "line 1, column 3: this quote is not closed"},
        {"A=\"abc\\", NULL, "line 1, column 3: this quote is not closed"},
        {"A=\"a\" b", NULL, "line 1, column 7: text behind the closing quote"},
        {"A='it\\'s'", NULL, "line 1, column 8: text behind the closing quote"},
        {"A=\"a\nb\"c", NULL, "line 2, column 3: text behind the closing quote"},
        {"A=\"x\\0y\"", NULL, "line 1, column 5: an octal escape"},
        {"A=\"x\\0377\"", NULL, "line 1, column 5: an octal escape"},
        {"\xc3\xa4=1", NULL, "line 1, column 1: a name was expected"},
    };
    CHECK_READINGS(rows, KMS_DOTENV_COMPOSE);
}

KMS_TEST_MAIN("client/kms-env/compose", {"lines mean what Compose says", lines_mean_what_compose_says},
              {"quotes hold anything", quotes_hold_anything},
              {"wrong lines say where", wrong_lines_say_where})
