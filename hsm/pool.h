/*
 * Inside the pool. Four kinds of lock, taken in this order and never two of a kind: the call lane's, the
 * pool's (queues, finished jobs, status, quarantine), a worker's (socket, jobs in flight), that of the
 * forgotten keys. `done` runs without any. Only the polling thread opens, closes and reads sockets; lanes
 * write to them under the worker's lock.
 */
#ifndef KMS_HSM_POOL_H
#define KMS_HSM_POOL_H

#include <pthread.h>
#include <stdatomic.h>

#include "hsm/spawner.h"

enum {
    KMS_POOL_SLOTS = 1024,       /* jobs in flight for one worker */
    KMS_POOL_SMALL_BYTES = 8192, /* a job up to this is small */
    KMS_POOL_SMALL_SHARE =
        96 * 1024, /* bytes in flight: together they fit a socket's default buffer of 208 KiB */
    KMS_POOL_LARGE_SHARE = 64 * 1024, /* one large job may exceed it when it is alone */
    KMS_POOL_WAITING_MAX = 8192,      /* jobs waiting for credit */
    KMS_POOL_MOVES_MAX = 8,           /* deaths of others that a job lives through */
    KMS_POOL_QUARANTINED = 64,
    KMS_POOL_FORGOTTEN = 256,
    KMS_POOL_DEPTH_LEAST = 4,       /* jobs that a worker of a slow token may have at a time, or more */
    KMS_POOL_PAYERS = 256,          /* whose turns are known at a time; a power of two */
    KMS_POOL_WORKERS_MAX = 64,      /* of the kind that does all */
    KMS_POOL_BACKOFF_FIRST_MS = 50, /* until a worker is started again; doubles */
};

struct kms_job_list {
    struct kms_hsm_job *head, *tail;
    size_t count;
};
void kms_list_put(struct kms_job_list *list, struct kms_hsm_job *job);
void kms_list_put_front(struct kms_job_list *list, struct kms_hsm_job *job);
struct kms_hsm_job *kms_list_take(struct kms_job_list *list); /* NULL: empty */
void kms_list_move(struct kms_job_list *to, struct kms_job_list *from);

/* To's jobs, and from's in their turns; of one turn, to's first. Both must be in order of turns. */
void kms_list_merge(struct kms_job_list *to, struct kms_job_list *from);

/* pool_fair.c: of those that wait in one queue. Zero-initialised: nobody has waited. */
struct kms_pool_turns {
    uint64_t now;                   /* the turn that is being served */
    uint64_t last[KMS_POOL_PAYERS]; /* that a payer got */
};
/* Gives each of jobs its payer's next turn and puts it into the line there; jobs is empty then. */
void kms_pool_line_up(struct kms_pool_turns *turns, struct kms_job_list *line, struct kms_job_list *jobs);
/* A line whose last turn was this one has been served but for what is left. */
void kms_pool_took_turns(struct kms_pool_turns *turns, uint64_t last, const struct kms_job_list *left);

/* What a worker is for. As many as configured do all; of each other kind there is one place behind them,
 * empty until it is wanted: for SOFTWARE level while the token is slow, and for making RSA keys, which takes
 * seconds. */
enum kms_pool_kind { KMS_FOR_ALL, KMS_FOR_SOFTWARE, KMS_FOR_RSA, KMS_POOL_KINDS };
enum { KMS_POOL_PLACES_MAX = KMS_POOL_WORKERS_MAX + KMS_POOL_KINDS - 1 };

/* Jobs wait apart by the kind of worker and by size. */
enum kms_pool_queue {
    KMS_QUEUE_SMALL,
    KMS_QUEUE_LARGE,
    KMS_QUEUE_SOFTWARE, /* small; only while the token is slow */
    KMS_QUEUE_SOFTWARE_LARGE,
    KMS_QUEUE_RSA,
    KMS_POOL_QUEUES
};

