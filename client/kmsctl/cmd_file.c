/* kmsctl file: files of any length, encrypted and decrypted here, chunk by chunk (kms/file.h). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <kms/file.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/progress.h"
#include "client/kmsctl/records.h"
#include "client/kmsctl/target.h"

_Static_assert(KMS_FILE_UNKNOWN == CTL_PROGRESS_UNKNOWN, "a length that is not known has no bar");

/* One command: from where to where. */
struct job {
    struct ctl *ctl;
    const char *name; /* of the input, for messages */
    int in;
    uint64_t in_bytes; /* KMS_FILE_UNKNOWN: a pipe, a device */
    struct ctl_pairs pairs;
    struct ctl_target target;
    struct ctl_progress progress;
};

static void job_close(struct job *job)
{
    ctl_progress_clear(&job->progress);
    ctl_target_drop(&job->target);
    if (job->in > STDERR_FILENO) close(job->in);
}

static bool fail_input(const struct job *job)
{
    struct kms_why why;
    kms_why_set(&why, "%s: %s", job->name, strerror(errno));
    return ctl_fail(job->ctl, KMS_FAIL(IO), &why);
}

static bool fail_stopped(const struct job *job)
{
    const struct kms_why why = {"stopped by a signal; no file was written"};
    return ctl_fail(job->ctl, KMS_FAIL(CANCELLED), &why);
}

static bool open_input(struct job *job, const char *path)
{
    struct stat file;
    const bool named = path != NULL && strcmp(path, "-") != 0;
    job->name = named ? path : "standard input";
    job->in = named ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;
    if (job->in < 0 || fstat(job->in, &file) != 0) return fail_input(job);
    if (S_ISDIR(file.st_mode)) {
        errno = EISDIR;
        return fail_input(job);
    }
    /* standard input may stand in the middle of a file */
    const bool whole = S_ISREG(file.st_mode) && lseek(job->in, 0, SEEK_CUR) == 0;
    job->in_bytes = whole ? (uint64_t)file.st_size : KMS_FILE_UNKNOWN;
    return true;
}

