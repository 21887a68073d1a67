// SPDX-License-Identifier: Apache-2.0
#include "worker/scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

mr_status mr_scratch_make(char *path, size_t size, mr_error *err)
{
    const char *base = getenv("TMPDIR");
    base = base != NULL && base[0] != '\0' ? base : "/tmp";
    const int length = snprintf(path, size, "%s/millrace-XXXXXX", base);
    mr_status status = MR_OK;
    if (length < 0 || (size_t)length >= size)
        status = mr_fail(err, MR_FATAL, "%s: the path is too long", base);
    else if (mkdtemp(path) == NULL)
        status = mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    if (status != MR_OK)
        path[0] = '\0';
    return status;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info, (void)type, (void)place;
    return remove(path);
}

void mr_scratch_remove(char *path)
{
    if (path[0] != '\0')
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    path[0] = '\0';
}
