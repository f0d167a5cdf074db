/* What the two halves of the copier share: exit codes, messages, paths. */
#ifndef COPIER_H
#define COPIER_H

#include <limits.h>
#include <stddef.h>

/* The exit codes are a contract: whoever reads a failed init container's status can tell them apart. */
enum exit_code {
    DONE = 0,
    WRONG_ARGUMENTS = 2,
    NO_SOURCE = 3,    /* SRC is missing, is no folder, or may not be read */
    NO_SPACE = 4,     /* the target's volume or quota is full */
    BAD_ENTRY = 5,    /* SRC holds something that cannot be copied: a link out of it, a device */
    COPY_FAILED = 6,  /* any other failed read or write; the message names the cause */
    TERMINATED = 143, /* SIGTERM came: run it again, what is complete is kept */
};

/* A path that grows and shrinks while a folder is walked. */
struct path {
    char text[PATH_MAX];
    size_t length;
};

/* Prints the sentence to stderr and into the pod's termination message, then ends the process. */
_Noreturn void fail(enum exit_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a failed system call: the cause is errno, the next action follows from it. */
_Noreturn void fail_reading(const char *path);
_Noreturn void fail_writing(const char *path);

/* SRC cannot be opened: says what its parent holds instead. */
_Noreturn void fail_source(const char *path);

void path_set(struct path *path, const char *text);
/* Appends "/name" and returns the length before it, for path_cut. */
size_t path_add(struct path *path, const char *name);
void path_cut(struct path *path, size_t length);

/* Copies SRC, a folder, into DST, which is created when absent. */
void copy_folder(const char *source, const char *target);
/* Copies the running program to TARGET. */
void install(const char *target);

#endif
