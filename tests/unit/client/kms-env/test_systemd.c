/* The dialect of systemd's EnvironmentFile=. */
#include "tests/unit/client/kms-env/table.h"

static void lines_mean_what_systemd_says(void)
{
    static const struct reading rows[] = {
        {"", "", ""},
        {"A=1\nB=2", "A<1>B<2>", ""},
        {"A=1\r\nB=2\r\n", "A<1>B<2>", ""},
        {"A=1\rB=2", "A<1>B<2>", ""},
        {"  A =  1 2  ", "A<1 2>", ""},
        {"# c\n; d\nA=1", "A<1>", ""},
        {"A=1 # 2", "A<1 # 2>", ""},
        {"A=#2", "A<#2>", ""},
        {"A=", "A<>", ""},
        {"A", "", ""},
        {"A\nB=1", "B<1>", ""},
        {"A=a\\\nb", "A<ab>", ""},
        {"A=a\\\r\nb", "A<ab>", ""},
        {"A=a\\ ", "A<a >", ""},
        {"A=\\\"x\\\"", "A<\"x\">", ""},
        {"A=a\\\\b\\n", "A<a\\bn>", ""},
        {"A=a\\", "A<a>", ""},
        {"A='x y'", "A<x y>", ""},
        {"A='x\\n'", "A<x\\n>", ""},
        {"A='one\ntwo'\nB=1", "A<one\ntwo>B<1>", ""},
        {"A=\"one\ntwo\\\nthree\"", "A<one\ntwothree>", ""},
        {"A=\"\\\" \\\\ \\` \\$ \\n \\x\"", "A<\" \\ ` $ \\n \\x>", ""},
        {"A=\"a\"'b' \"c\"", "A<abc>", ""},
        {"A=\"a\" b\"c\"", "A<ab\"c\">", ""},
        {"A=x\"y\"", "A<x\"y\">", ""},
        {"A=$B", "A<$B>", ""},
        {"# ends with \\\nA=1", "A<1>", ""},
    };
    CHECK_READINGS(rows, KMS_DOTENV_SYSTEMD);
}

static void wrong_lines_say_where(void)
{
    static const struct reading rows[] = {
        {"export A=1", NULL, "line 1, column 8: = was expected"},
        {"A=1\nB-C=1", NULL, "line 2, column 2: = was expected"},
        {"A=1\n 'B'=1", NULL, "line 2, column 2: a name was expected"},
        {"A='x", NULL, "line 1, column 3: this quote is not closed"},
        {"A=a\nB=\"x\\\"\nC=1", NULL, "line 2, column 3: this quote is not closed"},
        {"A=\"x\\", NULL, "line 1, column 3: this quote is not closed"},
    };
    CHECK_READINGS(rows, KMS_DOTENV_SYSTEMD);
}

KMS_TEST_MAIN("client/kms-env/systemd", {"lines mean what systemd says", lines_mean_what_systemd_says},
              {"wrong lines say where", wrong_lines_say_where})
