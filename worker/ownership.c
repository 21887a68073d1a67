// SPDX-License-Identifier: Apache-2.0
// ownership: invariants, and the one way through the phases.
//
// 1. Learning, closing and giving a commit happen in WORKING and RELEASING alone, under the
//    generation that the work belongs to.
// 2. What is held is what Kafka has, plus our own commit under way, plus what is open. After every
//    assignment that is checked before anything is learned again: the changelogs of what is held
//    are read from where we left them, and a marker that is not ours ends in ROLLING_BACK.
// 3. A commit under way whose outcome is unknown is there if its markers are, and is sent again as
//    the same bytes if they are not, provided that every task of it is still ours. Otherwise it is
//    rolled back, and so is what is open: a task that is kept may have deltas of one that is lost.
// 4. Nothing is taken or forgotten while the store lacks something that is confirmed, so that the
//    store never gets a row older than what a later owner wrote. The group does not wait for that:
//    the store is written while the others join.
// 5. Tasks are added and given away between two commits only.
//
//              assigned               ours                      revoked
//    JOINING ------------> CHECKING --------> WORKING -----------------------> RELEASING
//     ^  ^ ^                 ^  |               | |  taking, learning             |
//     |  | | lost            |  |               | |                              | committed, let
//     go |  | +-----------------|--+---------------+ |                              | |  |
//     +--------------------+ a commit was fenced           | |  |                      | not ours |
//     |  +------ ROLLING_BACK <-+                                                 |
//     +---------------------------------------------------------------------------+
#include "worker/ownership.h"

#include <stdlib.h>
#include <string.h>

#include "worker/planted.h"
#include "worker/rewrite.h"
#include "worker/run.h"

#include "worker/log.h"

enum {
    RELEASE_MS = 30000, // for a last commit; far below half of max.poll.interval.ms
};

static const char *const names[MR_PHASE_COUNT] = {
    [MR_PHASE_JOINING] = "joining",           [MR_PHASE_CHECKING] = "checking",
    [MR_PHASE_WORKING] = "working",           [MR_PHASE_RELEASING] = "releasing",
    [MR_PHASE_ROLLING_BACK] = "rolling back",
};

const char *mr_phase_name(mr_phase phase)
{
    return names[phase];
}

#define TO(phase) (1u << MR_PHASE_##phase)

// Every arrow of the drawing, and no other.
static const uint32_t arrows[MR_PHASE_COUNT] = {
    [MR_PHASE_JOINING] = TO(CHECKING),
    [MR_PHASE_CHECKING] = TO(WORKING) | TO(ROLLING_BACK) | TO(JOINING),
    [MR_PHASE_WORKING] = TO(CHECKING) | TO(RELEASING) | TO(JOINING),
    [MR_PHASE_RELEASING] = TO(JOINING),
    [MR_PHASE_ROLLING_BACK] = TO(JOINING),
};

static void move(mr_worker *worker, mr_phase to)
{
    mr_ownership *own = &worker->own;
    MR_ASSERT((arrows[own->phase] >> to & 1u) != 0);
    mr_log(MR_LOG_INFO, "rebalance", "phase", mr_log_text("from", names[own->phase]),
           mr_log_text("to", names[to]), mr_log_long("generation", (int64_t)own->generation),
           mr_log_long("held", own->held_count));
    mr_standby_stop(&own->standby, own->taker);
    own->phase = to;
}

