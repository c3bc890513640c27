/*
 * An HSM that answers when it is told to, in place of hsm/pool: jobs wait until slow_hsm_answer. Any thread
 * submits; kms_hsm_poll gives results back on the polling thread, as in hsm.h.
 */
#ifndef KMS_TESTS_DOUBLES_SLOW_HSM_H
#define KMS_TESTS_DOUBLES_SLOW_HSM_H

#include "hsm/hsm.h"

void slow_hsm_open(void);
void slow_hsm_close(void);
size_t slow_hsm_waiting(void);     /* jobs submitted and not answered */
void slow_hsm_answer(kms_err err); /* all that wait, in order, with this result */
unsigned slow_hsm_flushes(unsigned lane);

#endif
