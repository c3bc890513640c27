/* A thread for each place: sleeps until a commit, then reads and sends what is new. */
#include "kmsd/audit/ship.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "kmsd/audit/chain.h"
#include "kmsd/audit/reader.h"
#include "kmsd/audit/segment.h"
#include "kmsd/audit/send/ship_socket.h"

enum { PAUSE_FIRST_MS = 100, PAUSE_MOST_MS = 5000, MARK_MS = 1000, MARK_BYTES = 21, LOOK_RECORDS = 32 };

static const char *const names[KMS_SHIP_KINDS] = {"stream", "syslog"};

struct place {
    struct kms_ship *ship;
    struct kms_ship_socket socket;
    bool required, started;
    pthread_t thread;
    int mark_fd; /* twenty digits: the last record that was taken */
    uint64_t marked, mark_due_us;
    kms_audit_reader *reader;
    uint32_t known_file, newest_file; /* the files up to this one the reader has looked for; shall know */
    uint64_t taken; /* the other end has read the records up to here from its socket, as far as is known */
    uint64_t next, next_bytes; /* the next one that will be known of, and where it ends in what was sent */
    uint64_t sent_bytes;       /* over this connection */
    bool idle;                 /* nothing to send for a while */
    unsigned failures;         /* in a row */

    /* With the lock held. */
    uint64_t sent;
    bool behind; /* failed, and has not caught up yet */
    struct kms_why trouble, gap;
};

struct kms_ship {
    struct kms_ship_options options;
    struct place places[KMS_SHIP_KINDS];
    pthread_mutex_t lock;
    pthread_cond_t changed; /* told, sent, behind or stopping */
    uint64_t told;          /* the log holds records up to here */
    uint32_t told_file;     /* in this file */
    bool stopping;
    uint64_t stop_by_us;
};

static void mark(struct place *place, bool now)
{
    char text[MARK_BYTES + 1];
    if (place->marked == place->taken || (!now && kms_monotonic_us() < place->mark_due_us)) return;
    snprintf(text, sizeof text, "%020" PRIu64 "\n", place->taken);
    if (pwrite(place->mark_fd, text, MARK_BYTES, 0) == MARK_BYTES) place->marked = place->taken;
    place->mark_due_us = kms_monotonic_us() + MARK_MS * UINT64_C(1000);
}

/* No mark, or one of another log: what the log holds already is not sent. */
static kms_err read_mark(struct place *place, uint64_t head, struct kms_why *why)
{
    char name[KMS_AUDIT_NAME_BYTES + 16], path[4200], text[MARK_BYTES + 1] = {0};
    snprintf(name, sizeof name, ".%s.%s", place->ship->options.instance, names[place->socket.kind]);
    snprintf(path, sizeof path, "%s/%s", place->ship->options.dir, name);
    place->mark_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (place->mark_fd < 0) {
        kms_why_set(why, "%s: %s", path, strerror(errno));
        return KMS_FAIL(IO);
    }
    char *end = text;
    place->sent = place->taken = head;
    if (pread(place->mark_fd, text, MARK_BYTES, 0) != MARK_BYTES) return KMS_OK;
    uint64_t sent = strtoull(text, &end, 10);
    if (*end == '\n' && sent <= head) place->sent = place->taken = place->marked = sent;
    return KMS_OK;
}

/* What waits in the socket is lost when the other end goes. The kernel tells how much that is at most, so one
 * record at a time is followed until it cannot be among it. False: the other end is gone. */
static bool look_what_is_taken(struct place *place)
{
    uint64_t waiting;
    if (place->taken == place->sent) return true;
    if (!kms_ship_waiting(&place->socket, &waiting)) return false;
    if (waiting == 0) place->next = place->sent;
    if (waiting > 0 && place->next_bytes + waiting > place->sent_bytes) return true;
    place->taken = place->next;
    place->next = place->sent;
    place->next_bytes = place->sent_bytes;
    return true;
}

static void sent_one(struct place *place, uint64_t sequence)
{
    struct kms_ship *ship = place->ship;
    pthread_mutex_lock(&ship->lock);
    place->sent = sequence;
    bool caught_up = sequence >= ship->told;
    bool again = caught_up && place->behind;
    if (caught_up) {
        place->behind = false;
        place->trouble.text[0] = '\0';
    }
    if (place->required || again) pthread_cond_broadcast(&ship->changed);
    pthread_mutex_unlock(&ship->lock);
    mark(place, false);
}

/* From the last record that was certainly taken, over a new connection. */
static void failed(struct place *place, kms_err err, const struct kms_why *why)
{
    kms_ship_disconnect(&place->socket);
    kms_audit_reader_close(place->reader);
    place->reader = NULL;
    pthread_mutex_lock(&place->ship->lock);
    place->behind = place->failures++ > 0; /* a shipper that was restarted is there again at once */
    place->sent = place->taken;
    kms_why_set(&place->trouble, "records after %" PRIu64 " are not sent to %s yet: %s", place->sent,
                place->socket.path, why->text[0] != '\0' ? why->text : kms_err_text(err));
    pthread_cond_broadcast(&place->ship->changed);
    pthread_mutex_unlock(&place->ship->lock);
}