mr_status mr_ownership_open(mr_worker *worker, int64_t copy_age_max_ms, mr_error *err)
{
    mr_ownership *own = &worker->own;
    const size_t tasks = worker->tasks;
    own->held = calloc(tasks, sizeof *own->held);
    own->wanted = calloc(tasks, sizeof *own->wanted);
    own->takings = calloc(tasks, sizeof *own->takings);
    own->taker = calloc(1, sizeof *own->taker);
    if (own->held == NULL || own->wanted == NULL || own->takings == NULL || own->taker == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    *own->taker = (mr_taker){
        .config = worker->config,
        .bus = &worker->bus,
        .store = &worker->store,
        .clock = &worker->clock,
        .tasks = worker->tasks,
        .cluster = worker->cluster,
        .accept_offsets = worker->config->accept_offsets,
        .copy_age_max_ms = copy_age_max_ms,
    };
    own->phase = MR_PHASE_JOINING;
    MR_TRY(mr_standby_open(worker->config, worker->tasks, &own->standby, err));
    return mr_taker_open(own->taker, err);
}

void mr_ownership_close(mr_worker *worker)
{
    mr_ownership *own = &worker->own;
    mr_standby_close(&own->standby);
    if (own->taker != NULL)
        mr_taker_close(own->taker);
    free(own->taker);
    free(own->takings);
    free(own->wanted);
    free(own->held);
}

static bool has(const uint32_t *tasks, uint32_t count, uint32_t task)
{
    for (uint32_t i = 0; i < count; i++) {
        if (tasks[i] == task)
            return true;
    }
    return false;
}

static uint32_t lost_count(const mr_worker *worker, const mr_membership *member)
{
    const mr_ownership *own = &worker->own;
    uint32_t count = 0;
    for (uint32_t i = 0; i < own->held_count; i++)
        count += !has(member->tasks, member->task_count, own->held[i]);
    return count;
}

// Takings that are not finished begin again later, from what the store has.
static void forget_wanted(mr_ownership *own)
{
    for (uint32_t i = 0; i < own->wanted_count; i++)
        mr_taking_again(own->taker, &own->takings[i]);
    own->wanted_count = own->taken = 0;
}

// ---- CHECKING

static void begin_check(mr_worker *worker, const mr_membership *member)
{
    mr_ownership *own = &worker->own;
    own->generation = member->generation;
    own->check_task = own->check_changelog = 0;
    own->check_end = -1;
    own->foreign = own->decided = false;
    own->found = 0;
    move(worker, MR_PHASE_CHECKING);
}

typedef struct seeing {
    mr_worker *worker;
    const mr_frozen *frozen; // the commit whose outcome is not known; NULL: there is none
    bool found, foreign;
    int64_t next; // behind the marker that was found
} seeing;

static mr_status see(void *context, int64_t offset, mr_bytes key, mr_bytes value, mr_error *err)
{
    seeing *s = context;
    mr_marker marker;
    if (!mr_marker_is(key))
        return MR_OK; // rows count with their marker
    MR_TRY(mr_taking_marker(s->worker->own.taker, value, &marker, err));
    const bool ours = s->frozen != NULL && marker.commit == mr_frozen_number(s->frozen) &&
                      mr_bytes_equal(marker.instance, mr_bytes_text(s->worker->config->instance)) &&
                      marker.seq + 1 == s->worker->seqs[marker.task];
    s->found = s->found || ours;
    s->foreign = s->foreign || !ours;
    if (ours)
        s->next = offset + 1;
    return MR_OK;
}

static void note_found(mr_frozen *frozen, uint32_t task, uint32_t changelog, int64_t next)
{
    uint32_t count;
    mr_frozen_task *tasks = mr_frozen_tasks(frozen, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (tasks[i].task == task)
            tasks[i].next[changelog] = next;
    }
}

// Whether nobody can have committed behind what we know: nothing is there, or the control record of
// our last commit alone. Another owner's commit would come behind that, for it waited for ours to
// be decided before it began.
static bool untouched(const mr_ownership *own)
{
    return own->check_end <= own->check_next + own->check_ours;
}

// One slice of one changelog of what is held. *done: all were read.
static mr_status check_slice(mr_worker *worker, const mr_membership *member, bool *done,
                             mr_error *err)
{
    mr_ownership *own = &worker->own;
    const mr_bus *bus = &worker->bus;
    *done = own->check_task == own->held_count;
    if (*done)
        return MR_OK;
    const uint32_t task = own->held[own->check_task];
    const mr_topic topic = mr_topic_of_changelog(own->check_changelog);
    mr_frozen *frozen = mr_committer_held(worker->committer);
    seeing s = {.worker = worker, .frozen = frozen};
    mr_status status = MR_OK;
    if (has(member->tasks, member->task_count, task)) {
        if (own->check_end < 0) {
            mr_log_ends ends;
            int64_t placed[MR_STORE_CHANGELOGS];
            MR_TRY(bus->changelog_ends(bus->context, topic, task, &ends, err));
            own->check_ours = mr_generations_placed(worker->generations, task, placed);
            own->check_next = placed[own->check_changelog];
            own->check_end = ends.end;
        }
        if (frozen != NULL || !untouched(own))
            status = bus->changelog_read(bus->context, topic, task, own->check_next, own->check_end,
                                         see, &s, &own->check_next, err);
        own->foreign = own->foreign || s.foreign;
        own->found += s.found;
        if (s.found)
            note_found(frozen, task, own->check_changelog, s.next);
        MR_TRY(status);
    }
    own->check_end = -1;
    if (++own->check_changelog == MR_STORE_CHANGELOGS) {
        own->check_changelog = 0;
        own->check_task++;
    }
    return MR_OK;
}

static void roll_back(mr_worker *worker, const char *why)
{
    mr_log(MR_LOG_WARNING, "rebalance", "rolling back", mr_log_text("why", why));
    move(worker, MR_PHASE_ROLLING_BACK);
}

static void forget_bytes(mr_worker *worker)
{
    mr_generations_drop(worker->generations, mr_committer_drop(worker->committer));
}

// What becomes of the commit under way, and of what is open. false: it is rolled back.
static bool decide(mr_worker *worker, const mr_membership *member)
{
    mr_ownership *own = &worker->own;
    const bool lost = lost_count(worker, member) > 0;
    mr_frozen *held = mr_committer_held(worker->committer);
    uint32_t covered = 0;
    if (own->foreign && !mr_planted(MR_BUG_NO_CHECK)) {
        roll_back(worker, "somebody else has committed");
        return false;
    }
    const bool dirty = held != NULL || mr_worker_has_learned(worker);
    const bool spared = mr_planted(MR_BUG_KEPT_DIRTY) && !mr_worker_has_learned(worker);
    if (own->made_up && !has(member->tasks, member->task_count, 0)) {
        roll_back(worker, "the history that we began is another worker's to begin");
        return false;
    }
    if (lost && dirty && !spared) {
        roll_back(worker, "tasks of what is not committed went elsewhere");
        return false;
    }
    if (held != NULL)
        mr_frozen_tasks(held, &covered);
    if (held != NULL && own->found == covered * MR_STORE_CHANGELOGS)
        mr_committer_found(worker->committer);
    else if (held != NULL && mr_planted(MR_BUG_COMPUTED_AGAIN))
        forget_bytes(worker);
    else if (held != NULL)
        mr_committer_again(worker->committer, own->generation);
    own->decided = true;
    return true;
}

// Its items stay in the engine as a view, as of its last commit: ours, or the one that it was
// restored from. One that has learned nothing yet has no items, and perhaps no commit.
static void give_away(mr_worker *worker, uint32_t task)
{
    int64_t next[MR_STORE_CHANGELOGS];
    const bool empty = worker->placed[task] && mr_engine_task(worker->engine, task).epoch == 0;
    mr_engine_release(worker->engine, task);
    mr_traces_release(worker->traces, task);
    (void)mr_generations_placed(worker->generations, task, next);
    mr_follower_place(worker->follower, task, empty ? -1 : next[1], worker->seqs[task] - 1);
}

// What is assigned and not held. A taking that was begun goes on, but asks again where its
// changelogs end.
static void want(mr_ownership *own, const mr_membership *member)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < own->wanted_count; i++) {
        const bool still = has(member->tasks, member->task_count, own->wanted[i]);
        if (!still || !mr_planted(MR_BUG_OLD_END))
            mr_taking_again(own->taker, &own->takings[i]);
    }
    for (uint32_t i = 0; i < member->task_count; i++) {
        const uint32_t task = member->tasks[i];
        if (has(own->held, own->held_count, task))
            continue;
        if (!mr_planted(MR_BUG_OLD_END) || count >= own->wanted_count ||
            own->takings[count].task != task)
            own->takings[count] = (mr_taking){.task = task};
        own->wanted[count++] = task;
    }
    if (!mr_planted(MR_BUG_OLD_END))
        own->taken = 0;
    own->wanted_count = count;
    own->taken = own->taken < count ? own->taken : count;
}

