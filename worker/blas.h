// SPDX-License-Identifier: Apache-2.0
// blas: makes OpenBLAS use the kernels that the CPU deserves, on one thread.
//
// OpenBLAS picks its kernels once, when it is loaded, by a table of CPU models. A model that is
// newer than the library gets the oldest ones (0.3.21 gives SSE3 kernels to Xeons of 2023: a
// quarter of the speed). Only the environment variable OPENBLAS_CORETYPE overrides that, and only
// before the library is loaded; so the process replaces itself once, with the variable set.
#ifndef MR_WORKER_BLAS_H
#define MR_WORKER_BLAS_H

#include <stdbool.h>

typedef struct mr_blas {
    const char *core; // kernels in use, as OpenBLAS names them
    const char
        *wanted; // what the CPU could run: a name for OPENBLAS_CORETYPE; NULL: no better is known
    bool slow;   // `core` is older than `wanted`, and nothing more can be done here: warn
} mr_blas;

// To be called first in main, with main's argv: before threads, open files and output, because it
// may begin the process again. It does so at most once (the variable MILLRACE_BLAS_REEXEC is the
// guard), and never where OPENBLAS_CORETYPE is set: that is the operator's word. Lanes are our
// threads, so OpenBLAS gets one.
mr_blas mr_blas_start(char **argv);

// The name for OPENBLAS_CORETYPE on a CPU with these instructions; NULL where OpenBLAS needs no
// help.
const char *mr_blas_wanted(bool avx2_fma, bool avx512);

// Whether kernels named `core` belong to an older generation of instructions than those named
// `wanted`.
bool mr_blas_is_older(const char *core, const char *wanted);

#endif
