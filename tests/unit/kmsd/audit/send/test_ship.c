/* Records sent on: all, in order, over broken connections and restarts; and who waits for whom. */
#include "kmsd/audit/ship.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kmsd/audit/chain.h"
#include "kmsd/audit/send/ship_socket.h"
#include "tests/harness/faults.h"
#include "tests/unit/kmsd/audit/log.h"

enum { LONG_MS = 20000, SHORT_MS = 500, RECORDS = 300, DATAGRAM_BYTES = 64 * 1024 };

static struct rig {
    char dir[128], path[108];
    kms_audit *audit;
    kms_ship *ship;
    int listener, connection;
    uint64_t last; /* sequence of the last line that came */
} rig;

static int bound(int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    kms_copy(address.sun_path, rig.path, sizeof rig.path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)(void *)&address, sizeof address), 0);
    if (type == SOCK_STREAM) CU_ASSERT_EQUAL_FATAL(listen(fd, 4), 0);
    return fd;
}

static void begin_log(void)
{
    rig = (struct rig){.listener = -1, .connection = -1};
    log_dir(rig.dir);
    CU_ASSERT_FATAL((size_t)snprintf(rig.path, sizeof rig.path, "%s/socket", rig.dir) < sizeof rig.path);
    rig.audit = log_open(rig.dir, LOG_SEGMENT_BYTES);
}

static void start(enum kms_ship_kind kind, bool required, uint32_t timeout_ms)
{
    struct kms_why why = {{0}};
    struct kms_ship_options options = {.dir = rig.dir, .instance = "t", .timeout_ms = timeout_ms};
    options.places[kind] = (struct kms_ship_place){rig.path, required};
    KMS_ASSERT_OK_FATAL(kms_ship_start(&options, log_head(rig.audit), &rig.ship, &why));
}

static void end(void)
{
    kms_ship_stop(rig.ship);
    if (rig.audit != NULL) kms_audit_close(rig.audit);
    if (rig.listener >= 0) close(rig.listener);
    if (rig.connection >= 0) close(rig.connection);
}

static kms_err committed(struct kms_why *why)
{
    return kms_ship_commit(rig.ship, kms_audit_file(rig.audit), log_head(rig.audit), why);
}

static void hang_up(void)
{
    close(rig.connection);
    rig.connection = -1;
}

static void answer(void)
{
    struct pollfd pollfd = {.fd = rig.listener, .events = POLLIN};
    CU_ASSERT_EQUAL_FATAL(poll(&pollfd, 1, LONG_MS), 1);
    rig.connection = accept(rig.listener, NULL, NULL);
    CU_ASSERT_FATAL(rig.connection >= 0);
}

/* One line, byte by byte so that nothing of the next one is taken. False: the connection ended. */
static bool read_line(char *line, size_t room)
{
    for (size_t len = 0; len < room - 1; len++) {
        struct pollfd pollfd = {.fd = rig.connection, .events = POLLIN};
        CU_ASSERT_EQUAL_FATAL(poll(&pollfd, 1, LONG_MS), 1);
        if (read(rig.connection, line + len, 1) != 1) return false;
        if (line[len] != '\n') continue;
        line[len] = '\0';
        return true;
    }
    return false;
}

/* Lines until this sequence, over as many connections as it takes; each follows the one before, but for those
 * that come again. */
static void expect_until(uint64_t sequence)
{
    char line[4096];
    while (rig.last < sequence) {
        struct kms_audit_record record;
        if (!read_line(line, sizeof line)) {
            hang_up();
            answer();
            continue;
        }
        CU_ASSERT_FATAL(kms_audit_scan_record(kms_bytes_text(line), &record));
        CU_ASSERT_FATAL(record.sequence <= rig.last + 1);
        if (record.sequence > rig.last) rig.last = record.sequence;
    }
    CU_ASSERT_EQUAL(rig.last, sequence);
}