// Gives the lost tasks away, keeps the others, wants the rest. An engine that holds nothing follows
// nothing either, so that what it knows of foreign items would grow old: it begins anew.
static mr_status adopt(mr_worker *worker, const mr_membership *member, mr_error *err)
{
    mr_ownership *own = &worker->own;
    const uint32_t before = own->held_count;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < own->held_count; i++) {
        if (has(member->tasks, member->task_count, own->held[i]))
            own->held[kept++] = own->held[i];
        else
            give_away(worker, own->held[i]);
    }
    if (kept < before)
        mr_worker_cancel(worker);
    if (kept == 0 && before > 0)
        MR_TRY(mr_worker_reset_engine(worker, err));
    own->held_count = kept;
    want(own, member);
    own->adopted = own->generation;
    return mr_worker_read(worker, err);
}

static mr_status check(mr_worker *worker, const mr_committer_view *commits,
                       const mr_membership *member, bool *moved, mr_error *err)
{
    mr_ownership *own = &worker->own;
    if (member->state != MR_GROUP_ASSIGNED || member->generation != own->generation) {
        move(worker, MR_PHASE_JOINING);
        return MR_OK;
    }
    if (!own->decided) {
        bool done;
        if (!commits->idle && !commits->held) {
            *moved = false; // it ends by itself, or is fenced
            return MR_OK;
        }
        const mr_status status = check_slice(worker, member, &done, err);
        if (status == MR_RETRY)
            return MR_OK;
        MR_TRY(status);
        if (!done || !decide(worker, member))
            return MR_OK;
    }
    const bool same = lost_count(worker, member) == 0 && member->task_count == own->held_count;
    if (own->adopted != own->generation) {
        if (!same && !mr_committer_look(worker->committer, err).stored) {
            mr_committer_flush(worker->committer); // invariant 4
            *moved = false;
            return MR_OK;
        }
        MR_TRY(adopt(worker, member, err));
    }
    move(worker, MR_PHASE_WORKING);
    return MR_OK;
}

