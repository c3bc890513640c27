/* kmsctl: administers and uses the keys of a kmsd. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "client/kmsctl/ctl.h"

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    prctl(PR_SET_DUMPABLE, 0); /* it may hold plaintext: no core dump, no debugger of the same user */
    struct ctl ctl = {0};
    ctl_parse(&ctl, argc, argv);
    bool ok = ctl.command->run(&ctl);
    enum ctl_exit status = ok ? ctl.answer : ctl_report(&ctl);
    ctl_close(&ctl);
    return (int)status;
}
