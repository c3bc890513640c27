/* How much memory may still be locked: a token that finds none ends the process in the middle of a job. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hsm/worker/worker.h"

enum { CAP_IPC_LOCK_BIT = 14, FILE_BYTES = 64 * 1024 }; /* capabilities(7): no limit for who has it */

/* The text behind a name at the start of a line; NULL: not there. */
static const char *field(const kms_buf *text, const char *name)
{
    const char *at = text->data != NULL ? strstr((const char *)text->data, name) : NULL;
    return at != NULL ? at + strlen(name) : NULL;
}

static size_t headroom_bytes(void)
{
    KMS_OWN_BUF status = {0}, limits = {0};
    unsigned long long locked_kib = 0, capabilities = 0, limit = 0;
    kms_ignore(
        kms_read_file("/proc/self/status", FILE_BYTES, &status, NULL)); /* absent: the smallest cache */
    kms_ignore(kms_read_file("/proc/self/limits", FILE_BYTES, &limits, NULL));
    const char *at = field(&status, "CapEff:");
    if (at != NULL && sscanf(at, "%llx", &capabilities) == 1 && (capabilities >> CAP_IPC_LOCK_BIT & 1))
        return SIZE_MAX;
    at = field(&limits, "Max locked memory");
    if (at != NULL && strncmp(at + strspn(at, " "), "unlimited", 9) == 0) return SIZE_MAX;
    if (at == NULL || sscanf(at, "%llu", &limit) != 1) return 0;
    at = field(&status, "VmLck:");
    if (at == NULL || sscanf(at, "%llu", &locked_kib) != 1 || locked_kib * 1024 >= limit) return 0;
    return (size_t)(limit - locked_kib * 1024);
}

struct kms_key_budget kms_headroom_keys(uint32_t wanted)
{
    enum { LEAST_KEYS = 16, LEAST_CLOSINGS = 1000, MOST_CLOSINGS = 250 * 1000 }; /* 64 MiB lost at most */
    /* Measured with SoftHSM 2.6.1, of AES and EC keys; an RSA key takes half as much again. */
    enum { OPEN_BYTES = 8704, LOST_BYTES = 270 };
    /* Half of what is there is for the work itself, a quarter each for open keys and for what closed ones
     * leave. */
    size_t share = headroom_bytes() / 4, keys = share / OPEN_BYTES, closings = share / LOST_BYTES;
    if (keys < LEAST_KEYS) keys = LEAST_KEYS;
    if (closings < LEAST_CLOSINGS) closings = LEAST_CLOSINGS;
    if (closings > MOST_CLOSINGS)
        closings = MOST_CLOSINGS + (size_t)getpid() % (MOST_CLOSINGS / 4); /* not all at once */
    return (struct kms_key_budget){keys < wanted ? (uint32_t)keys : wanted, (uint32_t)closings};
}
