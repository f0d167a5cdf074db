/* The work: walk the source twice, first to measure it, then to copy it. */
#include "copier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024ULL * 1024ULL)
static const double REPORT_SECONDS = 5.0;
/* Written data is sent to the disk this often: progress stays honest, and little is lost to a kill. */
static const unsigned long long SYNC_BYTES = 256 * MIB;
/* A file under way. One name per folder is enough, and a killed copy leaves at most this one behind. */
static const char PART[] = ".copier-part";

static char buffer[4 * MIB];

static struct {
    const char *target;               /* DST, for messages */
    char source[PATH_MAX];            /* SRC without links: what a link must stay inside of */
    bool copying;                     /* false while measuring */
    unsigned long long wanted;        /* bytes that are not there yet */
    unsigned long long kept;          /* bytes that are there already */
    unsigned long long copied;
    double started, reported;         /* seconds of a monotonic clock */
} job;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void report_progress(void) {
    double time = now();
    if (time - job.reported < REPORT_SECONDS)
        return;
    job.reported = time;
    fprintf(stderr, "copier: %llu of %llu MiB copied (%llu %%), %.0f MiB/s\n", job.copied / MIB, job.wanted / MIB,
            job.wanted ? 100 * job.copied / job.wanted : 100, (double)(job.copied / MIB) / (time - job.started));
}

static _Noreturn void fail_space(unsigned long long missing) {
    fail(NO_SPACE, "no space in %s: %llu more bytes are needed, for %llu bytes in all. Give the volume that much more room.",
         job.target, missing, job.wanted + job.kept);
}

/* A failed write while copying; a full volume has its own code and says how much is missing. */
static _Noreturn void fail_copying(const char *path) {
    if (errno == ENOSPC || errno == EDQUOT)
        fail_space(job.wanted - job.copied);
    fail_writing(path);
}

/* Some network file systems report 0 blocks: they cannot say, so the write will. */
static void check_space(void) {
    struct statvfs volume;
    if (statvfs(job.target, &volume) != 0 || volume.f_blocks == 0)
        return;
    unsigned long long room = (unsigned long long)volume.f_bavail * volume.f_frsize;
    if (job.wanted > room)
        fail_space(job.wanted - room);
}

