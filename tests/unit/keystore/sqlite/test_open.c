/* What opening a SQLite keystore says about files: missing, foreign, damaged, locked, read-only or newer. */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keystore/keystore.h"
#include "tests/harness/suite.h"

static const char *path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", kms_temp_dir(), name);
    return path;
}

static void write_file(const char *path, const void *data, size_t len)
{
    KMS_OWN_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CU_ASSERT_EQUAL_FATAL(write(fd, data, len), (ssize_t)len);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void make_keystore(const char *path)
{
    KMS_OWN(kms_keystore) store = NULL;
    KMS_ASSERT_OK_FATAL(kms_keystore_open_sqlite(path, true, &store, NULL));
}

static void expect(const char *path, bool create, enum kms_code want, const char *word, int line)
{
    kms_keystore *store = NULL;
    struct kms_why why = {""};
    kms_err err = kms_keystore_open_sqlite(path, create, &store, &why);
    CU_ASSERT(kms_code_is(err, want, __FILE__, line));
    CU_ASSERT_PTR_NULL(store);
    if (strstr(why.text, word) == NULL) fprintf(stderr, "\n%s:%d: %s\n", __FILE__, line, why.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, word));
    kms_keystore_close(store);
}
#define EXPECT(path, create, want, word) expect(path, create, KMS_E_##want, word, __LINE__)

static void a_new_file_is_for_its_owner_only(void)
{
    const char *path = path_of("new.db");
    struct stat st;
    mode_t before = umask(0);
    make_keystore(path);
    umask(before);
    CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
    KMS_OWN(kms_keystore) store = NULL; /* and it is opened without create */
    KMS_ASSERT_OK(kms_keystore_open_sqlite(path, false, &store, NULL));
}

static void what_is_missing_is_said(void)
{
    EXPECT(path_of("absent.db"), false, KEYSTORE_UNAVAILABLE, "absent.db");
    CU_ASSERT_EQUAL(access(path_of("absent.db"), F_OK), -1);
    EXPECT(path_of("no/such/directory.db"), true, KEYSTORE_UNAVAILABLE, "No such file or directory");
    EXPECT(path_of("no/such/directory.db"), false, KEYSTORE_UNAVAILABLE, "No such file or directory");
    EXPECT(kms_temp_dir(), true, KEYSTORE_UNAVAILABLE, "cannot be opened");
}

static void a_path_is_a_path(void)
{
    static char long_path[5000];
    memset(long_path, 'p', sizeof long_path - 1);
    EXPECT("", true, INVALID_ARGUMENT, "not the path");
    EXPECT(":memory:", true, INVALID_ARGUMENT, "not the path");
    EXPECT(long_path, true, INVALID_ARGUMENT, "not the path");
}

static void what_is_no_keystore_is_left_alone(void)
{
    static char garbage[5000];
    memset(garbage, 'g', sizeof garbage);
    write_file(path_of("garbage.db"), garbage, sizeof garbage);
    EXPECT(path_of("garbage.db"), true, CORRUPT, "not a keystore");
    write_file(path_of("short.db"), "short", 5);
    EXPECT(path_of("short.db"), true, CORRUPT, "not a keystore");
    write_file(path_of("empty.db"), "", 0);
    EXPECT(path_of("empty.db"), false, CORRUPT, "empty");
    make_keystore(path_of("empty.db")); /* as after a crash in the first open */
    run_sql(path_of("other.db"), "CREATE TABLE recipes (name TEXT)");
    EXPECT(path_of("other.db"), true, CORRUPT, "another program");
    run_sql(path_of("other.db"), "PRAGMA application_id = 0x6b6d7364");
    EXPECT(path_of("other.db"), true, CORRUPT, "tables");
    run_sql(path_of("other.db"), "CREATE TABLE schema_version (version INTEGER)");
    EXPECT(path_of("other.db"), true, CORRUPT, "damaged");
    run_sql(path_of("other.db"), "INSERT INTO schema_version VALUES (1)");
    EXPECT(path_of("other.db"), true, CORRUPT, "tables");
}

static void a_cut_file_is_damaged(void)
{
    const char *path = path_of("cut.db");
    make_keystore(path);
    CU_ASSERT_EQUAL_FATAL(truncate(path, 4096), 0);
    EXPECT(path, false, CORRUPT, "damaged");
}

