// SPDX-License-Identifier: Apache-2.0
// replay: files, topics or made-up events -> arrivals -> a branch (worker/branch.h), or several.
#include "worker/replay.h"

#include <string.h>

#include "worker/branch.h"
#include "worker/mapped.h"
#include "worker/ports.h"
#include "worker/progress.h"
#include "worker/pseudonym.h"
#include "worker/replay_read.h"

enum { PROGRESS_EVERY = 256 }; // arrivals

// ---- reading

// How much of all inputs was read.
static void look(mr_replay_reading *in, const mr_arrivals *arrivals)
{
    uint64_t done, total;
    arrivals->progress(arrivals->context, &done, &total);
    in->done = done;
    if (in->total < total)
        in->total = total;
}

static mr_status read_next(mr_replay_reading *in, mr_arrivals *from, bool *more, mr_error *err)
{
    mr_arrival arrival;
    const mr_status status = from->next(from->context, &arrival, more, err);
    if (status == MR_REJECT) { // this record is bad: counted, the replay goes on
        *more = true;
        arrival = (mr_arrival){.cause = err->cause};
        return in->take(in->context, &arrival, err);
    }
    MR_TRY(status);
    if (!*more)
        return MR_OK;
    char name[MR_PSEUDONYM_BYTES];
    if (in->pseudonym != NULL && arrival.event.user.size > 0) {
        mr_pseudonym_of(in->pseudonym, arrival.event.user, name);
        arrival.event.user = mr_bytes_of(name, sizeof name);
    }
    return in->take(in->context, &arrival, err);
}

// Reads all arrivals, and closes them.
static mr_status read_arrivals(mr_replay_reading *in, mr_arrivals *from, mr_error *err)
{
    const mr_clock clock = mr_clock_system();
    mr_status status = MR_OK;
    uint64_t count = 0;
    look(in, from);
    mr_progress_begin(&in->progress, in->options->progress ? stderr : NULL,
                      mr_progress_is_terminal(stderr), from->name, in->total,
                      clock.now_ms(clock.context));
    for (bool more = true; status == MR_OK && more;) {
        status = read_next(in, from, &more, err);
        if (++count % PROGRESS_EVERY == 0) {
            look(in, from);
            mr_progress_update(&in->progress, in->done, in->note, clock.now_ms(clock.context));
        }
    }
    look(in, from);
    mr_progress_end(&in->progress, in->done, in->note, clock.now_ms(clock.context));
    from->close(from->context); // and with it the name that the progress shows
    return status;
}

static mr_status read_files(mr_replay_reading *in, mr_error *err)
{
    const mr_replay_options *o = in->options;
    mr_mapped mapped = {0};
    mr_arrivals from;
    if (o->mapped_as != NULL)
        MR_TRY(mr_mapped_named(o->config, o->mapped_as, &mapped, err));
    if (o->config != NULL && o->config->users_pseudonym_key[0] != '\0')
        MR_TRY(mr_pseudonym_open(o->config->users_pseudonym_key, &in->pseudonym, err));
    MR_TRY(mr_arrivals_of_files(o->inputs, o->input_count,
                                o->mapped_as != NULL ? &mapped.mapping : NULL, o->format,
                                &in->files, &from, err));
    if (o->catalogue != NULL) {
        const mr_status status = mr_arrivals_with_catalogue(o->catalogue, &from, err);
        if (status != MR_OK) {
            from.close(from.context);
            return status;
        }
    }
    return read_arrivals(in, &from, err);
}

static mr_status read_topics(mr_replay_reading *in, mr_error *err)
{
    const mr_replay_options *o = in->options;
    mr_arrivals from;
    MR_TRY(mr_arrivals_of_topics(o->config, o->from, o->to, &from, err));
    return read_arrivals(in, &from, err);
}

static mr_status read_traffic(mr_replay_reading *in, mr_error *err)
{
    mr_arrivals from;
    MR_TRY(mr_arrivals_of_traffic(in->options->traffic, &from, err));
    return read_arrivals(in, &from, err);
}

mr_status mr_replay_read(mr_replay_reading *in, mr_error *err)
{
    const mr_replay_options *o = in->options;
    const mr_status status = o->topics            ? read_topics(in, err)
                             : o->traffic != NULL ? read_traffic(in, err)
                                                  : read_files(in, err);
    mr_pseudonym_close(in->pseudonym);
    in->pseudonym = NULL;
    return status;
}

const char *mr_replay_source(const mr_replay_options *options)
{
    return options->topics            ? "the topics' range"
           : options->traffic != NULL ? "the made-up events"
                                      : options->inputs[0];
}

// ---- one branch

static mr_status take(void *context, const mr_arrival *arrival, mr_error *err)
{
    mr_branch *branch = context;
    if (arrival->cause == MR_CAUSE_NONE)
        return mr_branch_add(branch, arrival, err);
    mr_branch_refuse(branch, arrival->cause);
    return MR_OK;
}

mr_status mr_replay_run(const mr_replay_options *options, mr_replay_result **result, mr_error *err)
{
    const mr_branch_hooks hooks = {.resample_seed = (uint64_t)options->config->seed};
    mr_branch *branch;
    *result = NULL;
    MR_TRY(mr_branch_open(options, &hooks, &branch, err));
    mr_replay_reading in = {.options = options, .context = branch, .take = take};
    mr_status status = mr_replay_read(&in, err);
    if (status == MR_OK && !mr_branch_began(branch))
        status = mr_fail(err, MR_FATAL, "%s: no event that could be read",
                         mr_replay_source(options));
    mr_branch_result(branch)->files = in.files;
    if (status == MR_OK)
        status = mr_branch_end(branch, err);
    if (status == MR_OK)
        *result = mr_branch_take_result(branch);
    mr_branch_close(branch);
    return status;
}
