/* Runs the script that knows how. */
#include "tests/harness/postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/harness/suite.h"

static bool run(const struct postgres *server, const char *command, const char *third, const char *fourth)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl(KMS_POSTGRES_SCRIPT, "postgres", command, server->dir, third, fourth, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

uint32_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    bool good = bind(s, (struct sockaddr *)&address, sizeof address) == 0 &&
                getsockname(s, (struct sockaddr *)&address, &len) == 0;
    close(s);
    return good ? ntohs(address.sin_port) : 0;
}

static bool start(const struct postgres *server)
{
    char port[12];
    snprintf(port, sizeof port, "%u", server->port);
    return run(server, "start", port, POSTGRES_PASSWORD);
}

bool postgres_start(struct postgres *server, const char *name)
{
    chmod(kms_temp_dir(), 0711); /* it may be another user's */
    snprintf(server->dir, sizeof server->dir, "%s/%s", kms_temp_dir(), name);
    server->port = free_port();
    return start(server);
}

bool postgres_restart(const struct postgres *server)
{
    return run(server, "stop", "immediate", NULL) && start(server);
}

void postgres_stop(const struct postgres *server)
{
    (void)run(server, "stop", "immediate", NULL);
}

char *postgres_log(const struct postgres *server)
{
    char path[120];
    KMS_OWN_BUF text = {0};
    snprintf(path, sizeof path, "%s/log", server->dir);
    if (kms_failed(kms_read_file(path, 16 * 1024 * 1024, &text, NULL))) return NULL;
    return kms_bytes_dup_text(kms_buf_view(&text));
}