// ---- WORKING: taking what is wanted

static mr_status keep_in_group(void *context, mr_error *err)
{
    mr_worker *worker = context;
    MR_TRY(worker->intake.poll(worker->intake.context, 0, err));
    const mr_membership member = worker->intake.look(worker->intake.context);
    if (member.state != MR_GROUP_ASSIGNED || member.generation != worker->own.generation)
        return mr_fail(err, MR_FENCED,
                       "the group took tasks away while the changelogs were written");
    return MR_OK;
}

static uint32_t task_of(void *context, uint32_t input, uint32_t partition)
{
    const mr_worker *worker = context;
    return worker->intake.task_of(worker->intake.context, input, partition);
}

// Writes the changelogs of the wanted tasks from the local copy.
static mr_status rewrite(mr_worker *worker, mr_rewrite_why why, mr_error *err)
{
    mr_ownership *own = &worker->own;
    mr_rewrite_result result;
    mr_rewrite_options options = {
        .taker = own->taker,
        .why = why,
        .owned = own->wanted,
        .owned_count = own->wanted_count,
        .task_of = task_of,
        .idle = keep_in_group,
        .context = worker,
        .generation = own->generation,
        .commit_bytes_max = (size_t)worker->config->commit_bytes_max,
        .outputs = worker->outputs,
    };
    options.inputs = worker->intake.partitions(worker->intake.context, &options.input_count);
    return mr_rewrite_run(&options, &result, err);
}

