// SPDX-License-Identifier: Apache-2.0
// backup: the state of a worker as a folder that another machine starts from.
//
// A backup is itself a state folder (state/FORMAT.md) with a note of whose it is. It is one
// snapshot: whole commits, so that a start takes it for a local copy that lags and reads the rest
// of the changelogs. It saves time, it saves no data: that is in the changelogs, and a backup older
// than half of their delete.retention.ms is no base any more.
#ifndef MR_WORKER_BACKUP_H
#define MR_WORKER_BACKUP_H

#include "core/base/hash.h"
#include "state/store.h"

enum { MR_BACKUP_NAME_MAX = 255 };

typedef struct mr_backup_about {      // what a backup, or any state folder, is of
    char app[MR_BACKUP_NAME_MAX + 1]; // "": it has no note, as a folder that was copied by hand
    mr_store_identity identity;
    uint32_t tasks, tasks_here; // of the history; of this folder
    uint64_t rows, seq;         // seq: the greatest of its tasks
    int64_t committed_ms;       // wall clock of its oldest task's last commit
    mr_hash128 state_hash;      // sum over tasks
} mr_backup_about;

typedef struct mr_backup_options {
    const char *from, *to;
    const char *app;     // whose state it is; what a restore wants it to be
    const char *cluster; // restore: id of the brokers' cluster; NULL: not known, not checked
    bool force;          // restore: replaces a state, and takes one of another cluster
    int64_t limit_ms;    // of the snapshot
} mr_backup_options;

// Reads what a folder is of. Errors: MR_FATAL: there is no state, or of another format, or it
// cannot be a base: no commit is in it, or the changelogs were being written from it; MR_RETRY: a
// task is just being restored.
MR_CHECKED mr_status mr_backup_look(const char *path, mr_backup_about *about, mr_error *err);

// Copies the state folder `from`, also while a worker writes it, into the new folder `to`, which
// appears whole or not at all; every row is verified first. Errors: MR_FATAL: `to` is there and not
// empty; as mr_backup_look and mr_folder_copy; the copy has a damaged row.
MR_CHECKED mr_status mr_backup_take(const mr_backup_options *options, mr_backup_about *about,
                                    mr_error *err);

// Puts the backup `from` into the state folder `to`, after every row of the copy was verified.
// Errors: MR_FATAL: `to` is in use, or holds a state and `force` is not given; the backup is of
// another application or cluster; as above. `to` is then as it was.
MR_CHECKED mr_status mr_backup_restore(const mr_backup_options *options, mr_backup_about *about,
                                       mr_error *err);

#endif
