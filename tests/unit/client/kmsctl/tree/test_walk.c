/* Which files of a tree are looked into. */
#include "client/kmsctl/tree/walk.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/harness/suite.h"

static char root[256];

static const char *in_root(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void make_tree(void)
{
    static const char *const folders[] = {"", "a", "a/.git", "a/b"};
    static const char *const files[] = {"z.env", "a/b/x.json", "a/x.yaml", "a/.git/config",
                                        "a/.x.yaml.kms-tmp-a1B2c3"};
    snprintf(root, sizeof root, "%s/tree", kms_temp_dir());
    for (size_t i = 0; i < KMS_COUNT(folders); i++) CU_ASSERT_FATAL(mkdir(in_root(folders[i]), 0700) == 0);
    for (size_t i = 0; i < KMS_COUNT(files); i++) {
        KMS_OWN_FD fd = open(in_root(files[i]), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CU_ASSERT_FATAL(fd >= 0);
    }
    CU_ASSERT_FATAL(symlink("..", in_root("a/up")) == 0 && symlink("z.env", in_root("link.env")) == 0);
    CU_ASSERT_FATAL(mkfifo(in_root("pipe"), 0600) == 0);
}

/* The paths below root, a blank between them; "*" behind those that were named. */
static void list(const ctl_files *files, kms_buf *out)
{
    for (size_t i = 0; i < files->count; i++)
        KMS_ASSERT_OK(kms_buf_print(out, "%s%s ", files->items[i].path + strlen(root) + 1,
                                    files->items[i].named ? "*" : ""));
}

static void walks(void)
{
    static const struct {
        const char *paths[4];
        const char *want;
        size_t links, special, folders, failures;
    } rows[] = {
        {{""}, "a/b/x.json a/x.yaml z.env ", 2, 1, 1, 0},
        {{"a", "a/b"}, "a/b/x.json a/x.yaml ", 1, 0, 1, 0},
        {{"z.env", "link.env", "a/b"}, "a/b/x.json link.env* ", 0, 0, 0, 0},
        {{"none", "a/b"}, "a/b/x.json ", 0, 0, 0, 1},
        {{"a/.git"}, "", 0, 0, 1, 0},
    };
    make_tree();
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char paths[4][512], *items[5] = {NULL};
        struct ctl_rest rest = {.items = items};
        for (; rest.count < 4 && rows[i].paths[rest.count] != NULL; rest.count++) {
            const char *name = rows[i].paths[rest.count];
            snprintf(paths[rest.count], 512, "%s%s%s", root, name[0] != '\0' ? "/" : "", name);
            items[rest.count] = paths[rest.count];
        }
        KMS_OWN_FILES files = {0};
        KMS_OWN_OUTCOME outcome;
        KMS_OWN_BUF got = {0};
        KMS_ASSERT_OK_FATAL(ctl_outcome_init(&outcome));
        KMS_ASSERT_OK(ctl_walk(&rest, false, &files, &outcome));
        KMS_ASSERT_OK(kms_buf_append(&got, "", 0));
        list(&files, &got);
        CU_ASSERT_STRING_EQUAL(got.data, rows[i].want);
        CU_ASSERT_EQUAL(outcome.skipped[CTL_SKIP_LINK], rows[i].links);
        CU_ASSERT_EQUAL(outcome.skipped[CTL_SKIP_SPECIAL], rows[i].special);
        CU_ASSERT_EQUAL(outcome.skipped[CTL_SKIP_REPOSITORY], rows[i].folders);
        CU_ASSERT_EQUAL(json_array_size(outcome.failures), rows[i].failures);
        CU_ASSERT_EQUAL(outcome.leftovers, 0);
    }
}

static void leftovers_are_removed_when_asked(void)
{
    KMS_OWN_FILES files = {0};
    KMS_OWN_OUTCOME outcome;
    char *items[] = {root, NULL};
    const char *leftover = in_root("a/.x.yaml.kms-tmp-a1B2c3");
    KMS_ASSERT_OK_FATAL(ctl_outcome_init(&outcome));
    CU_ASSERT_EQUAL(access(leftover, F_OK), 0);
    KMS_ASSERT_OK(ctl_walk(&(struct ctl_rest){.items = items, .count = 1}, true, &files, &outcome));
    CU_ASSERT_EQUAL(access(leftover, F_OK), -1);
    CU_ASSERT_EQUAL(outcome.leftovers, 1);
    CU_ASSERT_EQUAL(files.count, 3);
}

KMS_TEST_MAIN("client/kmsctl/tree/walk", {"walks", walks},
              {"leftovers are removed when asked", leftovers_are_removed_when_asked})