// Once a process, before anything is taken: a copy that a replay left, or that the operator has
// called the truth, goes to the changelogs. Only a worker that has all tasks can do that.
static mr_status rewrite_first(mr_worker *worker, mr_error *err)
{
    mr_ownership *own = &worker->own;
    const bool all = own->wanted_count == worker->tasks;
    if (!all && worker->from_local)
        return mr_fail(err, MR_FATAL,
                       "recover --from-local needs all %u tasks and the group gave %u: stop the "
                       "other workers first",
                       worker->tasks, own->wanted_count);
    own->rewritten = true;
    if (!all || worker->mock)
        return MR_OK;
    return rewrite(worker, worker->from_local ? MR_REWRITE_FROM_LOCAL : MR_REWRITE_ASKED_BY_COPY,
                   err);
}

// The input partitions of a task, `next` unknown; in order.
static mr_status inputs_of(mr_worker *worker, uint32_t task, mr_offset *mine, uint32_t *count,
                           mr_error *err)
{
    uint32_t all_count;
    const mr_offset *all = worker->intake.partitions(worker->intake.context, &all_count);
    *count = 0;
    for (uint32_t i = 0; i < all_count; i++) {
        if (task_of(worker, all[i].input, all[i].partition) != task)
            continue;
        if (*count == MR_MARKER_OFFSETS_MAX)
            return mr_fail(err, MR_FATAL, "task %u reads more than %d input partitions", task,
                           MR_MARKER_OFFSETS_MAX);
        mine[(*count)++] = all[i];
    }
    return MR_OK;
}

static mr_status place(mr_worker *worker, mr_taking *taking, mr_error *err)
{
    mr_offset mine[MR_MARKER_OFFSETS_MAX];
    uint32_t count;
    MR_TRY(inputs_of(worker, taking->task, mine, &count, err));
    MR_TRY(mr_taking_place(worker->own.taker, taking, mine, count, err));
    mr_worker_place(worker, mine, count);
    return MR_OK;
}

// All are placed: rows without a marker are written again, so that the next marker cannot make them
// valid.
static mr_status mend_torn(mr_worker *worker, bool *torn, mr_error *err)
{
    mr_ownership *own = &worker->own;
    uint64_t dropped = 0;
    for (uint32_t i = 0; i < own->wanted_count; i++)
        dropped += own->takings[i].rows_dropped;
    *torn = dropped > 0;
    if (!*torn)
        return MR_OK;
    if (!own->taker->known)
        return mr_fail(err, MR_FATAL,
                       "the changelogs have %llu rows and no commit that makes them valid: delete "
                       "both topics, millrace check --create-topics makes them anew",
                       (unsigned long long)dropped);
    mr_log(MR_LOG_WARNING, "task", "the changelogs have rows of a commit that never ended",
           mr_log_long("rows", (int64_t)dropped));
    MR_TRY(rewrite(worker, MR_REWRITE_TORN, err));
    for (uint32_t i = 0; i < own->wanted_count; i++)
        mr_taking_again(own->taker, &own->takings[i]);
    own->taken = 0;
    return MR_OK;
}

