/* The dialect of docker run --env-file: a line as it stands. */
#include "tests/unit/client/kms-env/table.h"

static void lines_are_literal(void)
{
    static const struct reading rows[] = {
        {"", "", ""},
        {"A=1\nB=2", "A<1>B<2>", ""},
        {"A=1\r\nB=2\r\n", "A<1>B<2>", ""},
        {"  \tA=1", "A<1>", ""},
        {"A=\"x\"", "A<\"x\">", ""},
        {"A='x' # y", "A<'x' # y>", ""},
        {"A= x  ", "A< x  >", ""},
        {"A=$B\\n", "A<$B\\n>", ""},
        {"A=", "A<>", ""},
        {"A=\r\n", "A<>", ""},
        {"A", "A", ""},
        {"A\r\n", "A", ""},
        {"# c\n  # d\nA=#e", "A<#e>", ""},
        {"A=b=c=", "A<b=c=>", ""},
        {"A=\"one\nB=two\"", "A<\"one>B<two\">", ""},
    };
    CHECK_READINGS(rows, KMS_DOTENV_DOCKER);
}

static void wrong_lines_say_where(void)
{
    static const struct reading rows[] = {
        {"=1", NULL, "line 1, column 1: a name was expected"},
        {"A =1", NULL, "line 1, column 2: a blank in a name"},
        {"x=1\nexport A=1", NULL, "line 2, column 7: a blank in a name"},
        {"A.B=1", NULL, "line 1, column 2: = was expected"},
        {"9=1", NULL, "line 1, column 1: a name begins with"},
    };
    CHECK_READINGS(rows, KMS_DOTENV_DOCKER);
}

KMS_TEST_MAIN("client/kms-env/docker", {"lines are literal", lines_are_literal},
              {"wrong lines say where", wrong_lines_say_where})
