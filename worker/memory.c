// SPDX-License-Identifier: Apache-2.0
#include "worker/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/engine.h"

void *mr_memory_map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void mr_memory_free(void *memory, size_t bytes)
{
    if (memory != NULL)
        munmap(memory, bytes);
}

mr_status mr_memory_engine(const mr_engine_config *config, size_t bytes, bool huge, void **memory,
                           mr_engine **engine, mr_error *err)
{
    *memory = mr_memory_map(bytes);
    if (*memory == NULL)
        return mr_fail(err, MR_FATAL,
                       "%zu MiB for the engine cannot be had: lower users.memory or items.max",
                       bytes >> 20);
    MR_TRY(mr_engine_init(engine, config, *memory, bytes, err));
    if (huge) // a wish: nothing else changes by it
        (void)madvise(*memory, mr_engine_rows_end(*engine), MADV_HUGEPAGE);
    return MR_OK;
}

// "max" is no number.
static uint64_t read_limit(const char *path)
{
    unsigned long long bytes = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu", &bytes) != 1)
        bytes = 0;
    fclose(file);
    return bytes;
}

uint64_t mr_memory_machine(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const uint64_t all = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    const uint64_t group = read_limit("/sys/fs/cgroup/memory.max");
    return group > 0 && (group < all || all == 0) ? group : all;
}

uint64_t mr_memory_resident_max(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

void mr_memory_keep(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    (void)mallopt(M_TOP_PAD, 16 << 20);
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
#endif
}
