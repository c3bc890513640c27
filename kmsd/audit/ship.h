/*
 * kms_ship: sends the records on, to the stream socket of a log shipper and to syslog, one thread for each
 * place. Each reads the files of the log itself, as `kmsctl audit tail -f` does, and remembers beside them
 * how far it got. So a slow or dead place delays no call, costs no memory, and loses nothing that the log
 * still holds: it gets it later. What the other end had not read when the connection
 * broke is sent again, and a few records more: `seq` tells.
 *
 * A place that is required is waited for: without it no answer. Once one has failed, nothing waits until it
 * has caught up; what comes meanwhile is refused at once.
 *
 * Threads: one calls commit; troubles may be asked by any. Started after the log is opened, stopped before it
 * is closed.
 */
#ifndef KMS_AUDIT_SHIP_H
#define KMS_AUDIT_SHIP_H

#include "base/bytes.h"

enum kms_ship_kind {
    KMS_SHIP_STREAM, /* a Unix stream socket: records as they are, each with its LF */
    KMS_SHIP_SYSLOG, /* a datagram socket such as /dev/log: "<86>Nov 22 12:00:00 kmsd-audit[PID]: RECORD". A
                      * record that is longer than a datagram may be is only named there ("too_long") */
    KMS_SHIP_KINDS
};

struct kms_ship_place {
    const char *path; /* of the socket; NULL or empty: no such place. Borrowed until stop */
    bool required;
};

struct kms_ship_options {
    const char *dir, *instance; /* of the log; borrowed until stop */
    struct kms_ship_place places[KMS_SHIP_KINDS];
    uint32_t timeout_ms; /* without progress: then it is tried again over a new connection, and a required
                            place has failed */
};

typedef struct kms_ship kms_ship;

/* head: sequence of the last record in the log. A place that has no mark yet begins behind it. Places need
 * not answer yet. IO (a mark cannot be written; why names it), NO_MEMORY, INTERNAL (no thread). */
KMS_MUST_USE kms_err kms_ship_start(const struct kms_ship_options *options, uint64_t head,
                                    kms_ship **ret_ship, struct kms_why *why);
/* The log holds records up to this one, which is in the file of this number: they may be sent, and nothing
 * else, such as what a write that failed left in a file before. Waits for required places only.
 * AUDIT_UNAVAILABLE: one of them has not got it; why names it. NULL ship: nothing to do. */
KMS_MUST_USE kms_err kms_ship_commit(kms_ship *ship, uint32_t file, uint64_t sequence, struct kms_why *why);
/* By kind: what is wrong with the place now; and behind these, what it will never get (the last such gap
 * since start). Empty: nothing, or no such place. NULL ship: all empty. */
enum { KMS_SHIP_TROUBLES = 2 * KMS_SHIP_KINDS };
void kms_ship_troubles(kms_ship *ship, struct kms_why ret_whys[KMS_SHIP_TROUBLES]);
/* Sends what is left for as long as that makes progress, timeout_ms at most. NULL is a no-op. */
void kms_ship_stop(kms_ship *ship);

#endif