/* When a token is slow. The numbers are fields for tests to set. */
struct kms_pool_pace {
    _Atomic uint32_t slow_us, fast_us; /* slow from the one on until below the other */
    _Atomic uint32_t settle_ms;        /* least time between two changes */
    _Atomic uint32_t forget_ms;        /* nothing heard for so long: not known to be slow */
    uint64_t heard_us, changed_us;     /* 0: never; polling thread */
};

enum kms_worker_state { KMS_WORKER_DOWN, KMS_WORKER_STARTING, KMS_WORKER_HEALTHY };

struct kms_pool_worker {
    pthread_mutex_t lock;
    _Atomic int state; /* written under the lock */
    _Atomic uint32_t in_flight_bytes, in_flight_jobs;
    _Atomic bool wanted; /* else the place is left empty */
    int fd;              /* -1: none */
    uint32_t spawn_id;
    struct kms_worker_page *page;
    struct kms_slot {
        struct kms_hsm_job *job; /* NULL: free */
        uint16_t next_free;
    } slots[KMS_POOL_SLOTS];
    uint16_t first_free; /* KMS_POOL_SLOTS: none */
    uint32_t in_flight, small_bytes, large_bytes;
    uint32_t token_jobs;       /* of those in flight; the others spare the token */
    uint64_t sequence;         /* makes job ids unique: sequence << 16 | slot */
    uint64_t last_progress_us; /* last result, first job after none, or seen to turn to another job */
    uint64_t watched;          /* the job at hand when it was last looked at; 0: none */
    uint64_t since_us;         /* start asked for, or healthy since */
    uint64_t restart_at_us;
    uint32_t backoff_ms;
    bool stale; /* something was broadcast while it started: it starts again */
};

struct kms_pool_lane {
    struct kms_job_list jobs[KMS_POOL_QUEUES];
    uint8_t *frame; /* KMS_HSM_FRAME_BYTES of locked memory */
};

struct kms_hsm {
    kms_spawner *spawner;
    struct kms_hsm_options options;                    /* the numbers, defaults filled in */
    char *worker_path, *uri, *state_dir, *worker_user; /* owned */
    bool init;                                         /* kms_hsm_init_token */
    bool opening;                                      /* only the first worker, and no second try */
    bool proved;                                       /* a worker said that all is well */
    unsigned worker_count, lane_count;
    unsigned place_count;            /* worker_count and one of each other kind */
    struct kms_pool_worker *workers; /* place_count */
    _Atomic bool slow;               /* the token: jobs that do not need it shall not wait behind it */
    _Atomic uint32_t token_us;       /* what one of its jobs took lately; 0: not known */
    struct kms_pool_pace pace;
    struct kms_pool_lane *lanes; /* lane_count, then one of kms_hsm_call, one of the polling thread */
    pthread_mutex_t call_lock;

    pthread_mutex_t lock;
    struct kms_job_list waiting[KMS_POOL_QUEUES]; /* in order of turns */
    struct kms_pool_turns turns[KMS_POOL_QUEUES];
    struct kms_job_list finished; /* done to be called by the polling thread */
    struct kms_hsm_status status;
    struct kms_quarantine {
        uint8_t op;
        struct kms_id key_id;
        uint64_t until_us;
    } quarantined[KMS_POOL_QUARANTINED];
    _Atomic unsigned quarantine_count, waiting_count[KMS_POOL_QUEUES];

    pthread_mutex_t forgotten_lock;
    struct kms_forgotten {
        struct kms_id key_id;
        uint64_t until_us; /* 0: free */
    } forgotten[KMS_POOL_FORGOTTEN];
    _Atomic unsigned forgotten_count;

    _Atomic bool down; /* the last start failed and none is healthy: fail at once */
    bool spawner_gone;
    int epoll, wake;
    uint8_t *input; /* KMS_HSM_FRAME_BYTES of locked memory */
    uint64_t last_poll_us;
    kms_err start_err; /* of the last start that failed */
    struct kms_why start_why;
};

static inline bool kms_pool_small(const struct kms_hsm_job *job)
{
    return job->pool.frame_len <= KMS_POOL_SMALL_BYTES;
}