/* What both ways have in common, before anything is opened. */
static bool prepare(struct job *job)
{
    struct ctl *ctl = job->ctl;
    struct kms_why why = {{0}};
    if (ctl_wants_json(ctl) && ctl->out == NULL)
        return ctl_fail_usage(ctl, "standard output is for the file: -o json goes with --out FILE");
    kms_err err = ctl_parse_pairs(&ctl->pairs, &job->pairs, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    ctl_catch_stop();
    ctl_progress_start(&job->progress, NULL);
    return open_input(job, ctl->in) && ctl_target_check(ctl, ctl->out, ctl->force, &job->target) &&
           ctl_client(ctl) != NULL;
}

static bool set_number(json_t *object, const char *name, uint64_t number)
{
    return number == KMS_FILE_UNKNOWN ||
           json_object_set_new(object, name, json_integer((json_int_t)number)) == 0;
}

/* Members that are not known stay out. */
static json_t *describe(const struct kms_file_info *info)
{
    json_t *value = json_object();
    bool ok = value != NULL && set_number(value, "format_version", info->version);
    if (ok && info->key_id[0] != '\0')
        ok = json_object_set_new(value, "key_id", json_string(info->key_id)) == 0 &&
             set_number(value, "key_version", info->key_version);
    ok = ok && set_number(value, "chunk_bytes", info->chunk_bytes) &&
         set_number(value, "header_bytes", info->header_bytes) && set_number(value, "chunks", info->chunks) &&
         set_number(value, "plaintext_bytes", info->plaintext_bytes) &&
         set_number(value, "file_bytes", info->file_bytes);
    if (ok) return value;
    json_decref(value);
    return NULL;
}

/* To the target: what the library writes when it encrypts. */
static bool write_file(void *self, const void *data, size_t len, struct kms_error *error)
{
    struct job *job = self;
    if (ctl_target_write(job->ctl, &job->target, kms_bytes_of(data, len))) return true;
    *error = job->ctl->error;
    return false;
}

/* Some bytes of the input; 0: its end; less: *ctl->error. */
static ssize_t read_some(const struct job *job, void *to, size_t len)
{
    for (;;) {
        ssize_t got = read(job->in, to, len);
        if (got >= 0) return got;
        if (errno == EINTR && ctl_stopped())
            fail_stopped(job);
        else if (errno == EINTR)
            continue;
        else
            fail_input(job);
        return -1;
    }
}

static bool encrypt_all(struct job *job, kms_file_writer *writer)
{
    KMS_OWN(kms_secret) buffer = NULL;
    uint64_t done = 0;
    kms_err err = kms_secret_new(KMS_FILE_CHUNK_BYTES, &buffer);
    if (kms_failed(err)) return ctl_fail(job->ctl, err, NULL);
    for (;;) {
        ssize_t got = read_some(job, kms_secret_data(buffer), kms_secret_len(buffer));
        if (got <= 0) return got == 0;
        if (!kms_file_writer_put(writer, kms_secret_data(buffer), (size_t)got, &job->ctl->error))
            return false;
        done += (uint64_t)got;
        ctl_progress_show(&job->progress, done, job->in_bytes); /* of a pipe: how much went through */
        if (ctl_stopped()) return fail_stopped(job);
    }
}

static bool encrypt(struct job *job)
{
    struct ctl *ctl = job->ctl;
    struct kms_file_info info;
    kms_file_writer *writer = NULL;
    if (!prepare(job)) return false;
    const struct kms_call_options options = ctl_call_options(ctl);
    const struct kms_file_encrypt_request request = {.key_id = ctl->key,
                                                     .context = ctl_context_of(&job->pairs),
                                                     .chunk_bytes = ctl->chunk_bytes,
                                                     .write = write_file,
                                                     .self = job};
    bool ok = ctl_target_open(ctl, &job->target) &&
              kms_file_writer_open(ctl->client, &request, &options, &writer, &ctl->error) &&
              encrypt_all(job, writer) && kms_file_writer_end(writer, &info, &ctl->error) &&
              ctl_target_keep(ctl, &job->target);
    kms_file_writer_free(writer);
    ctl_progress_clear(&job->progress);
    return ok && (!ctl_wants_json(ctl) || ctl_print(ctl, describe(&info)));
}

bool ctl_file_encrypt(struct ctl *ctl)
{
    __attribute__((cleanup(job_close))) struct job job = {.ctl = ctl, .in = -1, .target = {.fd = -1}};
    if (ctl->key == NULL) return ctl_fail_usage(ctl, "encrypt under which key? --key KEY");
    if (ctl->out == NULL && isatty(STDOUT_FILENO))
        return ctl_fail_usage(ctl,
                              "an encrypted file is no text for this terminal: use --out FILE or a pipe");
    return encrypt(&job);
}

static bool read_file(void *self, uint64_t offset, void *to, size_t len, size_t *ret_len,
                      struct kms_error *error)
{
    const struct job *job = self;
    ssize_t got = -1;
    if (job->in_bytes == KMS_FILE_UNKNOWN)
        got = read_some(job, to, len);
    else if (ctl_stopped())
        fail_stopped(job);
    else if ((got = pread(job->in, to, len, (off_t)offset)) < 0)
        fail_input(job);
    if (got < 0) *error = job->ctl->error;
    *ret_len = got > 0 ? (size_t)got : 0;
    return got >= 0;
}

static struct kms_file_source source_of(struct job *job)
{
    return (struct kms_file_source){.read = read_file, .self = job, .file_bytes = job->in_bytes};
}

/* Which part of the plaintext is wanted. */
struct range {
    uint64_t offset, length;
};

static bool read_range(struct ctl *ctl, struct range *ret_range)
{
    struct range range = {.length = UINT64_MAX};
    if (ctl->offset != NULL && !ctl_byte_count(ctl->offset, &range.offset))
        return ctl_fail_usage(ctl, "--offset %s is no number of bytes", ctl->offset);
    if (ctl->length != NULL && !ctl_byte_count(ctl->length, &range.length))
        return ctl_fail_usage(ctl, "--length %s is no number of bytes", ctl->length);
    *ret_range = range;
    return true;
}

/* How much of the range there is, for the bar; KMS_FILE_UNKNOWN of a pipe. */
static uint64_t expected(const struct job *job, const kms_file_reader *reader, struct range range)
{
    struct kms_file_info info;
    kms_file_reader_info(reader, &info);
    if (job->in_bytes == KMS_FILE_UNKNOWN || info.plaintext_bytes < range.offset) return KMS_FILE_UNKNOWN;
    uint64_t left = info.plaintext_bytes - range.offset;
    return left < range.length ? left : range.length;
}

static bool behind_the_end(struct job *job, uint64_t offset, uint64_t end)
{
    struct kms_why why;
    kms_why_set(&why, "offset %" PRIu64 " is behind the end: the file holds %" PRIu64 " bytes", offset, end);
    return ctl_fail(job->ctl, KMS_FAIL(INVALID_ARGUMENT), &why);
}

/* Of a pipe the beginning is read and left out. */
static bool decrypt_all(struct job *job, kms_file_reader *reader, struct range range)
{
    struct ctl *ctl = job->ctl;
    const bool pipe = job->in_bytes == KMS_FILE_UNKNOWN;
    const uint64_t total = expected(job, reader, range), offset = range.offset;
    if (!pipe && !kms_file_reader_seek(reader, offset, &ctl->error)) return false;
    for (uint64_t skip = pipe ? offset : 0; range.length > 0;) {
        const uint8_t *piece;
        size_t len;
        if (ctl_stopped()) return fail_stopped(job);
        if (!kms_file_reader_next(reader, &piece, &len, &ctl->error)) return false;
        if (len == 0) return skip == 0 || behind_the_end(job, offset, offset - skip);
        const size_t left_out = skip < len ? (size_t)skip : len;
        skip -= left_out;
        len -= left_out;
        if (len > range.length) len = (size_t)range.length;
        if (!ctl_target_write(ctl, &job->target, kms_bytes_of(piece + left_out, len))) return false;
        range.length -= len;
        ctl_progress_show(&job->progress, job->target.written, total);
    }
    return true;
}

/* Who sees a part on standard output must hear that it is one. */
static bool fail_midway(struct job *job)
{
    struct kms_error *error = &job->ctl->error;
    char said[sizeof error->message];
    if (job->ctl->usage || job->target.written == 0 || job->ctl->out != NULL) return false;
    snprintf(said, sizeof said, "%s", error->message);
    snprintf(error->message, sizeof error->message,
             "%.400s; the %" PRIu64 " bytes on standard output are not all", said, job->target.written);
    return false;
}

static json_t *describe_part(const kms_file_reader *reader, uint64_t written)
{
    struct kms_file_info info;
    kms_file_reader_info(reader, &info);
    json_t *value = describe(&info);
    if (value != NULL && set_number(value, "written_bytes", written)) return value;
    json_decref(value);
    return NULL;
}

static bool decrypt(struct job *job, struct range range)
{
    struct ctl *ctl = job->ctl;
    kms_file_reader *reader = NULL;
    if (!prepare(job)) return false;
    const struct kms_call_options options = ctl_call_options(ctl);
    const struct kms_file_decrypt_request request = {
        .context = ctl_context_of(&job->pairs), .key_id = ctl->key, .source = source_of(job)};
    bool ok = kms_file_reader_open(ctl->client, &request, &options, &reader, &ctl->error) &&
              ctl_target_open(ctl, &job->target) && decrypt_all(job, reader, range) &&
              ctl_target_keep(ctl, &job->target);
    ctl_progress_clear(&job->progress);
    json_t *report = ok && ctl_wants_json(ctl) ? describe_part(reader, job->target.written) : NULL;
    kms_file_reader_free(reader);
    if (!ok) return fail_midway(job);
    return !ctl_wants_json(ctl) || ctl_print(ctl, report);
}

bool ctl_file_decrypt(struct ctl *ctl)
{
    __attribute__((cleanup(job_close))) struct job job = {.ctl = ctl, .in = -1, .target = {.fd = -1}};
    struct range range = {0};
    return read_range(ctl, &range) && ctl_may_show(ctl) && decrypt(&job, range);
}

bool ctl_file_inspect(struct ctl *ctl)
{
    __attribute__((cleanup(job_close))) struct job job = {.ctl = ctl, .in = -1, .target = {.fd = -1}};
    struct kms_file_info info;
    if (!open_input(&job, ctl->arguments[0])) return false;
    const struct kms_file_source source = source_of(&job);
    return kms_file_inspect(&source, &info, &ctl->error) && ctl_print(ctl, describe(&info));
}
