/* copier: brings the files of a weights image into a volume, where image volumes are not to be had.

     copier install TARGET    copies this program to TARGET, mode 0755
     copier copy SRC DST      copies the folder SRC into the folder DST

   A pod runs it twice before its server starts. The first init container, of our image, installs it into an
   emptyDir; the second, whose image is the weights, runs it from there, so that the kubelet's credentials,
   mirrors and cache apply to the weights. That image may hold no shell and no libc: hence one static program.

   A copy that was killed is run again: a file gets its name only when it is complete, and a file that is there
   with the right size is kept. Exit codes: copier.h. */
#include "copier.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first process of a container ignores SIGTERM unless it asks for it: a deleted pod would linger 30 s. */
static void on_terminate(int signal_number) {
    (void)signal_number;
    _exit(TERMINATED);
}

int main(int count, char **arguments) {
    signal(SIGTERM, on_terminate);
    if (count == 3 && strcmp(arguments[1], "install") == 0)
        install(arguments[2]);
    else if (count == 4 && strcmp(arguments[1], "copy") == 0)
        copy_folder(arguments[2], arguments[3]);
    else
        fail(WRONG_ARGUMENTS, "write 'copier install TARGET' or 'copier copy SRC DST'");
    return DONE;
}