static void a_newer_schema_is_refused_with_both_numbers(void)
{
    const char *path = path_of("newer.db");
    make_keystore(path);
    run_sql(path, "UPDATE schema_version SET version = 2000000000");
    EXPECT(path, true, SCHEMA_TOO_NEW, "schema 2000000000");
    EXPECT(path, true, SCHEMA_TOO_NEW, "up to 1");
}

static void a_lock_of_another_process_is_named(void)
{
    const char *path = path_of("locked.db");
    int ends[2];
    char byte;
    make_keystore(path);
    KMS_OWN(kms_keystore) store = NULL;
    static const uint8_t key[32];
    struct kms_id id = {{0}};
    uint64_t granted;
    struct kms_why why = {""};
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db = NULL;
        bool locked = sqlite3_open(path, &db) == SQLITE_OK &&
                      sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE t (x)",
                                   NULL, NULL, NULL) == SQLITE_OK;
        if (!locked || write(ends[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    CU_ASSERT_EQUAL_FATAL(read(ends[0], &byte, 1), 1);
    EXPECT(path, false, KEYSTORE_UNAVAILABLE, "locked by another process");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    /* and one that is taken while the store is open */
    KMS_ASSERT_OK_FATAL(kms_keystore_open_sqlite(path, false, &store, NULL));
    KMS_ASSERT_OK(kms_keystore_unlock(store, kms_bytes_of(key, sizeof key)));
    sqlite3 *other = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &other), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    KMS_ASSERT_CODE(
        kms_keystore_reserve(store, &(struct kms_reservation){&id, 1, 1, 1, NULL}, &granted, &why),
        KEYSTORE_UNAVAILABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "locked by another process"));
    sqlite3_close(other);
    KMS_ASSERT_OK(kms_keystore_reserve(store, &(struct kms_reservation){&id, 1, 1, 1, NULL}, &granted, &why));
    close(ends[0]);
    close(ends[1]);
}

/* In a child without root's power over permissions; the exit status is the error code. */
static enum kms_code open_as_nobody(const char *path, bool create, char word_seen[KMS_WHY_BYTES])
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        enum { NOBODY = 65534 };
        kms_keystore *store = NULL;
        struct kms_why why = {""};
        if (geteuid() == 0 &&
            (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0))
            _exit(255);
        kms_err err = kms_keystore_open_sqlite(path, create, &store, &why);
        if (write(ends[1], why.text, sizeof why.text) != (ssize_t)sizeof why.text) _exit(255);
        _exit((int)err.code);
    }
    int status = 0;
    CU_ASSERT_EQUAL(read(ends[0], word_seen, KMS_WHY_BYTES), KMS_WHY_BYTES);
    close(ends[0]);
    close(ends[1]);
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_FATAL(WIFEXITED(status));
    return (enum kms_code)WEXITSTATUS(status);
}

static void what_is_read_only_is_said(void)
{
    char directory[200], file[220], fresh[220], words[KMS_WHY_BYTES];
    snprintf(directory, sizeof directory, "%s", path_of("read-only"));
    snprintf(file, sizeof file, "%s/store.db", directory);
    snprintf(fresh, sizeof fresh, "%s/new.db", directory);
    CU_ASSERT_EQUAL_FATAL(mkdir(directory, 0755), 0);
    CU_ASSERT_EQUAL_FATAL(chmod(kms_temp_dir(), 0755), 0);
    make_keystore(file);
    CU_ASSERT_EQUAL(chmod(file, 0444), 0); /* a file that may only be read */
    CU_ASSERT_EQUAL(chmod(directory, 0777), 0);
    CU_ASSERT_EQUAL(open_as_nobody(file, false, words), KMS_E_KEYSTORE_UNAVAILABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(words, "read-only"));
    CU_ASSERT_EQUAL(chmod(file, 0666), 0); /* a directory that may only be read */
    CU_ASSERT_EQUAL(chmod(directory, 0555), 0);
    CU_ASSERT_EQUAL(open_as_nobody(file, false, words), KMS_E_KEYSTORE_UNAVAILABLE);
    CU_ASSERT(strstr(words, "read-only") != NULL || strstr(words, "write") != NULL);
    CU_ASSERT_EQUAL(open_as_nobody(fresh, true, words), KMS_E_KEYSTORE_UNAVAILABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(words, "Permission denied"));
    CU_ASSERT_EQUAL(chmod(file, 0), 0);
    CU_ASSERT_EQUAL(open_as_nobody(file, false, words), KMS_E_KEYSTORE_UNAVAILABLE);
    CU_ASSERT_EQUAL(chmod(directory, 0755), 0); /* so that it can be removed */
}