/* Copies what is left of an open file; returns the number of bytes. */
static unsigned long long pump(int from, int to, const char *from_path, const char *to_path) {
    unsigned long long bytes = 0, synced = 0;
    ssize_t got;
    while ((got = read(from, buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0, put; at < got; at += put)
            if ((put = write(to, buffer + at, (size_t)(got - at))) < 0)
                fail_copying(to_path);
        bytes += (unsigned long long)got;
        job.copied += (unsigned long long)got;
        if (bytes - synced >= SYNC_BYTES) {
            if (fdatasync(to) != 0)
                fail_copying(to_path);
            synced = bytes;
        }
        report_progress();
    }
    if (got < 0)
        fail_reading(from_path);
    return bytes;
}

/* Copies a file under the name `part` and gives it its own name when every byte is on the disk. */
static unsigned long long copy_file(const char *from_path, const char *part, const char *to_path, mode_t mode) {
    int from = open(from_path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        fail_reading(from_path);
    int to = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        fail_copying(part);
    unsigned long long bytes = pump(from, to, from_path, to_path);
    /* fchmod, since the mode given to open() is cut by the umask. */
    if (fchmod(to, mode) != 0 || fsync(to) != 0 || close(to) != 0 || rename(part, to_path) != 0)
        fail_copying(to_path);
    close(from);
    return bytes;
}

static bool is_there(const char *path, off_t size) {
    struct stat found;
    return lstat(path, &found) == 0 && S_ISREG(found.st_mode) && found.st_size == size;
}

static void take_file(const struct path *from, struct path *to, size_t folder_length, off_t size) {
    bool there = is_there(to->text, size);
    if (!job.copying)
        *(there ? &job.kept : &job.wanted) += (unsigned long long)size;
    if (there || !job.copying)
        return;
    struct path part;
    path_set(&part, to->text);
    path_cut(&part, folder_length);
    path_add(&part, PART);
    if (copy_file(from->text, part.text, to->text, 0644) != (unsigned long long)size)
        fail(COPY_FAILED, "%s changed while it was read: copy it when nothing writes to it", from->text);
}

static void make_folder(const char *path) {
    if (mkdir(path, 0755) == 0) {
        if (chmod(path, 0755) != 0) /* mkdir's mode is cut by the umask */
            fail_copying(path);
    } else if (errno != EEXIST) {
        fail_copying(path);
    }
}

/* True when `path` lies below `folder`; both without links. */
static bool lies_in(const char *path, const char *folder) {
    size_t length = strcmp(folder, "/") == 0 ? 0 : strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* A hub's cache holds links to its files. Only those inside the source are followed: an image that links out of
   itself could carry another file of the pod, such as its token, into the volume. */
static void follow_link(const char *path, struct stat *found) {
    char file[PATH_MAX];
    if (realpath(path, file) == NULL)
        fail(BAD_ENTRY, "the link %s leads nowhere (%s). Put the file itself into the image.", path, strerror(errno));
    if (!lies_in(file, job.source))
        fail(BAD_ENTRY, "the link %s leads out of %s, to %s. Put the file itself into the image.", path, job.source, file);
    if (stat(file, found) != 0)
        fail_reading(path);
    if (!S_ISREG(found->st_mode))
        fail(BAD_ENTRY, "the link %s leads to something that is no file: only links to files are followed.", path);
}

static void walk(struct path *from, struct path *to);

static void take_entry(struct path *from, struct path *to, size_t folder_length) {
    struct stat found;
    if (lstat(from->text, &found) != 0)
        fail_reading(from->text);
    if (S_ISLNK(found.st_mode))
        follow_link(from->text, &found);
    if (S_ISREG(found.st_mode)) {
        take_file(from, to, folder_length, found.st_size);
    } else if (S_ISDIR(found.st_mode)) {
        if (job.copying)
            make_folder(to->text);
        walk(from, to);
    } else {
        fail(BAD_ENTRY, "%s is neither a file nor a folder nor a link: remove it from the image.", from->text);
    }
}

/* Makes the new names of a folder last; some file systems cannot sync a folder and say EINVAL. */
static void sync_folder(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || (fsync(folder) != 0 && errno != EINVAL))
        fail_copying(path);
    close(folder);
}

static void walk(struct path *from, struct path *to) {
    DIR *folder = opendir(from->text);
    if (folder == NULL)
        fail_reading(from->text);
    struct dirent *entry;
    while (errno = 0, (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        size_t from_length = path_add(from, entry->d_name);
        size_t to_length = path_add(to, entry->d_name);
        take_entry(from, to, to_length);
        path_cut(from, from_length);
        path_cut(to, to_length);
    }
    if (errno != 0)
        fail_reading(from->text);
    closedir(folder);
    if (job.copying)
        sync_folder(to->text);
}

void copy_folder(const char *source, const char *target) {
    struct path from, to;
    char real_target[PATH_MAX];
    DIR *folder = opendir(source);
    if (folder == NULL || realpath(source, job.source) == NULL)
        fail_source(source);
    closedir(folder);
    make_folder(target);
    if (realpath(target, real_target) == NULL)
        fail_writing(target);
    if (strcmp(real_target, job.source) == 0 || lies_in(real_target, job.source))
        fail(WRONG_ARGUMENTS, "%s lies inside of %s: the copy would copy itself", target, source);
    job.target = target;
    job.started = job.reported = now();
    for (int pass = 0; pass < 2; pass++) {
        path_set(&from, job.source);
        path_set(&to, target);
        job.copying = pass == 1;
        if (job.copying)
            check_space();
        walk(&from, &to);
    }
    printf("copier: copied %llu bytes in %.1f s, %llu bytes were there already\n", job.copied, now() - job.started, job.kept);
}

void install(const char *target) {
    char part[PATH_MAX];
    if ((size_t)snprintf(part, sizeof part, "%s.part", target) >= sizeof part)
        fail(WRONG_ARGUMENTS, "the target's path is longer than %d characters", PATH_MAX);
    job.target = target;
    job.started = job.reported = now();
    copy_file("/proc/self/exe", part, target, 0755);
    printf("copier: installed %s\n", target);
}
