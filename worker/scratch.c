// SPDX-License-Identifier: Apache-2.0
#include "worker/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

mr_status mr_scratch_make(char *path, size_t size, mr_error *err)
{
    const char *base = getenv("TMPDIR");
    const int length =
        snprintf(path, size, "%s/millrace-replay-XXXXXX", base != NULL ? base : "/tmp");
    if (length < 0 || (size_t)length >= size)
        return mr_fail(err, MR_FATAL, "%s: the path is too long", base);
    return mkdtemp(path) != NULL ? MR_OK : mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
}

void mr_scratch_remove(const char *path)
{
    static const char *const names[] = {"state/data.mdb", "state/lock.mdb", "state/lock",
                                        "state/owner",    "state",          ""};
    char name[4096 + 32];
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(name, sizeof name, "%s/%s", path, names[i]);
        remove(name);
    }
}
