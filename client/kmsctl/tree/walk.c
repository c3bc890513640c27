/* fts(3) over the tree, in the order of names. */
#include "client/kmsctl/tree/walk.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>

#include "client/kms-env/file.h"

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool of_version_control(const char *name)
{
    static const char *const names[] = {".git", ".hg", ".svn"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static kms_err add(ctl_files *files, const FTSENT *entry)
{
    if (files->count == files->cap) {
        size_t cap = files->cap == 0 ? 64 : 2 * files->cap;
        struct ctl_file *items = reallocarray(files->items, cap, sizeof *items);
        if (items == NULL) return KMS_FAIL(NO_MEMORY);
        files->items = items;
        files->cap = cap;
    }
    char *path = strdup(entry->fts_path);
    if (path == NULL) return KMS_FAIL(NO_MEMORY);
    files->items[files->count++] = (struct ctl_file){.path = path,
                                                     .named = entry->fts_level == FTS_ROOTLEVEL,
                                                     .device = entry->fts_statp->st_dev,
                                                     .inode = entry->fts_statp->st_ino};
    return KMS_OK;
}

static kms_err take_file(const FTSENT *entry, bool clean, ctl_files *files, ctl_outcome *outcome)
{
    if (!kms_env_temporary_name(entry->fts_name)) return add(files, entry);
    if (clean && kms_env_temporary_remove(entry->fts_path)) outcome->leftovers++;
    return KMS_OK;
}

static kms_err take(FTS *tree, FTSENT *entry, bool clean, ctl_files *files, ctl_outcome *outcome)
{
    switch (entry->fts_info) {
    case FTS_F:
        return take_file(entry, clean, files, outcome);
    case FTS_D:
        if (!of_version_control(entry->fts_name)) return KMS_OK;
        outcome->skipped[CTL_SKIP_REPOSITORY]++;
        return fts_set(tree, entry, FTS_SKIP) == 0 ? KMS_OK : KMS_FAIL(INTERNAL);
    case FTS_SL:
    case FTS_SLNONE:
        outcome->skipped[CTL_SKIP_LINK]++;
        return KMS_OK;
    case FTS_DEFAULT:
        outcome->skipped[CTL_SKIP_SPECIAL]++;
        return KMS_OK;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        ctl_outcome_fail_local(outcome, entry->fts_path, NULL,
                               entry->fts_errno == ENOENT ? KMS_FAIL(NOT_FOUND) : KMS_FAIL(IO),
                               strerror(entry->fts_errno));
        return KMS_OK;
    default:
        return KMS_OK; /* a folder that is left */
    }
}

static int by_file(const void *left, const void *right)
{
    const struct ctl_file *a = left, *b = right;
    if (a->device != b->device) return a->device < b->device ? -1 : 1;
    if (a->inode != b->inode) return a->inode < b->inode ? -1 : 1;
    return strcmp(a->path, b->path);
}

static int by_path(const void *left, const void *right)
{
    const struct ctl_file *a = left, *b = right;
    return strcmp(a->path, b->path);
}

/* Folders that were named may overlap. Two names of one file (hard links) are judged when it is read. */
static void drop_doubles(ctl_files *files)
{
    size_t kept = 0;
    if (files->count < 2) return;
    qsort(files->items, files->count, sizeof *files->items, by_file);
    for (size_t i = 1; i < files->count; i++) {
        struct ctl_file *last = &files->items[kept], *next = &files->items[i];
        if (last->device != next->device || last->inode != next->inode) {
            files->items[++kept] = *next;
        } else {
            last->named = last->named || next->named;
            free(next->path);
        }
    }
    files->count = kept + 1;
    qsort(files->items, files->count, sizeof *files->items, by_path);
}

kms_err ctl_walk(const struct ctl_rest *paths, bool clean, ctl_files *files, ctl_outcome *outcome)
{
    kms_err err = KMS_OK;
    FTS *tree = fts_open(paths->items, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (tree == NULL) return KMS_FAIL(NO_MEMORY);
    while (!kms_failed(err)) {
        errno = 0;
        FTSENT *entry = fts_read(tree);
        if (entry == NULL) {
            if (errno != 0) err = KMS_FAIL(NO_MEMORY); /* the only way left for it to fail as a whole */
            break;
        }
        err = take(tree, entry, clean, files, outcome);
    }
    fts_close(tree);
    drop_doubles(files);
    return err;
}

void ctl_files_free(ctl_files *files)
{
    for (size_t i = 0; i < files->count; i++) free(files->items[i].path);
    free(files->items);
    *files = (ctl_files){0};
}
