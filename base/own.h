/* Ownership by scope: KMS_OWN(kms_secret) s = NULL; is freed on every exit. */
#ifndef KMS_BASE_OWN_H
#define KMS_BASE_OWN_H

#define KMS_OWN(type) __attribute__((cleanup(type##_drop))) type *

/* Hand an owned local to the caller: *ret = KMS_GIVE(s); */
#define KMS_GIVE(p)                                                                                          \
    (__extension__({                                                                                         \
        __typeof__(p) give_ = (p);                                                                           \
        (p) = NULL;                                                                                          \
        give_;                                                                                               \
    }))

/* A file descriptor closed on every exit; -1 is nothing. */
#define KMS_OWN_FD __attribute__((cleanup(kms_fd_drop))) int
void kms_fd_drop(int *fd);

#endif
