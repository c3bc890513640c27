/* The listening socket of kms-env credentials: handed over by a service manager (sd_listen_fds(3)), or made
 * here. Not thread-safe. */
#ifndef KMS_CLIENT_KMS_ENV_CREDENTIAL_SOCKET_H
#define KMS_CLIENT_KMS_ENV_CREDENTIAL_SOCKET_H

#include <sys/types.h>

#include "base/err.h"

typedef struct kms_env_credential_socket {
    int fd;           /* listening, does not block, is not inherited */
    const char *path; /* made here and to be removed, borrowed; NULL: handed over */
    dev_t device;
    ino_t inode;
} kms_env_credential_socket;

/*
 * The one of LISTEN_FDS when LISTEN_PID is this process, which then wins over path; both variables are
 * removed. Otherwise at path, mode 0600; a socket there that nobody listens on any more is replaced.
 * Changes the umask for a moment: call it before there are threads. Errors: INVALID_ARGUMENT (no path, or
 * what was handed over is not one listening AF_UNIX stream socket), ALREADY_EXISTS (a file that is no socket,
 * or somebody listens there), IO; why has the words.
 */
KMS_MUST_USE kms_err kms_env_credential_socket_open(const char *path, kms_env_credential_socket *ret_socket,
                                                    struct kms_why *why);
/* Removes what was made, unless something else is at the path by now. */
void kms_env_credential_socket_close(kms_env_credential_socket *socket);

#endif
