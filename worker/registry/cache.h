// SPDX-License-Identifier: Apache-2.0
// cache: what a registry said, kept on disk, so that a start works while the registry is down.
//
// One file a text, in a folder of its own for each registry: numbers of one mean nothing in
// another. A file is written beside its place and renamed, begins with the hash of its key and
// text, and is forgotten where that does not fit. Whatever happens to the files, the registry has
// them still. Texts of one key never change. Any thread, one at a time.
#ifndef MR_WORKER_REGISTRY_CACHE_H
#define MR_WORKER_REGISTRY_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

enum {
    MR_CACHE_FILES_MAX = 4096,
    MR_CACHE_TEXT_MAX = 4 << 20,
    MR_CACHE_KEY_MAX = 64, // letters, digits and '-'
};

typedef struct mr_cache mr_cache;

// Makes the folder, and the registry's in it. `registry` names the registry. Errors: MR_FATAL: it
// cannot be made or read.
MR_CHECKED mr_status mr_cache_open(const char *folder, const char *registry, mr_cache **cache,
                                   mr_error *err);
void mr_cache_close(mr_cache *cache);

// The text of a key; the caller frees it; text_bytes does not count the NUL behind it. Returns
// false where there is none; a file that is damaged is removed.
bool mr_cache_get(mr_cache *cache, const char *key, char **text, size_t *text_bytes);

// Errors: MR_REJECT: the cache is full, or the text too long; MR_RETRY: the disk's.
MR_CHECKED mr_status mr_cache_put(mr_cache *cache, const char *key, const char *text,
                                  size_t text_bytes, mr_error *err);

#endif
