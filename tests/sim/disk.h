// SPDX-License-Identifier: Apache-2.0
// disk: the local copy of one worker: the store port over memory that outlives processes, and that
// loses writes, fills up and flips bits.
#ifndef MR_TESTS_SIM_DISK_H
#define MR_TESTS_SIM_DISK_H

#include "tests/sim/brokers.h"
#include "worker/ports.h"

enum { SIM_UNDO_MAX = 4 };

typedef struct sim_row {
    mr_bytes key, value;
} sim_row;

typedef struct sim_rows { // of a task, in key order; bytes are the disk's
    sim_row *rows;
    uint32_t count;
    mr_bytes marker; // data NULL: the task is not there
    int64_t offsets[MR_STORE_CHANGELOGS];
} sim_rows;

typedef struct sim_image { // the whole file at one time
    sim_rows tasks[SIM_TASKS_MAX];
    mr_store_identity identity;
} sim_image;

typedef struct sim_disk sim_disk;

// Told after each write, where somebody wants to know: rows of a task as they are now.
typedef void sim_on_write(void *context, const sim_disk *disk, uint32_t task);

struct sim_disk {
    sim_image now, before[SIM_UNDO_MAX]; // newest first
    uint32_t before_count;
    const int64_t *now_ms;
    int64_t full_until_ms;
    bool *dead;    // of the process that has it open
    sim_rows load; // of the task that is made again
    uint32_t load_task;
    sim_on_write *on_write;
    void *on_write_context;
    struct sim_page *pages;
};

void sim_disk_open(sim_disk *disk, const int64_t *now_ms);
void sim_disk_close(sim_disk *disk);

mr_store_port sim_disk_port(sim_disk *disk);

// What a crash of the machine, or a bad disk, does. undo: up to `writes` of the last ones.
void sim_disk_undo(sim_disk *disk, uint32_t writes);
void sim_disk_lose(sim_disk *disk);
// Returns whether there was a row to damage.
bool sim_disk_flip(sim_disk *disk, sim_chance *chance);

#endif
