// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/encode.h"
#include "schemas/frame.h"
#include "tests/sim/check.h"
#include "tests/sim/client.h"
#include "tests/sim/rerun.h"

enum {
    COMMITS_MIN = 200,
    STEPS_MAX = 400000,      // of the part in which things go wrong
    CALM_STEPS_MAX = 400000, // until all has to be consumed
    CALM_EVERY_MS = 5,
    STEP_MS = 12,
    AGAIN_MAX = 200, // far below dedup.events_max
    PAUSE_MS = 30000,
    DOWN_MS = 20000,
    ABSENT_MS = 200000,
    SESSION_MS = 20000, // time-outs: at most so much longer than the least
    TRANSACTION_MS = 40000,
    TOMBSTONE_MS = 120000, // delete.retention.ms of the changelogs
    RERUN_EVERY = 8,       // histories: one is run again (I7)
    FORK_EVERY = 24,       // and beside itself and a fork
    UNTIL_MS = 2000,       // before its last commit: up to there it is run once more
    REAL_EVERY = 16,       // one of them has models of the product too
};

typedef struct process {
    sim_client client;
    sim_disk disk;
    mr_worker *worker;     // NULL: not running
    int64_t down_until_ms; // not running before; INT64_MAX: not needed
    int64_t paused_until_ms;
    int64_t cut_until_ms;
    bool leaving;
    uint32_t restarts;
} process;

typedef struct history {
    const sim_options *options;
    mr_config *const *configs;
    bool rerun;        // at the end
    bool forks;        // and forked
    sim_chance chance; // of schedule and traffic
    sim_faults faults;
    sim_brokers brokers;
    sim_check check;
    process processes[SIM_WORKERS_MAX];
    uint32_t worker_count;
    uint64_t incarnations;
    uint64_t fingerprint; // of the schema of clicks
    sim_totals *totals;
} history;

// ---- ports that are not Kafka's

static int64_t clock_now(void *context)
{
    return ((const sim_brokers *)context)->now_ms;
}

static void clock_sleep(void *context, int64_t ms)
{
    (void)context, (void)ms;
}

static void fill(void *context, void *bytes, size_t size)
{
    uint8_t *to = bytes;
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)sim_next(context);
}

// ---- traffic

static void write_event(history *h, uint32_t task)
{
    uint8_t bytes[256];
    char user[16], item[16], id[32];
    sim_log *log = &h->brokers.inputs[0][task];
    sim_event event = {.user = (uint8_t)sim_below(&h->chance, SIM_USERS),
                       .item = (uint8_t)sim_below(&h->chance, SIM_ITEMS)};
    const uint32_t kind = sim_below(&h->chance, 50);
    event.number = log->end;
    event.bad = kind == 0;
    if (kind == 1 && log->end > 0) { // an event that was sent before, inside the window
        const uint32_t most = log->end < AGAIN_MAX ? (uint32_t)log->end : AGAIN_MAX;
        event = h->check.events[task][log->end - 1 - sim_below(&h->chance, most)];
        event.again = !event.bad;
    }
    snprintf(user, sizeof user, "u%02u-%02u", task, event.user);
    snprintf(item, sizeof item, "i%02u", event.item);
    const int length = snprintf(id, sizeof id, "e%02u-%lld", task, (long long)event.number);
    event.hash = mr_counting_hash(mr_bytes_of(id, (size_t)length));
    const mr_event click = {.kind = MR_EVENT_CLICK,
                            .present = 1u << MR_FIELD_event_id | 1u << MR_FIELD_user |
                                       1u << MR_FIELD_item | 1u << MR_FIELD_time,
                            .event_id = mr_bytes_text(id),
                            .user = mr_bytes_text(user),
                            .item = mr_bytes_text(item),
                            .time_ms = h->brokers.now_ms};
    mr_writer out = mr_writer_make(bytes, sizeof bytes);
    mr_frame_put_single_object(&out, h->fingerprint);
    mr_encode_event(&out, &click);
    if (event.bad)
        out.size = 11;
    sim_check_event(&h->check, task, event);
    sim_append(&h->brokers, log, mr_bytes_text(user), mr_bytes_of(bytes, out.size), UINT32_MAX);
}

// ---- processes

static mr_sink_state sink_state(const process *p)
{
    return mr_committer_state(p->worker->committer);
}

// The process is gone, at whatever it was doing.
static void end_process(history *h, process *p)
{
    mr_error ignored;
    p->client.dead = true;
    mr_worker_end(p->worker, &ignored);
    free(p->worker);
    sim_client_close(&p->client);
    p->worker = NULL;
    p->leaving = false;
    p->paused_until_ms = p->cut_until_ms = 0;
    p->down_until_ms = h->brokers.now_ms + sim_below(&h->chance, DOWN_MS);
}

