/* What a program wrote, made fit for the log. Thread-safe: values only. */
#ifndef KMS_ROTATORS_SAID_H
#define KMS_ROTATORS_SAID_H

#include "kmsd/rotators/rotator.h"

/* Fills rotation->said from text (overwritten): values of the rotation, the strings in them, and those of
 * fresh become stars, what is not printable becomes a blank. cut: text ends somewhere within what was
 * written, so that part of a value may stand at its end; that end is left out. NO_MEMORY: said is empty. */
KMS_MUST_USE kms_err kms_rotation_say(struct kms_rotation *rotation, struct kms_bytes fresh, char *text,
                                      size_t len, bool cut);

#endif
