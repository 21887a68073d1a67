// SPDX-License-Identifier: Apache-2.0
// capture: runs a sub-command in a child process and keeps its exit status and what it printed.
#ifndef MR_TESTS_UNIT_WORKER_CAPTURE_H
#define MR_TESTS_UNIT_WORKER_CAPTURE_H

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CAPTURE_BYTES = 1 << 20, CAPTURE_ARGUMENTS_MAX = 16 };

typedef struct captured {
    int status; // of exit; -1: it did not exit
    char out[CAPTURE_BYTES], err[CAPTURE_BYTES];
} captured;

static inline void capture_read(FILE *from, char *text)
{
    rewind(from);
    text[fread(text, 1, CAPTURE_BYTES - 1, from)] = '\0';
    fclose(from);
}

// `line` is the command's words, separated by single spaces. A child, because getopt and the log
// keep globals, and so that a crash is a failed test.
static inline captured *capture(int (*command)(int argc, char **argv), const char *line)
{
    static captured result;
    FILE *out = tmpfile(), *err = tmpfile();
    if (out == NULL || err == NULL)
        return NULL;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        char words[4096], *argv[CAPTURE_ARGUMENTS_MAX + 1] = {NULL}, *rest = words;
        int argc = 0;
        snprintf(words, sizeof words, "%s", line);
        while (argc < CAPTURE_ARGUMENTS_MAX && (argv[argc] = strsep(&rest, " ")) != NULL)
            argc++;
        dup2(fileno(out), 1);
        dup2(fileno(err), 2);
        const int status = command(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    int status = 0;
    waitpid(child, &status, 0);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    capture_read(out, result.out);
    capture_read(err, result.err);
    return &result;
}

#endif