// At which point of a commit a process is killed: learning, records sent, offsets sent, committed
// without an answer, committed and not stored; or in the middle of a restore.
static uint32_t crash_point(const history *h, const process *p)
{
    mr_error ignored;
    const mr_ownership *own = &p->worker->own;
    const mr_sink_state state = sink_state(p);
    const bool committed =
        p->client.tx != UINT32_MAX && h->brokers.txs[p->client.tx].state == SIM_COMMITTED;
    if (own->wanted_count > own->taken && own->takings[own->taken].state != MR_TAKING_NEW)
        return 20;
    if (state == MR_SINK_SENDING || state == MR_SINK_FLUSHING || state == MR_SINK_OFFSETS)
        return 2;
    if (state == MR_SINK_ENDING)
        return committed ? 4 : 3;
    return mr_committer_look(p->worker->committer, &ignored).stored ? 1 : 5;
}

static void kill_process(history *h, process *p)
{
    const mr_ownership *own = &p->worker->own;
    h->totals->points[crash_point(h, p)]++;
    h->totals->killed_in_sink[sink_state(p)]++;
    h->totals->killed_in_phase[own->phase]++;
    for (uint32_t i = 0; i < own->wanted_count; i++)
        h->totals->killed_in_taking[own->takings[i].state]++;
    end_process(h, p);
}

static void start_process(history *h, process *p)
{
    mr_error err = {0};
    const uint32_t index = (uint32_t)(p - h->processes);
    sim_client_open(&p->client, &h->brokers, &h->faults, index, ++h->incarnations);
    p->disk.dead = &p->client.dead;
    mr_worker *worker = calloc(1, sizeof *worker);
    MR_ASSERT(worker != NULL);
    worker->config = h->configs[index];
    worker->methods = h->options->methods;
    worker->catalog = h->options->catalog;
    worker->clock = (mr_clock){&h->brokers, clock_now, clock_now, clock_sleep};
    worker->chance = (mr_chance){&h->chance, fill};
    worker->bus = sim_client_bus(&p->client);
    worker->intake = sim_client_intake(&p->client);
    worker->store = sim_disk_port(&p->disk);
    worker->tasks = h->brokers.tasks;
    worker->partition_counts[0] = worker->partition_counts[SIM_DELTAS] = h->brokers.tasks;
    memcpy(worker->cluster, "sim", sizeof "sim");
    // The producer is there before the group is joined, and ends what its name left open.
    p->client.epoch = sim_init_producer(&h->brokers, index);
    p->restarts++;
    p->worker = worker;
    if (mr_worker_begin(worker, false, TOMBSTONE_MS / 2, &err) != MR_OK) {
        snprintf(h->check.violation, sizeof h->check.violation, "a worker cannot begin: %s",
                 err.text);
        end_process(h, p);
    }
}

// A stop by signal: a last commit, then the end.
static void leave(history *h, process *p)
{
    mr_error err = {0};
    const mr_committer_view view = mr_committer_look(p->worker->committer, &err);
    if (view.idle && !mr_worker_has_learned(p->worker) && view.stored) {
        end_process(h, p);
        if (!h->faults.calm && h->worker_count > 1 && sim_below(&h->chance, 3) == 0)
            sim_leave(&h->brokers, (uint32_t)(p - h->processes));
        return;
    }
    mr_committer_flush(p->worker->committer);
}

static void note_exit(history *h, process *p, const mr_error *err)
{
    h->totals->exits++;
    snprintf(h->totals->exit_reason, sizeof h->totals->exit_reason, "%.199s", err->text);
    if (h->options->trace)
        fprintf(stderr, "%lld worker %u exits: %s\n", (long long)h->brokers.now_ms,
                (uint32_t)(p - h->processes), err->text);
    end_process(h, p);
}

// One step of a process: of its loop, or of its committing thread.
static void step_process(history *h, process *p)
{
    mr_error err = {0};
    bool worked;
    const bool commits = sim_below(&h->chance, 2) == 0;
    p->client.committing = commits;
    if (h->brokers.now_ms < p->client.busy_until_ms[commits])
        return; // it still waits for an answer
    if (commits) {
        mr_committer_step(p->worker->committer, &worked);
        return;
    }
    const mr_status status = mr_worker_turn(p->worker, -1, 0, &err);
    if (status != MR_OK)
        note_exit(h, p, &err);
    else if (p->leaving)
        leave(h, p);
}

// ---- faults of processes, disks and brokers

