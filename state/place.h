// SPDX-License-Identifier: Apache-2.0
// place: the folder that a state lies in: who has it, and how it was left.
//
// A folder has one writing process. It holds a lock on the file `owner`, whose text names it and
// says how far its bytes can be trusted after the machine went down. That text lies beside the
// database and not in it, because a database that was torn must not be opened to learn that it may
// be torn:
//
//     millrace state 1
//     boot 0b9ec2ae-6bd4-4a0b-9d2d-1f7d4ae2f7c3
//     sync meta
//     clean no
//     pid 4711
//     host stream-3
#ifndef MR_STATE_PLACE_H
#define MR_STATE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

typedef enum mr_sync {
    MR_SYNC_META, // a commit syncs its pages; an OS crash may undo the last commits, the file stays
                  // sound
    MR_SYNC_FULL, // a commit syncs its pages and then the page that makes them valid
    MR_SYNC_NONE, // sound after kill -9; after an OS crash the file must be dropped
} mr_sync;

typedef struct mr_place_note { // what the file `owner` says
    bool present;              // false: a new folder, or a database that was copied without it
    bool clean;
    bool same_boot;
    mr_sync sync;
    long pid;
    char host[64];
} mr_place_note;

// Makes the folder (and its parents) if it is absent, mode 0700, and refuses what a memory-mapped
// database cannot live on. Errors: MR_FATAL naming the path and the cure.
MR_CHECKED mr_status mr_place_make(const char *path, mr_error *err);

// Takes the folder for this process until the descriptor is closed (the kernel does it for a
// process that dies). Errors: MR_FATAL that names the pid and host of the process that has it.
MR_CHECKED mr_status mr_place_claim(const char *path, int *owner_fd, mr_error *err);

// Whether some process has the folder now; false when there is no such file.
bool mr_place_is_claimed(const char *path);

// Reads the note. One that cannot be read counts as unclean, of another boot, MR_SYNC_NONE: the
// caller then trusts nothing.
void mr_place_read_note(const char *path, mr_place_note *note);

// Writes and syncs the note of this process. Errors: MR_RETRY on a full disk, else MR_FATAL.
MR_CHECKED mr_status mr_place_write_note(const char *path, int owner_fd, mr_sync sync, bool clean,
                                         mr_error *err);

// The name of the network filesystem with this statfs f_type ("NFS"), or NULL if it is none.
const char *mr_place_network_name(uint64_t fs_type);

// Bytes that an unprivileged process may still write there; UINT64_MAX when it cannot be known.
uint64_t mr_place_free_bytes(const char *path);

#endif
