/* One server and operation, its connections, and what a slice of load on it showed. Not thread-safe. */
#ifndef KMS_LOAD_TARGET_H
#define KMS_LOAD_TARGET_H

#include "tests/bench/load/histogram.h"
#include "tests/bench/load/session.h"

enum { LOAD_CONNECTIONS = 16384, LOAD_PIDS = 70, LOAD_ADDRESS_BYTES = 160, LOAD_STATUSES = 17 };

/* How load is made. */
struct load_plan {
    unsigned connections;
    unsigned in_flight; /* on each connection; without rate */
    uint64_t slice_ns;  /* how long one target is driven before it is the next one's turn */
    double rate;        /* calls/s at random (Poisson) times; 0: a call when one ends */
    uint64_t tick_ns;   /* with rate: those due meanwhile are made together, which costs this program less */
    uint64_t calls;     /* a slice is so many calls, however long they take, and there is but one; 0: no */
};

struct load_tally {
    uint64_t errors;                   /* calls that did not end with status 0 */
    uint64_t shed;                     /* of them: RESOURCE_EXHAUSTED or UNAVAILABLE */
    uint64_t by_status[LOAD_STATUSES]; /* errors; [0]: none could be read */
    uint64_t held_back;                /* calls that were due with LOAD_STREAMS in flight, and not made */
    uint64_t active_ns, server_cpu_ns, generator_cpu_ns;
    int first_error;
    struct load_histogram latency, shed_latency;
    uint64_t connect_ns;           /* until all connections were there */
    struct load_histogram connect; /* how long each took, handshake included */
};

struct load_target {
    char name[64];
    struct load_request request;
    struct load_session **sessions; /* plan->connections of them */
    unsigned session_count, in_turn;
    pid_t pids[LOAD_PIDS];
    size_t pid_count;
    struct load_tally tally;

    /* of the slice */
    const struct load_plan *plan;
    int epoll, timer;
    bool stopping;
    uint64_t next_ns, timer_ns, random, made;
};

/* text: "name=N,operation=O,address=A,pids=1+2[,key=ID|,keys=FILE][,ciphertext=BASE64][,plaintext=BYTES][,
 * pairs=N]". Connects. Errors: INVALID_ARGUMENT, IO. */
KMS_MUST_USE kms_err load_target_open(const char *text, const struct load_plan *plan, SSL_CTX *tls,
                                      struct load_target *target, struct kms_why *why);
void load_target_close(struct load_target *target);

/* Drives it for one slice and adds to its tally. Errors: IO, CORRUPT; DEADLINE_EXCEEDED, replies are missing
 * 5 s after the end. */
KMS_MUST_USE kms_err load_target_slice(struct load_target *target, struct kms_why *why);

/* Says on standard output how long the connections took, as one line of JSON, and keeps them, answering
 * what the server asks, until standard input ends. Errors: IO, CORRUPT. */
KMS_MUST_USE kms_err load_target_hold(struct load_target *target, struct kms_why *why);

#endif