static int64_t later(history *h, uint32_t ms)
{
    return h->brokers.now_ms + sim_below(&h->chance, ms);
}

static void kill_and(history *h, process *p, sim_fault fault)
{
    if (!sim_fails(&h->faults, fault))
        return;
    if (p->worker != NULL)
        kill_process(h, p);
    if (fault == SIM_lost_disk)
        sim_disk_lose(&p->disk);
    else if (fault == SIM_undone_disk)
        sim_disk_undo(&p->disk, 1 + sim_below(&h->chance, SIM_UNDO_MAX));
    else if (fault == SIM_bit_flip)
        sim_disk_flip(&p->disk, &h->chance);
    else if (fault == SIM_long_absence)
        p->down_until_ms = h->brokers.now_ms + ABSENT_MS;
}

static void harm_process(history *h, process *p)
{
    const sim_fault kills[] = {SIM_kill, SIM_lost_disk, SIM_undone_disk, SIM_bit_flip,
                               SIM_long_absence};
    for (size_t i = 0; i < sizeof kills / sizeof *kills && p->worker != NULL; i++)
        kill_and(h, p, kills[i]);
    if (p->worker == NULL)
        return;
    if ((sink_state(p) == MR_SINK_ENDING || sink_state(p) == MR_SINK_FLUSHING) &&
        sim_fails(&h->faults, SIM_stuck_commit)) {
        const int64_t until_ms = later(h, PAUSE_MS);
        // Never shorter than what it waits for already: a call that saw a disconnect takes its time.
        if (until_ms > p->client.busy_until_ms[1])
            p->client.busy_until_ms[1] = until_ms;
        sim_leave(&h->brokers, (uint32_t)(p - h->processes));
    }
    if (sim_fails(&h->faults, SIM_leave))
        p->leaving = true;
    if (sim_fails(&h->faults, SIM_pause))
        p->paused_until_ms = later(h, PAUSE_MS);
    if (sim_fails(&h->faults, SIM_cut))
        p->cut_until_ms = later(h, PAUSE_MS);
    if (sim_fails(&h->faults, SIM_full_disk))
        p->disk.full_until_ms = later(h, PAUSE_MS);
    p->client.cut = h->brokers.now_ms < p->cut_until_ms;
}

// As a mirror or an operator may do.
static void repeat_delta(history *h)
{
    sim_log *log =
        &h->brokers.topics[MR_TOPIC_ITEM_DELTAS][sim_below(&h->chance, h->brokers.tasks)];
    if (log->count == 0)
        return;
    const uint32_t most = log->count < 8 ? log->count : 8;
    const sim_record record = log->records[log->count - 1 - sim_below(&h->chance, most)];
    if (sim_committed(&h->brokers, &record))
        sim_append(&h->brokers, log, record.key, record.value, UINT32_MAX);
}

static void harm_brokers(history *h)
{
    sim_brokers *brokers = &h->brokers;
    if (sim_fails(&h->faults, SIM_join) && h->worker_count < SIM_WORKERS_MAX) {
        h->processes[h->worker_count++].down_until_ms = brokers->now_ms;
        brokers->workers = h->worker_count;
    }
    if (sim_fails(&h->faults, SIM_move))
        sim_rebalance(brokers);
    if (sim_fails(&h->faults, SIM_kick))
        sim_leave(brokers, sim_below(&h->chance, h->worker_count));
    if (sim_fails(&h->faults, SIM_repeated_delta))
        repeat_delta(h);
    if (sim_fails(&h->faults, SIM_compaction))
        sim_compact(brokers,
                    &brokers->topics[MR_TOPIC_USER_ROWS + sim_below(&h->chance, 2)]
                                    [sim_below(&h->chance, brokers->tasks)],
                    TOMBSTONE_MS);
    if (sim_fails(&h->faults, SIM_offsets_expire))
        sim_expire_offsets(brokers);
}

static bool can_run(const history *h, const process *p)
{
    const int64_t now_ms = h->brokers.now_ms;
    return p->worker != NULL && now_ms >= p->paused_until_ms;
}

static void pass_time(history *h, uint32_t ms)
{
    h->brokers.now_ms += ms;
    for (uint32_t w = 0; w < h->worker_count; w++) {
        process *p = &h->processes[w];
        p->client.cut = p->worker != NULL && h->brokers.now_ms < p->cut_until_ms;
        if (p->worker != NULL && h->brokers.now_ms >= p->paused_until_ms && !p->client.cut)
            sim_heartbeat(&h->brokers, w, p->client.incarnation);
        if (p->worker == NULL && h->brokers.now_ms >= p->down_until_ms)
            start_process(h, p);
    }
    sim_brokers_tick(&h->brokers);
}