static void all_in_order(void)
{
    begin_log();
    rig.listener = bound(SOCK_STREAM);
    log_calls(rig.audit, 3); /* before the place was known: not sent */
    rig.last = log_head(rig.audit);
    start(KMS_SHIP_STREAM, false, LONG_MS);
    log_calls(rig.audit, RECORDS); /* several files */
    KMS_ASSERT_OK(committed(NULL));
    answer();
    expect_until(log_head(rig.audit));
    CU_ASSERT(log_files(rig.dir) > 1);
    end();
}

static void nobody_waits_for_an_optional_place(void)
{
    struct kms_why why = {{0}}, troubles[KMS_SHIP_TROUBLES] = {{{0}}};
    begin_log();
    start(KMS_SHIP_STREAM, false, LONG_MS);
    rig.last = log_head(rig.audit);
    log_calls(rig.audit, 5);
    KMS_ASSERT_OK(committed(&why));
    while (troubles[KMS_SHIP_STREAM].text[0] == '\0') kms_ship_troubles(rig.ship, troubles);
    CU_ASSERT_PTR_NOT_NULL(strstr(troubles[KMS_SHIP_STREAM].text, "/socket: No such file or directory"));
    rig.listener = bound(SOCK_STREAM);
    answer();
    expect_until(log_head(rig.audit));
    while (troubles[KMS_SHIP_STREAM].text[0] != '\0') kms_ship_troubles(rig.ship, troubles);
    end();
}

static void no_answer_without_a_required_place(void)
{
    struct kms_why why = {{0}};
    begin_log();
    start(KMS_SHIP_STREAM, true, LONG_MS);
    rig.last = log_head(rig.audit);
    for (int i = 0; i < 3; i++) { /* the first waits for the failure, the others fail at once */
        log_calls(rig.audit, 1);
        KMS_ASSERT_CODE(committed(&why), AUDIT_UNAVAILABLE);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "is required (audit.stream_required)"));
    }
    rig.listener = bound(SOCK_STREAM);
    answer();
    expect_until(log_head(rig.audit));
    while (kms_failed(committed(&why))) usleep(1000); /* it has what it missed: answers again */
    end();
}

/* Takes nothing, as a shipper does that hangs: required, it fails after the timeout, and recovers. */
static void a_place_that_hangs(void)
{
    struct kms_why why = {{0}};
    begin_log();
    rig.listener = bound(SOCK_STREAM);
    start(KMS_SHIP_STREAM, true, SHORT_MS);
    rig.last = log_head(rig.audit);
    kms_err err = KMS_OK;
    for (unsigned i = 0; !kms_failed(err) && i < 100000; i++) {
        log_calls(rig.audit, 1);
        err = committed(&why);
    }
    KMS_ASSERT_CODE(err, AUDIT_UNAVAILABLE);
    answer();
    expect_until(log_head(rig.audit));
    while (kms_failed(committed(&why))) usleep(1000);
    end();
}

static void goes_on_after_a_restart(void)
{
    begin_log();
    rig.listener = bound(SOCK_STREAM);
    start(KMS_SHIP_STREAM, true, LONG_MS);
    rig.last = log_head(rig.audit);
    log_calls(rig.audit, 4);
    KMS_ASSERT_OK(committed(NULL));
    answer();
    expect_until(log_head(rig.audit));
    kms_ship_stop(rig.ship);
    hang_up();
    log_calls(rig.audit, 50); /* nobody sends these */
    start(KMS_SHIP_STREAM, true, LONG_MS);
    KMS_ASSERT_OK(committed(NULL)); /* a backlog is waited for */
    answer();
    expect_until(log_head(rig.audit));
    end();
}

/* Nothing is lost that was in the socket when the other end went. */
static void a_connection_that_breaks(void)
{
    begin_log();
    rig.listener = bound(SOCK_STREAM);
    start(KMS_SHIP_STREAM, false, LONG_MS);
    rig.last = log_head(rig.audit);
    for (int i = 0; i < 5; i++) {
        log_calls(rig.audit, 200);
        KMS_ASSERT_OK(committed(NULL));
        answer();
        expect_until(rig.last + 100);
        hang_up();
    }
    log_calls(rig.audit, 1);
    KMS_ASSERT_OK(committed(NULL));
    answer();
    expect_until(log_head(rig.audit));
    end();
}