/* pool_place.c: which worker does which job. */
enum kms_pool_queue kms_pool_queue_of(const kms_hsm *hsm, const struct kms_hsm_job *job);
struct kms_pool_choice {
    struct kms_pool_worker *worker; /* NULL: none */
    uint64_t bit;                   /* the worker's in refused */
    size_t healthy;                 /* workers of its kind */
};
/* The least busy worker for this queue but for those in refused, which has a bit for each of the kind. */
struct kms_pool_choice kms_pool_choose(kms_hsm *hsm, enum kms_pool_queue queue, uint64_t refused);
/* How many of the jobs of a list go to one worker at a time. */
size_t kms_pool_share(const kms_hsm *hsm, const struct kms_job_list *jobs, size_t healthy);
/* How many jobs that do not spare the token this worker may have at a time. */
uint32_t kms_pool_depth(const kms_hsm *hsm, const struct kms_pool_worker *w);
/* Has the worker of this kind started, if it is not; the polling thread does it. */
void kms_pool_want(kms_hsm *hsm, enum kms_pool_kind kind);
/* The token is slow, and jobs of SOFTWARE level have a worker at work for them. */
bool kms_pool_apart(kms_hsm *hsm);
/* Nobody is there for this queue, and it does not look as if there will be soon. */
bool kms_pool_down(kms_hsm *hsm, enum kms_pool_queue queue);
/* Whether the token is slow, by what the workers say until now (monotonic). Polling thread. */
void kms_pool_note_token(kms_hsm *hsm, uint64_t now);

/* pool_lane.c */
enum { KMS_LANE_CALL = 0, KMS_LANE_POLL = 1 };                            /* behind lane_count */
void kms_pool_finish(kms_hsm *hsm, struct kms_hsm_job *job, kms_err err); /* done follows at the next poll */
/* Gives waiting jobs to workers that have credit; fails those past their deadline, or all when down.
 * Polling thread. */
void kms_pool_drain(kms_hsm *hsm);
void kms_pool_release(struct kms_pool_worker *w, unsigned slot); /* under the worker's lock */
/* This job to this worker, whatever its credit; under the call lane's lock and the worker's. False: its
 * socket is full. */
bool kms_pool_give(kms_hsm *hsm, struct kms_pool_worker *w, struct kms_hsm_job *job);

/* pool_worker.c: life and death. Polling thread. */
void kms_pool_close_worker(struct kms_pool_worker *w); /* the daemon's ends of it */
void kms_pool_start_worker(kms_hsm *hsm, struct kms_pool_worker *w);
void kms_pool_hello(kms_hsm *hsm, struct kms_pool_worker *w, const struct kms_result *result);
void kms_pool_worker_died(kms_hsm *hsm, struct kms_pool_worker *w, const char *how);
void kms_pool_watch(kms_hsm *hsm); /* hung workers, late starts, due restarts */
unsigned kms_pool_healthy(kms_hsm *hsm);

/* pool_poll.c: what epoll tells; the index of a worker, or one of these. */
enum { KMS_EVENT_WAKE = KMS_POOL_PLACES_MAX, KMS_EVENT_SPAWNER };

/* pool_mark.c: STATE_DIR/hsm-pin-refused. */
void kms_pool_mark_read(const kms_hsm *hsm, struct kms_pin_mark *ret_mark);
void kms_pool_mark_write(const kms_hsm *hsm, const struct kms_pin_mark *mark); /* "": removes it */

/* pool_broadcast.c: the operation for every worker, each with a copy of the pattern; returns when all have
 * answered or are gone. A worker that starts meanwhile starts once more, so that none works on what it read
 * before. Blocks; not on the polling thread. */
KMS_MUST_USE kms_err kms_pool_broadcast(kms_hsm *hsm, const struct kms_hsm_job *pattern);
bool kms_pool_forgotten(kms_hsm *hsm, const struct kms_hsm_job *job);

/* pool_quarantine.c */
void kms_pool_quarantine(kms_hsm *hsm, const struct kms_hsm_job *job);
bool kms_pool_quarantined(kms_hsm *hsm, const struct kms_hsm_job *job);

#endif
