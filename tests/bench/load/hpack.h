/*
 * As much of HPACK (RFC 7541) as a client needs that wants only grpc-status from what a server sends: the
 * dynamic table is followed, but no text is kept. Zero-initialised is a new connection. Not thread-safe.
 */
#ifndef KMS_LOAD_HPACK_H
#define KMS_LOAD_HPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 7540 section 6.5.2: the table holds 4,096 bytes unless the client says more. An entry has 32+. */
enum { LOAD_HPACK_TABLE_BYTES = 4096, LOAD_HPACK_ENTRIES = LOAD_HPACK_TABLE_BYTES / 32 };

struct load_hpack {
    struct load_hpack_entry {
        uint32_t bytes;
        int status; /* of grpc-status; LOAD_NOT_STATUS: another name */
    } entries[LOAD_HPACK_ENTRIES];
    unsigned newest, count; /* a ring; newest is the index that was written last */
    uint32_t bytes;
};

enum { LOAD_NOT_STATUS = -1, LOAD_STATUS_UNREADABLE = -2 };

/* Reads one header block. ret_status becomes the value of grpc-status, or stays when there is none. False:
 * not HPACK, the connection is lost. */
bool load_hpack_read(struct load_hpack *table, const uint8_t *block, size_t len, int *ret_status);

#endif
