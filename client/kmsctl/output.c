/* JSON values to standard output, as JSON or through the table; and bytes to files. */
#include "client/kmsctl/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ciphertext.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/text.h"
#include "client/kmsctl/target.h"

enum { STDOUT_BYTES = 8192 };

bool ctl_wants_json(const struct ctl *ctl)
{
    return ctl->output != NULL && strcmp(ctl->output, "json") == 0;
}

static void put_value(const struct ctl *ctl, const json_t *value, FILE *out)
{
    if (ctl_wants_json(ctl)) {
        json_dumpf(value, out, JSON_INDENT(2));
        fputc('\n', out);
    } else {
        ctl_table(value, out);
    }
}

bool ctl_print(struct ctl *ctl, json_t *value)
{
    if (value == NULL) return ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
    put_value(ctl, value, stdout);
    json_decref(value);
    return ctl_flush(ctl);
}

bool ctl_flush(struct ctl *ctl)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return true;
    struct kms_why why;
    kms_why_set(&why, "standard output: %s", strerror(errno));
    return ctl_fail(ctl, KMS_FAIL(IO), &why);
}

json_t *ctl_json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL || kms_utf8_valid(kms_bytes_text(text))) return value;
    char *copy = strdup(text);
    for (char *c = copy; c != NULL && *c != '\0'; c++)
        if ((unsigned char)*c > 0x7e) *c = '?';
    value = copy != NULL ? json_string(copy) : NULL;
    free(copy);
    return value;
}

json_t *ctl_json_time(uint64_t us)
{
    char text[KMS_TIME_TEXT];
    kms_time_text(us, text);
    return json_string(text);
}

json_t *ctl_json_span(uint64_t seconds)
{
    static const struct {
        uint64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    char text[64] = "";
    size_t len = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        uint64_t count = seconds / units[i].seconds;
        seconds %= units[i].seconds;
        if (count > 0)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%" PRIu64 "%c", len > 0 ? " " : "",
                                    count, units[i].unit);
    }
    return json_string(len > 0 ? text : "0s");
}

json_t *ctl_json_base64(const void *data, size_t len)
{
    size_t size = kms_base64_len(len) + 1;
    char *text = kms_locked_alloc(size);
    if (text == NULL) return NULL;
    kms_base64(kms_bytes_of(data, len), text);
    json_t *value = json_string(text);
    kms_locked_free(text, size);
    return value;
}

json_t *ctl_json_ciphertext(const struct kms_blob *blob)
{
    KMS_OWN_BUF text = {0};
    if (kms_failed(kms_ciphertext_to_text(kms_bytes_of(blob->data, blob->len), &text))) return NULL;
    return json_string((const char *)text.data);
}

/* jansson frees without a length, so each block carries its own. */
struct locked_block {
    size_t size;
    _Alignas(max_align_t) uint8_t data[];
};

static void *locked_malloc(size_t size)
{
    struct locked_block *block = kms_locked_alloc(sizeof *block + size);
    if (block == NULL) return NULL;
    block->size = sizeof *block + size;
    return block->data;
}

static void locked_free(void *data)
{
    if (data == NULL) return;
    struct locked_block *block =
        (struct locked_block *)((uintptr_t)data - offsetof(struct locked_block, data));
    kms_locked_free(block, block->size);
}

bool ctl_output_secret(struct ctl *ctl)
{
    char *buffer = kms_locked_alloc(STDOUT_BYTES); /* stays until the process ends, as stdout does */
    if (buffer == NULL) return ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
    setvbuf(stdout, buffer, _IOFBF, STDOUT_BYTES);
    json_set_alloc_funcs(locked_malloc, locked_free);
    return true;
}

/* Through a stream of its own, whose buffer is wiped. */
static bool put_secret(const struct ctl *ctl, int fd, const json_t *value)
{
    char *buffer = kms_locked_alloc(STDOUT_BYTES);
    int copy = buffer != NULL ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    FILE *out = copy >= 0 ? fdopen(copy, "w") : NULL;
    bool ok = false;
    if (out != NULL && setvbuf(out, buffer, _IOFBF, STDOUT_BYTES) == 0) {
        put_value(ctl, value, out);
        ok = fflush(out) == 0 && !ferror(out);
    }
    int error = errno;
    if (out != NULL)
        fclose(out);
    else if (copy >= 0)
        close(copy);
    if (buffer != NULL) kms_locked_free(buffer, STDOUT_BYTES);
    errno = error;
    return ok;
}

bool ctl_print_into(struct ctl *ctl, struct ctl_target *target, json_t *value)
{
    if (value == NULL) return ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
    bool ok = put_secret(ctl, target->fd, value);
    struct kms_why why;
    kms_why_set(&why, "%s: %s", target->path != NULL ? target->path : "standard output", strerror(errno));
    json_decref(value);
    return ok ? ctl_target_keep(ctl, target) : ctl_fail(ctl, KMS_FAIL(IO), &why);
}

bool ctl_print_secret(struct ctl *ctl, json_t *value)
{
    struct ctl_target target;
    bool ok = ctl_target_check(ctl, ctl->out, true, &target) && ctl_target_open(ctl, &target);
    if (ok)
        ok = ctl_print_into(ctl, &target, value);
    else
        json_decref(value);
    ctl_target_drop(&target);
    return ok;
}

/* path NULL: standard output. */
static bool write_to(struct ctl *ctl, const char *path, struct kms_bytes data)
{
    struct ctl_target target;
    bool ok = ctl_target_check(ctl, path, true, &target) && ctl_target_open(ctl, &target) &&
              ctl_target_write(ctl, &target, data) && ctl_target_keep(ctl, &target);
    ctl_target_drop(&target);
    return ok;
}

bool ctl_write_file(struct ctl *ctl, const char *path, struct kms_bytes data)
{
    return write_to(ctl, path, data);
}

bool ctl_write(struct ctl *ctl, struct kms_bytes data)
{
    return write_to(ctl, ctl->out, data);
}

bool ctl_write_line(struct ctl *ctl, const char *text)
{
    KMS_OWN_BUF line = {0};
    kms_err err = kms_buf_print(&line, "%s", text);
    if (!kms_failed(err) && (line.len == 0 || line.data[line.len - 1] != '\n'))
        err = kms_buf_append(&line, "\n", 1);
    return kms_failed(err) ? ctl_fail(ctl, err, NULL) : ctl_write(ctl, kms_buf_view(&line));
}

bool ctl_may_show(struct ctl *ctl)
{
    if (ctl->out != NULL || ctl->show || !isatty(STDOUT_FILENO)) return true;
    return ctl_fail_usage(ctl, "plaintext would go to this terminal: use --out FILE, a pipe, or --show");
}