/* A line that somebody damaged before it was sent: it is told, and what follows is not held up for ever. */
static void a_line_that_is_damaged(void)
{
    struct kms_why troubles[KMS_SHIP_TROUBLES] = {{{0}}};
    KMS_OWN_BUF file = {0};
    begin_log();
    start(KMS_SHIP_STREAM, false, LONG_MS); /* nobody listens yet */
    log_calls(rig.audit, RECORDS);
    log_read(rig.dir, 1, &file);
    const uint8_t *line = memmem(file.data, file.len, "{\"seq\":7,", 9);
    CU_ASSERT_PTR_NOT_NULL_FATAL(line);
    log_poke(rig.dir, 1, (size_t)(line - file.data), 'x');
    rig.listener = bound(SOCK_STREAM);
    KMS_ASSERT_OK(committed(NULL));
    answer();
    rig.last = 1;
    expect_until(6);
    rig.last = 7;
    expect_until(log_head(rig.audit));
    while (troubles[KMS_SHIP_KINDS + KMS_SHIP_STREAM].text[0] == '\0') kms_ship_troubles(rig.ship, troubles);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(troubles[KMS_SHIP_KINDS + KMS_SHIP_STREAM].text, "records 7 to 7 were not sent"));
    end();
}

/* What a failed write left in its file was written anew to the next one: only that is sent. */
static void what_a_failed_write_left(void)
{
    char line[4096], left[4096];
    KMS_OWN_BUF file = {0};
    begin_log();
    rig.listener = bound(SOCK_STREAM);
    start(KMS_SHIP_STREAM, false, LONG_MS);
    rig.last = log_head(rig.audit);
    log_calls(rig.audit, 1);
    KMS_ASSERT_OK(committed(NULL));
    answer();
    CU_ASSERT_FATAL(read_line(left, sizeof left));
    CU_ASSERT_EQUAL_FATAL(strncmp(left, "{\"seq\":2,", 9), 0);
    left[strlen("{\"seq\":")] = '3'; /* the same once more, as if a batch of it had got so far */
    log_read(rig.dir, 1, &file);
    faults_arm(FAULT_DISK, 1);
    log_call(rig.audit, 7);
    KMS_ASSERT_OK(kms_audit_commit(rig.audit));
    CU_ASSERT_TRUE(faults_hit());
    faults_arm(FAULT_DISK, 0);
    size_t len = strlen(left);
    left[len++] = '\n';
    for (size_t i = 0; i < len; i++) log_poke(rig.dir, 1, file.len + i, (uint8_t)left[i]);
    KMS_ASSERT_OK(committed(NULL));
    CU_ASSERT_FATAL(read_line(line, sizeof line));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"because\":\"failed\""));
    CU_ASSERT_FATAL(read_line(line, sizeof line));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"Op7\""));
    end();
}

static void stopping_does_not_wait_for_the_dead(void)
{
    begin_log();
    start(KMS_SHIP_STREAM, false, LONG_MS);
    log_calls(rig.audit, 3);
    KMS_ASSERT_OK(committed(NULL));
    struct kms_why troubles[KMS_SHIP_TROUBLES] = {{{0}}};
    while (troubles[KMS_SHIP_STREAM].text[0] == '\0') kms_ship_troubles(rig.ship, troubles);
    end(); /* the time limit of the test */
}

static void syslog_datagrams(void)
{
    char datagram[DATAGRAM_BYTES], month[4];
    int pid = 0, length = 0;
    begin_log();
    rig.listener = bound(SOCK_DGRAM);
    start(KMS_SHIP_SYSLOG, true, LONG_MS);
    log_calls(rig.audit, 1);
    KMS_ASSERT_OK(committed(NULL));
    ssize_t len = recv(rig.listener, datagram, sizeof datagram - 1, 0);
    CU_ASSERT_FATAL(len > 0);
    datagram[len] = '\0';
    CU_ASSERT_EQUAL(sscanf(datagram, "<86>%3s %*d %*d:%*d:%*d kmsd-audit[%d]: %n", month, &pid, &length), 2);
    CU_ASSERT_EQUAL(pid, getpid());
    struct kms_audit_record record;
    CU_ASSERT_FATAL(length > 0);
    CU_ASSERT(kms_audit_scan_record(kms_bytes_text(datagram + length), &record));
    CU_ASSERT_EQUAL(record.sequence, log_head(rig.audit));
    end();
}

