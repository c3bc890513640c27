/* Tokens for tests, made by softhsm2-util as a person would. */
#include "tests/harness/softhsm.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static bool write_file(const char *path, const char *text, mode_t mode)
{
    KMS_OWN_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    ssize_t len = (ssize_t)strlen(text);
    return fd >= 0 && write(fd, text, (size_t)len) == len;
}

static bool init_token(void)
{
    char program[] = "softhsm2-util", init[] = "--init-token", any[] = "--free", label[] = "--label",
         name[] = "kmsd";
    char pin[] = "--pin", pin_value[] = SOFTHSM_PIN, so[] = "--so-pin", so_value[] = "97531864";
    char *arguments[] = {program, init, any, label, name, pin, pin_value, so, so_value, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid;
    int status = -1;
    if (posix_spawnp(&pid, program, &actions, NULL, arguments, environ) == 0) waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&actions);
    return status == 0;
}

bool softhsm_write_pin(const struct softhsm *token, const char *pin)
{
    return write_file(token->pin_path, pin, 0600) && chmod(token->pin_path, 0600) == 0;
}

bool softhsm_make(const char *dir, const char *name, struct softhsm *ret_token)
{
    struct softhsm t;
    char conf[300], tokens[300], text[500];
    snprintf(t.dir, sizeof t.dir, "%s/%s", dir, name);
    snprintf(t.pin_path, sizeof t.pin_path, "%s/pin", t.dir);
    snprintf(conf, sizeof conf, "%s/softhsm2.conf", t.dir);
    snprintf(tokens, sizeof tokens, "%s/tokens", t.dir);
    snprintf(text, sizeof text, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
             tokens);
    snprintf(t.uri, sizeof t.uri, "pkcs11:token=kmsd?module-path=%s&pin-source=file:%s", KMS_SOFTHSM_MODULE,
             t.pin_path);
    snprintf(t.shim_uri, sizeof t.shim_uri, "pkcs11:token=kmsd?module-path=%s&pin-source=file:%s",
             KMS_SHIM_MODULE, t.pin_path);
    if (mkdir(t.dir, 0700) != 0 || mkdir(tokens, 0700) != 0 || !write_file(conf, text, 0600) ||
        !softhsm_write_pin(&t, SOFTHSM_PIN "\n") || setenv("SOFTHSM2_CONF", conf, 1) != 0 || !init_token()) {
        fprintf(stderr, "no SoftHSM token in %s: is softhsm2-util installed?\n", t.dir);
        return false;
    }
    *ret_token = t;
    return true;
}

size_t softhsm_logins(const struct softhsm *token)
{
    char path[300];
    struct stat st;
    snprintf(path, sizeof path, "%s/shim-logins", token->dir);
    return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}
