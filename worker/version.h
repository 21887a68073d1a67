// SPDX-License-Identifier: Apache-2.0
// version: of millrace and of what it runs on.
#ifndef MR_WORKER_VERSION_H
#define MR_WORKER_VERSION_H

#include <stdio.h>

// "0.1.0"
const char *mr_version(void);

// "millrace X.Y.Z", then a line for each library, as it was loaded.
void mr_version_print(FILE *out);

#endif
