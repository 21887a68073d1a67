// SPDX-License-Identifier: Apache-2.0
#include "worker/blas.h"

#include <cblas.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

static const char variable[] = "OPENBLAS_CORETYPE", guard[] = "MILLRACE_BLAS_REEXEC";

// Names of OpenBLAS's x86-64 kernels by the instructions that they use; all others use SSE or AVX.
static int generation(const char *core)
{
    static const struct {
        const char *core;
        int generation;
    } table[] = {
        {"Haswell", 1},  {"Zen", 1},        {"Excavator", 1},
        {"SkylakeX", 2}, {"Cooperlake", 2}, {"SapphireRapids", 2},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcasecmp(core, table[i].core) == 0)
            return table[i].generation;
    return 0;
}

const char *mr_blas_wanted(bool avx2_fma, bool avx512)
{
    if (avx512 && avx2_fma)
        return "SkylakeX";
    return avx2_fma ? "Haswell" : NULL;
}

bool mr_blas_is_older(const char *core, const char *wanted)
{
    return wanted != NULL && generation(core) < generation(wanted);
}

static const char *wanted_here(void)
{
#ifdef __x86_64__
    __builtin_cpu_init(); // what the CPU has and the system lets be used
    return mr_blas_wanted(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
                          __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                              __builtin_cpu_supports("avx512dq") &&
                              __builtin_cpu_supports("avx512bw"));
#else
    return NULL;
#endif
}

mr_blas mr_blas_start(char **argv)
{
    mr_blas blas = {.core = openblas_get_corename(), .wanted = wanted_here()};
    blas.slow = mr_blas_is_older(blas.core, blas.wanted);
    if (blas.slow && getenv(variable) == NULL && getenv(guard) == NULL) {
        // OpenBLAS makes its threads while it is loaded; the new process need not make them at all.
        if (setenv(variable, blas.wanted, 1) == 0 && setenv(guard, "1", 1) == 0 &&
            setenv("OPENBLAS_NUM_THREADS", "1", 0) == 0)
            execv("/proc/self/exe", argv);
        unsetenv(variable); // still here: what follows runs with the slow kernels, and says so
    }
    openblas_set_num_threads(1);
    return blas;
}
