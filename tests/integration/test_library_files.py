"""The files and the data-key cache of libkms as it is installed: a program of its headers, built by what pkg-config says."""
import os
import subprocess

from harness import APP, BUILD, run

PROGRAM = r"""
#include <err.h>
#include <kms/file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES = 7, BYTES = 3000 };

static bool put(void *self, const void *data, size_t len, struct kms_error *error)
{
    (void)error;
    return fwrite(data, 1, len, self) == len;
}

static bool get(void *self, uint64_t offset, void *to, size_t len, size_t *ret_len, struct kms_error *error)
{
    (void)error;
    if (fseek(self, (long)offset, SEEK_SET) != 0) return false;
    *ret_len = fread(to, 1, len, self);
    return ferror((FILE *)self) == 0;
}

static void check(bool ok, const struct kms_error *error)
{
    if (!ok) errx(1, "%s: %s", error->reason, error->message);
}

static FILE *write_one(kms_client *client, const char *key, kms_data_key_cache *cache, int number)
{
    static char text[BYTES];
    struct kms_context_entry entry = {"program", "test"};
    FILE *file = tmpfile();
    struct kms_file_encrypt_request request = {.key_id = key, .context = {&entry, 1}, .chunk_bytes = 1024, .write = put,
        .self = file, .cache = cache, .max_plaintext_bytes = BYTES};
    struct kms_file_info info;
    struct kms_error error;
    kms_file_writer *writer;
    memset(text, 'a' + number, sizeof text);
    check(kms_file_writer_open(client, &request, NULL, &writer, &error), &error);
    check(kms_file_writer_put(writer, text, sizeof text, &error), &error);
    check(kms_file_writer_end(writer, &info, &error), &error);
    if (info.plaintext_bytes != BYTES || info.chunks != 3) errx(1, "info");
    kms_file_writer_free(writer);
    return file;
}

static void read_one(kms_client *client, FILE *file, int number)
{
    struct kms_context_entry entry = {"program", "test"};
    fseek(file, 0, SEEK_END);
    struct kms_file_decrypt_request request = {.context = {&entry, 1},
        .source = {.read = get, .self = file, .file_bytes = (uint64_t)ftell(file)}};
    struct kms_error error;
    kms_file_reader *reader;
    const uint8_t *piece;
    size_t len = 1, all = 0;
    check(kms_file_reader_open(client, &request, NULL, &reader, &error), &error);
    check(kms_file_reader_seek(reader, 1500, &error), &error);
    for (; len > 0; all += len) {
        check(kms_file_reader_next(reader, &piece, &len, &error), &error);
        for (size_t i = 0; i < len; i++)
            if (piece[i] != 'a' + number) errx(1, "file %d", number);
    }
    if (all != 1500) errx(1, "%zu bytes", all);
    kms_file_reader_free(reader);
}

int main(int argc, char **argv)
{
    if (argc != 6) return 2;
    struct kms_client_options options = {
        .endpoint = argv[1], .ca_file = argv[2], .cert_file = argv[3], .key_file = argv[4]};
    struct kms_data_key_cache_options limits = {.max_messages = 3};
    struct kms_error error;
    kms_client *client;
    kms_data_key_cache *cache;
    FILE *files[FILES];
    check(kms_client_open(&options, &client, &error), &error);
    check(kms_data_key_cache_new(client, &limits, &cache, &error), &error);
    for (int i = 0; i < FILES; i++) files[i] = write_one(client, argv[5], cache, i);
    for (int i = 0; i < FILES; i++) read_one(client, files[i], i);
    kms_data_key_cache_free(cache);
    kms_client_close(client);
    return 0;
}
"""


def test_files_with_a_cache(service, tmp_path):
    root, source, program = tmp_path / "root", tmp_path / "files.c", tmp_path / "files"
    run("cmake", "--install", BUILD, "--prefix", "/usr", env=dict(os.environ, DESTDIR=str(root)))
    source.write_text(PROGRAM)
    found = dict(os.environ, PKG_CONFIG_PATH=str(next(root.rglob("kms.pc")).parent))
    flags = run("pkg-config", "--cflags", "--libs", "kms", env=found).stdout.split()
    library = next(root.rglob("libkms.so"))
    sanitizers = "-fsanitize=address,undefined" if b"__asan_init" in library.read_bytes() else "-O2"
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", sanitizers, source, "-o", program, *flags)
    for header in ("file.h", "data_key_cache.h"):
        run("c++", "-Wall", "-Werror", "-fsyntax-only", "-x", "c++", root / "usr/include/kms" / header, *flags)
    certs, name = service.certs.dir, service.certs.client(APP)
    done = subprocess.run(
        [program, f"127.0.0.1:{service.port}", certs / "ca.pem", certs / f"{name}.pem", certs / f"{name}.key", service.new_key()],
        env=dict(os.environ, LD_LIBRARY_PATH=str(library.parent), ASAN_OPTIONS="detect_leaks=0"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(service.records(operation="GenerateDataKey")) == 3, "7 files, 3 to a data key"
    assert len(service.records(operation="Decrypt")) == 7