static void step(history *h, bool traffic)
{
    process *p = &h->processes[sim_below(&h->chance, h->worker_count)];
    pass_time(h, sim_below(&h->chance, STEP_MS));
    if (traffic && sim_below(&h->chance, 3) == 0)
        write_event(h, sim_below(&h->chance, h->brokers.tasks));
    harm_process(h, p);
    harm_brokers(h);
    if (can_run(h, p))
        step_process(h, p);
    h->totals->steps++;
}

static bool holds(const history *h)
{
    return h->check.violation[0] == '\0';
}

static void calm_down(history *h)
{
    h->faults.calm = true;
    for (uint32_t w = 0; w < h->worker_count; w++) {
        process *p = &h->processes[w];
        p->paused_until_ms = p->cut_until_ms = p->disk.full_until_ms = 0;
        p->leaving = false;
        p->down_until_ms = h->brokers.now_ms;
    }
    uint32_t left = CALM_STEPS_MAX;
    while (holds(h) && left > 0 && !sim_check_done(&h->check, &h->brokers)) {
        step(h, false);
        left--;
    }
    if (holds(h) && left == 0)
        snprintf(h->check.violation, sizeof h->check.violation,
                 "I8: not everything is consumed after %u calm steps; %llu exits, the last: %s",
                 CALM_STEPS_MAX, (unsigned long long)h->totals->exits, h->totals->exit_reason);
    if (holds(h))
        sim_check_end(&h->check);
}

// Also to a point before the end: whatever commits are later, the others can be run.
static void run_again_until(history *h, const mr_rerun_result *whole)
{
    mr_rerun_result result;
    mr_error err = {0};
    const int64_t until_ms = whole->last_ms - UNTIL_MS;
    const mr_status status = sim_rerun(&h->brokers, h->configs[0], h->options->methods,
                                       h->options->catalog, until_ms, &result, &err);
    if (status != MR_OK)
        snprintf(h->check.violation, sizeof h->check.violation, "I7: up to a point: %s", err.text);
    else if (result.commits >= whole->commits || result.last_ms > until_ms || result.hashes == 0)
        snprintf(h->check.violation, sizeof h->check.violation,
                 "I7: %llu of %llu commits were run up to %lld, the last of %lld",
                 (unsigned long long)result.commits, (unsigned long long)whole->commits,
                 (long long)until_ms, (long long)result.last_ms);
}

// Beside itself: the deltas are the fork's own, and nothing differs.
static void run_beside_itself(history *h)
{
    sim_forked forked;
    mr_error err = {0};
    const mr_rerun_fork fork = {h->configs[0], h->options->methods, 0};
    const mr_status status = sim_fork(&h->brokers, h->configs[0], h->options->methods,
                                      h->options->catalog, &fork, &forked, &err);
    if (status != MR_OK)
        snprintf(h->check.violation, sizeof h->check.violation, "I7: beside itself: %s", err.text);
    else if (forked.compared == 0 || forked.differ + forked.alone > 0 || !forked.same)
        snprintf(h->check.violation, sizeof h->check.violation,
                 "I7: beside itself: %llu of %llu lists differ, %llu are in one branch alone",
                 (unsigned long long)forked.differ, (unsigned long long)forked.compared,
                 (unsigned long long)forked.alone);
}

// Beside a fork with shorter lists, from a point before the end.
static void run_beside_another(history *h, int64_t from_ms)
{
    sim_forked forked;
    mr_error err = {0};
    const bool real = h->configs == h->options->real_configs;
    const mr_rerun_fork fork = {real ? h->options->real_other : h->options->other,
                                h->options->methods, from_ms};
    const mr_status status = sim_fork(&h->brokers, h->configs[0], h->options->methods,
                                      h->options->catalog, &fork, &forked, &err);
    if (status != MR_OK)
        snprintf(h->check.violation, sizeof h->check.violation, "I7: fork: %s", err.text);
    else if (forked.compared == 0 || forked.differ == 0 ||
             forked.commits >= h->check.epoch_records)
        snprintf(h->check.violation, sizeof h->check.violation,
                 "I7: fork: %llu of %llu lists differ, in %llu commits",
                 (unsigned long long)forked.differ, (unsigned long long)forked.compared,
                 (unsigned long long)forked.commits);
}

