// SPDX-License-Identifier: Apache-2.0
// folder: a state folder as a whole: copied while a worker writes it, put in place, forgotten.
//
// A copy is one snapshot: whole commits, with the markers and offsets that go with their rows. So
// it is a base that any machine may start from, and the start reads the rest of the changelogs.
#ifndef MR_STATE_FOLDER_H
#define MR_STATE_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

// Whether there is a database in the folder, of whomever.
bool mr_folder_holds_state(const char *path);

// Copies the state of the folder `from`, without its free pages, into the folder `to`, which is
// made and must hold no state. `from` may be written meanwhile; the copy is synced and noted as
// left clean. Takes limit_ms at most: a snapshot keeps every page that the writer frees, so the
// file grows as long as it is held. *bytes is the length of the copy. Done in a child process,
// which can be ended and in which a damaged page is no crash of ours; its reader is freed whatever
// becomes of it. Not from a process with other threads that hold locks.
// Errors: MR_FATAL: there is no state in `from`, it is damaged, or the time is over; MR_RETRY: the
// disk of `to` is full. Nothing is left in `to` then.
MR_CHECKED mr_status mr_folder_copy(const char *from, const char *to, int64_t limit_ms,
                                    uint64_t *bytes, mr_error *err);

// Moves the database of the folder `from`, a copy on the same filesystem that nobody has open, into
// the folder `path`, by one rename, and removes `from`. The state that `path` holds is replaced by
// it, if `replace`. Errors: MR_FATAL: a process has `path`, it holds a state, or lies elsewhere.
MR_CHECKED mr_status mr_folder_place(const char *from, const char *path, bool replace,
                                     mr_error *err);

// Removes the state of a folder, whatever is wrong with it. *found false: there was none. Errors:
// MR_FATAL: a process has it, or the database is not one of millrace's.
MR_CHECKED mr_status mr_folder_forget(const char *path, bool *found, mr_error *err);

// Removes what a state folder is made of, and the folder, if nothing else is in it. For copies that
// were given up.
void mr_folder_remove(const char *path);

#endif
