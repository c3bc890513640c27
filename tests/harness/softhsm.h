/*
 * A SoftHSM token of one test's own: a directory with its configuration, an initialised token and a PIN
 * file. Sets SOFTHSM2_CONF for the whole program. Not thread-safe.
 */
#ifndef KMS_TESTS_HARNESS_SOFTHSM_H
#define KMS_TESTS_HARNESS_SOFTHSM_H

#include "base/bytes.h"

struct softhsm {
    char dir[256];       /* token files, PIN file; remove it with the test's temporary directory */
    char pin_path[300];  /* mode 0600 */
    char uri[1024];      /* through SoftHSM itself */
    char shim_uri[1024]; /* the same token through tests/doubles/pkcs11_shim.c */
};

/* Makes dir/name and a token with label "kmsd" in it, by softhsm2-util. False: says why on standard error. */
bool softhsm_make(const char *dir, const char *name, struct softhsm *ret_token);
bool softhsm_write_pin(const struct softhsm *token, const char *pin); /* SOFTHSM_PIN is the right one */
/* How often the shim was asked to log in to this token. */
size_t softhsm_logins(const struct softhsm *token);

#define SOFTHSM_PIN "135792"

#endif