/* A datagram has a bound, which the kernel sets: a record above it is named. */
static void a_record_too_long_for_a_datagram(void)
{
    static uint8_t body[KMS_AUDIT_LINE_BYTES - KMS_AUDIT_FRAME_BYTES], line[KMS_AUDIT_LINE_BYTES];
    static char datagram[DATAGRAM_BYTES];
    struct kms_audit_chain chain = {.head = kms_audit_no_head};
    int small = 4096;
    size_t len;
    struct kms_why why = {{0}};
    begin_log();
    rig.listener = bound(SOCK_DGRAM);
    struct kms_ship_socket to = {.kind = KMS_SHIP_SYSLOG, .path = rig.path, .timeout_ms = LONG_MS, .fd = -1};
    KMS_ASSERT_OK_FATAL(kms_ship_connect(&to, &why));
    CU_ASSERT_EQUAL(setsockopt(to.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    memset(body, 'x', sizeof body);
    memcpy(body, ",\"kind\":\"call\",\"x\":\"", 20);
    body[sizeof body - 1] = '"';
    KMS_ASSERT_OK_FATAL(kms_digest_new(&chain.digest));
    KMS_ASSERT_OK_FATAL(kms_audit_seal(&chain, 1, kms_bytes_of(body, sizeof body), line, &len));
    KMS_ASSERT_OK(kms_ship_send(&to, kms_bytes_of(line, len - 1), &why));
    ssize_t got = recv(rig.listener, datagram, sizeof datagram - 1, 0);
    CU_ASSERT_FATAL(got > 0);
    datagram[got] = '\0';
    CU_ASSERT_PTR_NOT_NULL(strstr(datagram,
                                  "]: {\"seq\":1,\"time\":\"1970-01-01T00:00:00.000001Z\",\"kind\":\"call\","
                                  "\"too_long\":"));
    CU_ASSERT_PTR_NOT_NULL(strstr(datagram, chain.head.hash));
    kms_digest_free(chain.digest);
    kms_ship_disconnect(&to);
    end();
}

static void a_mark_that_cannot_be_written(void)
{
    struct kms_why why = {{0}};
    kms_ship *ship = NULL;
    begin_log();
    const struct kms_ship_options options = {
        .dir = "/nonexistent", .instance = "t", .places = {{rig.path, false}}, .timeout_ms = 1};
    KMS_ASSERT_CODE(kms_ship_start(&options, 0, &ship, &why), IO);
    CU_ASSERT_STRING_EQUAL(why.text, "/nonexistent/.t.stream: No such file or directory");
    kms_ship_stop(NULL);
    KMS_ASSERT_OK(kms_ship_commit(NULL, 1, 1, &why));
    end();
}

KMS_TEST_MAIN("audit/ship", {"a line that is damaged", a_line_that_is_damaged},
              {"all in order", all_in_order},
              {"nobody waits for an optional place", nobody_waits_for_an_optional_place},
              {"no answer without a required place", no_answer_without_a_required_place},
              {"a place that hangs", a_place_that_hangs},
              {"goes on after a restart", goes_on_after_a_restart},
              {"a connection that breaks", a_connection_that_breaks},
              {"what a failed write left", what_a_failed_write_left},
              {"stopping does not wait for the dead", stopping_does_not_wait_for_the_dead},
              {"syslog datagrams", syslog_datagrams},
              {"a record too long for a datagram", a_record_too_long_for_a_datagram},
              {"a mark that cannot be written", a_mark_that_cannot_be_written})