static kms_err open_log(struct place *place, struct kms_why *why)
{
    const struct kms_ship_options *options = &place->ship->options;
    if (place->reader == NULL) {
        KMS_TRY(kms_audit_reader_open(options->dir, options->instance, &place->reader, why));
        KMS_TRY(kms_audit_reader_near(place->reader, place->sent + 1, why));
    } else if (place->known_file != place->newest_file) {
        KMS_TRY(kms_audit_reader_look(place->reader, why));
    }
    place->known_file = place->newest_file;
    return KMS_OK;
}

static kms_err connect_place(struct place *place, struct kms_why *why)
{
    KMS_TRY(kms_ship_connect(&place->socket, why));
    place->next = place->sent;
    place->sent_bytes = place->next_bytes = 0;
    return KMS_OK;
}

static void note_gap(struct place *place, uint64_t last)
{
    pthread_mutex_lock(&place->ship->lock);
    kms_why_set(&place->gap,
                "records %" PRIu64 " to %" PRIu64 " were not sent to %s: the log has them no more",
                place->sent + 1, last, place->socket.path);
    pthread_mutex_unlock(&place->ship->lock);
}

static kms_err gone(struct kms_why *why)
{
    kms_why_set(why, "the other end has closed the connection");
    return KMS_FAIL(IO);
}

static kms_err send_one(struct place *place, struct kms_why *why)
{
    struct kms_audit_line line;
    struct kms_audit_record record;
    bool more;
    KMS_TRY(kms_audit_reader_next(place->reader, &line, &more, why));
    if (!more) {
        kms_why_set(why, "the log ends before record %" PRIu64, place->sent + 1);
        return KMS_FAIL(CORRUPT);
    }
    /* Somebody changed the file. What follows is sent all the same, and the numbers tell of the gap. */
    if (!kms_audit_scan_record(line.text, &record)) return KMS_OK;
    if (record.sequence <= place->sent) return KMS_OK;
    if (record.sequence > place->sent + 1) note_gap(place, record.sequence - 1);
    KMS_TRY(kms_ship_send(&place->socket, line.text, why));
    place->sent_bytes += line.text.len;
    sent_one(place, record.sequence);
    if (record.sequence % LOOK_RECORDS == 0 && !look_what_is_taken(place)) return gone(why);
    return KMS_OK;
}

static bool has_more(const struct place *place)
{
    const struct kms_ship *ship = place->ship;
    bool out_of_time = ship->stopping && (place->behind || kms_monotonic_us() >= ship->stop_by_us);
    return ship->told > place->sent && !out_of_time;
}

/* True: there is something to send. False: it is time to stop. */
static bool wait_for_more(struct place *place)
{
    struct kms_ship *ship = place->ship;
    struct timespec until = kms_in_ms(MARK_MS);
    pthread_mutex_lock(&ship->lock);
    int rc = 0;
    while (ship->told <= place->sent && !ship->stopping && rc == 0)
        rc = pthread_cond_timedwait(&ship->changed, &ship->lock, &until);
    place->newest_file = ship->told_file;
    bool more = has_more(place), stop = ship->stopping && !more;
    pthread_mutex_unlock(&ship->lock);
    place->idle = !more;
    return !stop;
}

static void pause_ms(struct place *place, uint32_t ms)
{
    struct timespec until = kms_in_ms(ms);
    struct kms_ship *ship = place->ship;
    int rc = 0;
    pthread_mutex_lock(&ship->lock);
    while (!ship->stopping && rc == 0) rc = pthread_cond_timedwait(&ship->changed, &ship->lock, &until);
    pthread_mutex_unlock(&ship->lock);
}

/* So that a restart repeats nothing. */
static void wait_until_taken(struct place *place)
{
    const struct timespec moment = {.tv_nsec = 5 * 1000 * 1000};
    for (;;) {
        bool there = look_what_is_taken(place);
        if (!there || place->taken == place->sent || kms_monotonic_us() >= place->ship->stop_by_us) return;
        nanosleep(&moment, NULL);
    }
}

static kms_err work(struct place *place, struct kms_why *why)
{
    if (place->idle) {
        mark(place, false);
        return look_what_is_taken(place) ? KMS_OK : gone(why);
    }
    KMS_TRY(open_log(place, why));
    if (place->socket.fd < 0) KMS_TRY(connect_place(place, why));
    return send_one(place, why);
}

