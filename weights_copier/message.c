/* Failures as sentences, and the paths that they name. */
#include "copier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 4096, LISTED_NAMES = 20 }; /* 4096: what the kubelet keeps of a termination message */

/* The kubelet puts this file into every container. It is never created here: outside a pod it is nobody's. */
static void write_termination_message(const char *message) {
    const char *path = getenv("TERMINATION_LOG");
    int log = open(path ? path : "/dev/termination-log", O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (log < 0)
        return;
    if (write(log, message, strlen(message)) < 0)
        perror("copier: termination message");
    close(log);
}

_Noreturn void fail(enum exit_code code, const char *format, ...) {
    char message[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    fprintf(stderr, "copier: %s\n", message);
    write_termination_message(message);
    _exit(code);
}

_Noreturn void fail_reading(const char *path) {
    if (errno == EACCES)
        fail(COPY_FAILED, "cannot read %s as user %d: permission denied. Build the image with files of mode 0644 and folders of 0755.",
             path, (int)geteuid());
    fail(COPY_FAILED, "cannot read %s: %s", path, strerror(errno));
}

_Noreturn void fail_writing(const char *path) {
    if (errno == EACCES || errno == EPERM || errno == EROFS)
        fail(COPY_FAILED, "cannot write %s as user %d: %s. Mount a volume that this user may write (fsGroup, readOnly: false).",
             path, (int)geteuid(), strerror(errno));
    fail(COPY_FAILED, "cannot write %s: %s", path, strerror(errno));
}

static int is_listed(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* "/folder holds a, b": the nearest folder above `path` that can be read, its first names in order. */
static void list_above(const char *path, char *line, size_t size) {
    char copy[PATH_MAX];
    struct dirent **entries;
    int count;
    snprintf(copy, sizeof copy, "%s", path);
    const char *folder = copy;
    do
        folder = dirname((char *)folder);
    while ((count = scandir(folder, &entries, is_listed, alphasort)) < 0 && strcmp(folder, "/") && strcmp(folder, "."));
    size_t used = (size_t)snprintf(line, size, "%s %s", folder, count > 0 ? "holds " : "holds nothing");
    for (int i = 0; i < count && i < LISTED_NAMES && used < size; i++)
        used += (size_t)snprintf(line + used, size - used, "%s%s", i ? ", " : "", entries[i]->d_name);
    if (count > LISTED_NAMES && used < size)
        snprintf(line + used, size - used, " and %d more", count - LISTED_NAMES);
}

_Noreturn void fail_source(const char *path) {
    int cause = errno;
    char names[MESSAGE_BYTES / 2];
    list_above(path, names, sizeof names);
    fail(NO_SOURCE, "cannot open the folder %s: %s. %s. Name the folder of the weights in this image.", path,
         strerror(cause), names);
}

void path_set(struct path *path, const char *text) {
    path->length = strlen(text);
    if (path->length >= sizeof path->text)
        fail(WRONG_ARGUMENTS, "a path is longer than %d characters: %s", PATH_MAX, text);
    memcpy(path->text, text, path->length + 1);
}

size_t path_add(struct path *path, const char *name) {
    size_t before = path->length;
    int added = snprintf(path->text + before, sizeof path->text - before, "/%s", name);
    if ((size_t)added >= sizeof path->text - before)
        fail(BAD_ENTRY, "a path is longer than %d characters: %s", PATH_MAX, path->text);
    path->length += (size_t)added;
    return before;
}

void path_cut(struct path *path, size_t length) {
    path->length = length;
    path->text[length] = '\0';
}