static void triggers_of_an_edited_file_do_not_run(void)
{
    const char *path = path_of("trigger.db");
    static const uint8_t key[32];
    KMS_OWN(kms_keystore) store = NULL;
    struct kms_store_mark mark;
    struct kms_id request = {{1}};
    const struct kms_change change = {.table = KMS_TABLE_KEY, .id = "a", .body = kms_bytes_text("x")};
    make_keystore(path);
    run_sql(path, "CREATE TRIGGER t AFTER INSERT ON sealed_row BEGIN DELETE FROM sealed_row; END");
    KMS_ASSERT_OK_FATAL(kms_keystore_open_sqlite(path, false, &store, NULL));
    KMS_ASSERT_OK(kms_keystore_unlock(store, kms_bytes_of(key, sizeof key)));
    KMS_ASSERT_OK(kms_keystore_apply(store, &request, &change, 1, &mark, NULL));
    KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
}

/* Opens, unlocks and verifies; whatever is wrong must come back as an error. */
static kms_err read_all(const char *path, struct kms_store_mark *ret_mark, struct kms_why *why)
{
    static const uint8_t key[32];
    KMS_OWN(kms_keystore) store = NULL;
    KMS_TRY(kms_keystore_open_sqlite(path, false, &store, why));
    KMS_TRY(kms_keystore_unlock(store, kms_bytes_of(key, sizeof key)));
    return kms_keystore_verify(store, ret_mark, why);
}

static void fill(const char *path)
{
    static const uint8_t key[32];
    KMS_OWN(kms_keystore) store = NULL;
    struct kms_store_mark mark;
    KMS_ASSERT_OK_FATAL(kms_keystore_open_sqlite(path, true, &store, NULL));
    KMS_ASSERT_OK_FATAL(kms_keystore_unlock(store, kms_bytes_of(key, sizeof key)));
    for (uint8_t i = 1; i < 40; i++) {
        char id[20];
        struct kms_id request = {{i}};
        snprintf(id, sizeof id, "key %u", i);
        struct kms_change change = {
            .table = KMS_TABLE_KEY, .id = id, .body = kms_bytes_text("some bytes of a body")};
        KMS_ASSERT_OK_FATAL(kms_keystore_apply(store, &request, &change, 1, &mark, NULL));
    }
}

static void flipped_bytes_are_found_or_do_no_harm(void)
{
    enum { FLIPS = 600 };
    struct kms_store_mark whole, mark = {0};
    KMS_OWN_BUF bytes = {0};
    uint64_t random = 88172645463325252u; /* xorshift: the same flips each time */
    unsigned found = 0;
    fill(path_of("whole.db"));
    KMS_ASSERT_OK_FATAL(read_all(path_of("whole.db"), &whole, NULL));
    KMS_ASSERT_OK_FATAL(kms_read_file(path_of("whole.db"), 10 << 20, &bytes, NULL));
    for (unsigned i = 0; i < FLIPS; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint8_t *at = &bytes.data[random % bytes.len], flip = (uint8_t)(1 + (random >> 32) % 255);
        struct kms_why why = {""};
        *at ^= flip;
        write_file(path_of("flipped.db"), bytes.data, bytes.len);
        *at ^= flip;
        kms_err err = read_all(path_of("flipped.db"), &mark, &why);
        bool same = memcmp(&mark, &whole, sizeof mark) == 0;
        CU_ASSERT(kms_failed(err) ? why.text[0] != '\0' : same);
        found += kms_failed(err);
    }
    CU_ASSERT(found > FLIPS / 20); /* the rest fell into unused space of the pages */
}

KMS_TEST_MAIN("keystore/sqlite/open", {"a new file is for its owner only", a_new_file_is_for_its_owner_only},
              {"what is missing is said", what_is_missing_is_said}, {"a path is a path", a_path_is_a_path},
              {"what is no keystore is left alone", what_is_no_keystore_is_left_alone},
              {"a cut file is damaged", a_cut_file_is_damaged},
              {"a newer schema is refused with both numbers", a_newer_schema_is_refused_with_both_numbers},
              {"a lock of another process is named", a_lock_of_another_process_is_named},
              {"what is read-only is said", what_is_read_only_is_said},
              {"triggers of an edited file do not run", triggers_of_an_edited_file_do_not_run},
              {"flipped bytes are found or do no harm", flipped_bytes_are_found_or_do_no_harm})