static void run_again(history *h)
{
    mr_rerun_result result;
    mr_error err = {0};
    const mr_status status = sim_rerun(&h->brokers, h->configs[0], h->options->methods,
                                       h->options->catalog, 0, &result, &err);
    if (status != MR_OK)
        snprintf(h->check.violation, sizeof h->check.violation, "I7: %s", err.text);
    else if (result.commits != h->check.epoch_records || result.lists_gone > 0 ||
             result.hashes == 0)
        snprintf(h->check.violation, sizeof h->check.violation,
                 "I7: %llu of %llu commits were run again, with %llu hashes; %llu lists are in no "
                 "topic",
                 (unsigned long long)result.commits, (unsigned long long)h->check.epoch_records,
                 (unsigned long long)result.hashes, (unsigned long long)result.lists_gone);
    if (holds(h))
        run_again_until(h, &result);
    if (holds(h) && h->forks)
        run_beside_itself(h);
    if (holds(h) && h->forks)
        run_beside_another(h, result.last_ms - UNTIL_MS);
    h->totals->reruns++;
    h->totals->rerun_commits += result.commits;
    h->totals->rerun_epochs += result.epochs;
    h->totals->rerun_lists += result.lists;
    h->totals->rerun_deltas += result.deltas;
    h->totals->rerun_engines += result.engines;
}

static void open_history(history *h, uint64_t seed)
{
    const mr_catalog_schema *schema;
    h->chance = (sim_chance){seed};
    h->configs = seed % REAL_EVERY == 0 ? h->options->real_configs : h->options->configs;
    h->rerun = seed % RERUN_EVERY == 0;
    h->forks = seed % FORK_EVERY == 0;
    sim_faults_open(&h->faults, seed);
    h->faults.allowed_until = h->options->faults_until;
    h->worker_count = 2 + sim_below(&h->chance, 3);
    sim_brokers_open(&h->brokers, &h->chance, 4 + sim_below(&h->chance, 13), h->worker_count);
    sim_check_open(&h->check, h->brokers.tasks);
    h->brokers.session_ms = 6000 + sim_below(&h->chance, SESSION_MS);
    h->brokers.transaction_ms = 2000 + sim_below(&h->chance, TRANSACTION_MS);
    h->brokers.on_commit = sim_check_commit;
    h->brokers.on_commit_context = &h->check;
    for (uint32_t w = 0; w < SIM_WORKERS_MAX; w++) {
        sim_disk_open(&h->processes[w].disk, &h->brokers.now_ms);
        h->processes[w].disk.on_write = sim_check_write;
        h->processes[w].disk.on_write_context = &h->check;
    }
    for (uint32_t i = 0; (schema = mr_catalog_at(h->options->catalog, i)) != NULL; i++) {
        if (schema->is_ours && strcmp(schema->name, "click") == 0)
            h->fingerprint = schema->fingerprint;
    }
}

static void close_history(history *h)
{
    for (uint32_t w = 0; w < SIM_WORKERS_MAX; w++) {
        if (h->processes[w].worker != NULL)
            end_process(h, &h->processes[w]);
        sim_disk_close(&h->processes[w].disk);
    }
    sim_check_close(&h->check);
    sim_brokers_close(&h->brokers);
}

// Points that are a kind of fault, whenever it comes.
static void count_points(history *h)
{
    static const struct {
        uint32_t point;
        sim_fault fault;
    } table[] = {{7, SIM_undone_disk}, {8, SIM_lost_disk},     {9, SIM_bit_flip},
                 {11, SIM_leave},      {12, SIM_kick},         {13, SIM_pause},
                 {14, SIM_move},       {15, SIM_lost_request}, {17, SIM_cut},
                 {18, SIM_full_disk},  {19, SIM_kill},         {21, SIM_offsets_expire},
                 {23, SIM_late_end}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        h->totals->points[table[i].point] += h->faults.injected[table[i].fault];
    h->totals->points[10] += h->brokers.timed_out;
}

bool sim_history(const sim_options *options, uint64_t seed, sim_totals *totals, char *violation,
                 size_t size, uint64_t *questions)
{
    history *h = calloc(1, sizeof *h);
    MR_ASSERT(h != NULL);
    h->options = options;
    h->totals = totals;
    open_history(h, seed);
    for (uint32_t i = 0; i < STEPS_MAX && h->check.commits < COMMITS_MIN && holds(h); i++)
        step(h, true);
    if (holds(h))
        calm_down(h);
    if (holds(h) && h->rerun)
        run_again(h);
    const bool good = holds(h);
    snprintf(violation, size, "%s", h->check.violation);
    *questions = h->faults.asked;
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++)
        totals->injected[i] += h->faults.injected[i];
    count_points(h);
    totals->histories++;
    totals->commits += h->check.commits;
    close_history(h);
    free(h);
    return good;
}