static void *ship_main(void *self)
{
    struct place *place = self;
    uint32_t pause = PAUSE_FIRST_MS;
    prctl(PR_SET_NAME, "ship");
    while (wait_for_more(place)) {
        struct kms_why why = {{0}};
        kms_err err = work(place, &why);
        if (!kms_failed(err)) {
            pause = PAUSE_FIRST_MS;
            if (!place->idle) place->failures = 0;
            continue;
        }
        failed(place, err, &why);
        if (place->failures == 1) continue;
        pause_ms(place, pause);
        pause = pause * 2 < PAUSE_MOST_MS ? pause * 2 : PAUSE_MOST_MS;
    }
    wait_until_taken(place);
    mark(place, true);
    return NULL;
}

static kms_err start_place(struct kms_ship *ship, enum kms_ship_kind kind, uint64_t head, struct kms_why *why)
{
    const struct kms_ship_place *wanted = &ship->options.places[kind];
    struct place *place = &ship->places[kind];
    place->ship = ship;
    place->mark_fd = -1;
    place->required = wanted->required;
    place->socket = (struct kms_ship_socket){
        .kind = kind, .path = wanted->path, .timeout_ms = ship->options.timeout_ms, .fd = -1};
    if (wanted->path == NULL || wanted->path[0] == '\0') return KMS_OK;
    KMS_TRY(read_mark(place, head, why));
    place->started = pthread_create(&place->thread, NULL, ship_main, place) == 0;
    return place->started ? KMS_OK : KMS_FAIL(INTERNAL);
}

kms_err kms_ship_start(const struct kms_ship_options *options, uint64_t head, kms_ship **ret_ship,
                       struct kms_why *why)
{
    struct kms_ship *ship = calloc(1, sizeof *ship);
    if (ship == NULL) return KMS_FAIL(NO_MEMORY);
    kms_cond_init(&ship->changed);
    pthread_mutex_init(&ship->lock, NULL);
    ship->options = *options;
    ship->told = head;
    kms_err err = KMS_OK;
    for (int kind = 0; kind < KMS_SHIP_KINDS; kind++)
        ship->places[kind].mark_fd = ship->places[kind].socket.fd = -1;
    for (int kind = 0; !kms_failed(err) && kind < KMS_SHIP_KINDS; kind++)
        err = start_place(ship, (enum kms_ship_kind)kind, head, why);
    if (kms_failed(err))
        kms_ship_stop(ship);
    else
        *ret_ship = ship;
    return err;
}

/* With the lock held: the place has it, or has failed. */
static bool settled(const struct place *place, uint64_t sequence)
{
    return !place->started || !place->required || place->behind || place->sent >= sequence;
}

kms_err kms_ship_commit(kms_ship *ship, uint32_t file, uint64_t sequence, struct kms_why *why)
{
    if (ship == NULL) return KMS_OK;
    kms_err err = KMS_OK;
    struct timespec until = kms_in_ms(ship->options.timeout_ms);
    pthread_mutex_lock(&ship->lock);
    ship->told = sequence;
    ship->told_file = file;
    pthread_cond_broadcast(&ship->changed);
    for (size_t i = 0; i < KMS_SHIP_KINDS; i++) {
        struct place *place = &ship->places[i];
        int rc = 0;
        while (!settled(place, sequence) && rc == 0)
            rc = pthread_cond_timedwait(&ship->changed, &ship->lock, &until);
        if (!settled(place, sequence)) place->behind = true;
        if (!place->started || !place->required || place->sent >= sequence) continue;
        kms_why_set(why, "%s is required (audit.%s_required) and has not got the records: %s",
                    place->socket.path, names[i],
                    place->trouble.text[0] != '\0' ? place->trouble.text : "it takes none");
        err = KMS_FAIL(AUDIT_UNAVAILABLE);
    }
    pthread_mutex_unlock(&ship->lock);
    return err;
}

void kms_ship_troubles(kms_ship *ship, struct kms_why ret_whys[KMS_SHIP_TROUBLES])
{
    memset(ret_whys, 0, KMS_SHIP_TROUBLES * sizeof *ret_whys);
    if (ship == NULL) return;
    pthread_mutex_lock(&ship->lock);
    for (size_t i = 0; i < KMS_SHIP_KINDS; i++) {
        ret_whys[i] = ship->places[i].trouble;
        ret_whys[KMS_SHIP_KINDS + i] = ship->places[i].gap;
    }
    pthread_mutex_unlock(&ship->lock);
}

void kms_ship_stop(kms_ship *ship)
{
    if (ship == NULL) return;
    pthread_mutex_lock(&ship->lock);
    ship->stopping = true;
    ship->stop_by_us = kms_monotonic_us() + ship->options.timeout_ms * UINT64_C(1000);
    pthread_cond_broadcast(&ship->changed);
    pthread_mutex_unlock(&ship->lock);
    for (size_t i = 0; i < KMS_SHIP_KINDS; i++) {
        struct place *place = &ship->places[i];
        if (place->started) pthread_join(place->thread, NULL);
        kms_audit_reader_close(place->reader);
        kms_ship_disconnect(&place->socket);
        kms_fd_drop(&place->mark_fd);
    }
    pthread_cond_destroy(&ship->changed);
    pthread_mutex_destroy(&ship->lock);
    free(ship);
}