static mr_status know_history(mr_worker *worker, mr_error *err)
{
    mr_ownership *own = &worker->own;
    const mr_taking **list = calloc(own->wanted_count, sizeof(const mr_taking *));
    if (list == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    for (uint32_t i = 0; i < own->wanted_count; i++)
        list[i] = &own->takings[i];
    const mr_status status = mr_takings_check(own->taker, list, own->wanted_count, err);
    free(list);
    return status;
}

static mr_status see_history(void *context, int64_t offset, mr_bytes key, mr_bytes value,
                             mr_error *err)
{
    mr_taker *taker = context;
    mr_marker marker;
    (void)offset;
    if (!mr_marker_is(key))
        return MR_OK;
    MR_TRY(mr_taking_marker(taker, value, &marker, err));
    memcpy(taker->history, marker.history, sizeof taker->history);
    taker->known = true;
    return MR_OK;
}

// A history is born with the first commit of task 0: its owner makes the id, everybody else reads
// it there. MR_RETRY: it is not there yet.
static mr_status find_history(mr_worker *worker, mr_error *err)
{
    mr_ownership *own = &worker->own;
    mr_taker *taker = own->taker;
    mr_log_ends ends;
    if (taker->known)
        return MR_OK;
    if (has(own->wanted, own->wanted_count, 0)) {
        worker->chance.fill(worker->chance.context, taker->history, sizeof taker->history);
        taker->known = own->made_up = true;
        own->made_up_at = worker->commit_number;
        return MR_OK;
    }
    MR_TRY(worker->bus.changelog_ends(worker->bus.context, MR_TOPIC_ITEM_ROWS, 0, &ends, err));
    if (own->history_next < ends.first)
        own->history_next = ends.first;
    MR_TRY(worker->bus.changelog_read(worker->bus.context, MR_TOPIC_ITEM_ROWS, 0, own->history_next,
                                      ends.end, see_history, taker, &own->history_next, err));
    return taker->known ? MR_OK : mr_fail(err, MR_RETRY, "task 0 has not committed anything yet");
}

static mr_status identify(mr_worker *worker, mr_error *err)
{
    mr_ownership *own = &worker->own;
    memcpy(own->history, own->taker->history, sizeof own->history);
    mr_store_identity identity = {.history = {own->history[0], own->history[1]}};
    memcpy(identity.cluster, worker->cluster, sizeof identity.cluster);
    MR_TRY(worker->store.identify(worker->store.context, &identity, err));
    own->taker->identity = identity;
    worker->store.refresh(worker->store.context);
    return MR_OK;
}

static int compare_tasks(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// Between two commits: the rows of all that was taken go into the engine, and are read on.
static mr_status load(mr_worker *worker, mr_error *err)
{
    mr_ownership *own = &worker->own;
    MR_TRY(identify(worker, err));
    for (uint32_t i = 0; i < own->wanted_count; i++) {
        const mr_taking *taking = &own->takings[i];
        MR_TRY(mr_worker_load(worker, taking, err));
        mr_generations_place(worker->generations, taking->task, taking->next);
        own->born = own->born || taking->fresh;
        own->held[own->held_count++] = taking->task;
    }
    MR_TRY(mr_engine_ready(worker->engine, err));
    qsort(own->held, own->held_count, sizeof *own->held, compare_tasks);
    own->wanted_count = own->taken = 0;
    mr_worker_cancel(worker);
    mr_log(MR_LOG_INFO, "rebalance", "ready", mr_log_long("tasks", own->held_count));
    return mr_worker_read(worker, err);
}

// One step towards holding everything that is wanted. *moved: no need to wait.
static mr_status take(mr_worker *worker, bool *moved, mr_error *err)
{
    mr_ownership *own = &worker->own;
    if (!own->rewritten)
        return rewrite_first(worker, err);
    if (own->taken < own->wanted_count) {
        mr_taking *taking = &own->takings[own->taken];
        if (!mr_taking_done(taking))
            return mr_taking_step(own->taker, taking, err);
        MR_TRY(place(worker, taking, err));
        own->taken++;
        return MR_OK;
    }
    bool torn;
    if (!worker->mock)
        MR_TRY(mend_torn(worker, &torn, err));
    if (own->taken < own->wanted_count)
        return MR_OK;
    MR_TRY(know_history(worker, err));
    MR_TRY(find_history(worker, err));
    if (mr_worker_has_learned(worker)) {
        *moved = false; // invariant 5
        return MR_OK;
    }
    return load(worker, err);
}

static mr_status work(mr_worker *worker, const mr_committer_view *commits,
                      const mr_membership *member, bool *moved, mr_error *err)
{
    mr_ownership *own = &worker->own;
    if (member->state == MR_GROUP_REVOKING) {
        own->release_until_ms = worker->clock.now_ms(worker->clock.context) + RELEASE_MS;
        move(worker, MR_PHASE_RELEASING);
        return MR_OK;
    }
    if (member->state != MR_GROUP_ASSIGNED || member->generation != own->generation) {
        move(worker, MR_PHASE_JOINING);
        return MR_OK;
    }
    if (commits->held) {
        begin_check(worker, member);
        return MR_OK;
    }
    if (own->wanted_count == 0)
        return mr_standby_step(&own->standby, own->taker, own->held, own->held_count,
                               worker->clock.now_ms(worker->clock.context), moved, err);
    *moved = true;
    const mr_status status = take(worker, moved, err);
    if (status == MR_RETRY)
        *moved = false;
    return status == MR_RETRY ? MR_OK : status;
}

// ---- RELEASING, JOINING, ROLLING_BACK

static void let_go(mr_worker *worker)
{
    mr_source_release(worker->source);
    worker->intake.let_go(worker->intake.context);
    move(worker, MR_PHASE_JOINING);
}

static mr_status release(mr_worker *worker, const mr_committer_view *commits,
                         const mr_membership *member, bool *moved, mr_error *err)
{
    mr_ownership *own = &worker->own;
    const int64_t now_ms = worker->clock.now_ms(worker->clock.context);
    *moved = false;
    if (member->state != MR_GROUP_REVOKING) {
        move(worker, MR_PHASE_JOINING);
        return MR_OK;
    }
    if (now_ms >= own->release_until_ms || commits->held) {
        let_go(worker);
        return MR_OK;
    }
    if (!commits->idle)
        return MR_OK;
    if (mr_worker_has_learned(worker)) {
        *moved = true;
        return mr_worker_close_commit(worker, err);
    }
    if (!commits->stored)
        mr_committer_flush(worker->committer); // invariant 4
    let_go(worker);
    *moved = true;
    return MR_OK;
}

static mr_status join(mr_worker *worker, const mr_membership *member, bool *moved)
{
    *moved = member->state != MR_GROUP_JOINING;
    if (member->state == MR_GROUP_ASSIGNED)
        begin_check(worker, member);
    else if (member->state != MR_GROUP_JOINING) {
        mr_source_release(worker->source);
        worker->intake.let_go(worker->intake.context);
    }
    return MR_OK;
}

static mr_status undo(mr_worker *worker, const mr_committer_view *commits, bool *moved,
                      mr_error *err)
{
    mr_ownership *own = &worker->own;
    if (commits->held)
        mr_generations_drop(worker->generations, mr_committer_drop(worker->committer));
    mr_worker_cancel(worker);
    if (!mr_committer_look(worker->committer, err).stored) {
        mr_committer_flush(worker->committer);
        *moved = false;
        return MR_OK;
    }
    mr_source_release(worker->source);
    forget_wanted(own);
    if (own->made_up)
        own->taker->known = own->made_up = false;
    own->held_count = 0;
    own->adopted = 0;
    own->born = false;
    worker->store.refresh(worker->store.context);
    MR_TRY(mr_worker_reset_engine(worker, err));
    move(worker, MR_PHASE_JOINING);
    return MR_OK;
}

mr_status mr_ownership_step(mr_worker *worker, const mr_committer_view *commits, bool *moved,
                            mr_error *err)
{
    const mr_membership member = worker->intake.look(worker->intake.context);
    if (commits->confirmed > worker->own.made_up_at)
        worker->own.made_up = false;
    *moved = true;
    switch (worker->own.phase) {
    case MR_PHASE_JOINING:
        return join(worker, &member, moved);
    case MR_PHASE_CHECKING:
        return check(worker, commits, &member, moved, err);
    case MR_PHASE_WORKING:
        return work(worker, commits, &member, moved, err);
    case MR_PHASE_RELEASING:
        return release(worker, commits, &member, moved, err);
    case MR_PHASE_ROLLING_BACK:
        return undo(worker, commits, moved, err);
    case MR_PHASE_COUNT:
        break;
    }
    MR_ASSERT(!"a phase that is none");
    return MR_FATAL;
}

bool mr_ownership_works(const mr_worker *worker)
{
    return worker->own.phase == MR_PHASE_WORKING && worker->own.held_count > 0;
}

bool mr_ownership_complete(const mr_worker *worker)
{
    return worker->own.phase == MR_PHASE_WORKING && worker->own.wanted_count == 0;
}

bool mr_ownership_wants_commit(const mr_worker *worker)
{
    const mr_ownership *own = &worker->own;
    return own->born || (own->wanted_count > 0 && own->taken == own->wanted_count);
}
