// SPDX-License-Identifier: Apache-2.0
#include "worker/links.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "worker/planted.h"

enum { VERSION = 1, SUM_AT = 48 };

struct mr_links {
    uint32_t tasks;
    uint64_t *received, *sent; // [task][other]
    uint64_t *kept;            // of received
};

static uint64_t sum_of(const uint8_t *head, mr_bytes record)
{
    return mr_hash64(record.data, record.size, mr_hash64(head, SUM_AT, 0));
}

uint32_t mr_delta_write(const mr_delta *delta, uint8_t *out)
{
    const uint8_t magic[4] = {'M', 'R', 'D', VERSION};
    const uint32_t numbers[3] = {delta->sender, delta->receiver, 0};
    memcpy(out, magic, 4);
    memcpy(out + 4, numbers, 12);
    memcpy(out + 16, delta->history, 16);
    memcpy(out + 32, &delta->link, 8);
    memcpy(out + 40, &delta->seq, 8);
    const uint64_t sum = sum_of(out, delta->record);
    memcpy(out + SUM_AT, &sum, 8);
    memcpy(out + MR_DELTA_HEAD_BYTES, delta->record.data, delta->record.size);
    return MR_DELTA_HEAD_BYTES + delta->record.size;
}

mr_status mr_delta_read(mr_bytes value, mr_delta *delta, mr_error *err)
{
    uint32_t numbers[3];
    uint64_t sum;
    if (value.size < MR_DELTA_HEAD_BYTES || memcmp(value.data, "MRD", 3) != 0)
        return mr_reject(err, MR_CAUSE_bad_delta, "%u bytes that are no record of deltas",
                         value.size);
    if (value.data[3] != VERSION)
        return mr_reject(err, MR_CAUSE_bad_delta, "deltas of format %u, want %d", value.data[3],
                         VERSION);
    memcpy(numbers, value.data + 4, 12);
    *delta = (mr_delta){
        .sender = numbers[0],
        .receiver = numbers[1],
        .record = mr_bytes_of(value.data + MR_DELTA_HEAD_BYTES, value.size - MR_DELTA_HEAD_BYTES)};
    memcpy(delta->history, value.data + 16, 16);
    memcpy(&delta->link, value.data + 32, 8);
    memcpy(&delta->seq, value.data + 40, 8);
    memcpy(&sum, value.data + SUM_AT, 8);
    if (sum != sum_of(value.data, delta->record))
        return mr_reject(err, MR_CAUSE_bad_delta, "the checksum of deltas from task %u is wrong",
                         delta->sender);
    return MR_OK;
}

mr_status mr_links_open(uint32_t tasks, mr_links **out, mr_error *err)
{
    mr_links *links = calloc(1, sizeof *links);
    if (links != NULL) {
        links->tasks = tasks;
        links->received = calloc((size_t)tasks * tasks, sizeof *links->received);
        links->sent = calloc((size_t)tasks * tasks, sizeof *links->sent);
        links->kept = calloc((size_t)tasks * tasks, sizeof *links->kept);
    }
    if (links == NULL || links->received == NULL || links->sent == NULL || links->kept == NULL) {
        mr_links_close(links);
        return mr_fail(err, MR_FATAL, "out of memory for the links of %u tasks", tasks);
    }
    *out = links;
    return MR_OK;
}

void mr_links_close(mr_links *links)
{
    if (links == NULL)
        return;
    free(links->received);
    free(links->sent);
    free(links->kept);
    free(links);
}

void mr_links_load(mr_links *links, uint32_t task, const mr_marker_link *rows, uint32_t count)
{
    const size_t first = (size_t)task * links->tasks;
    memset(links->received + first, 0, links->tasks * sizeof *links->received);
    memset(links->sent + first, 0, links->tasks * sizeof *links->sent);
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].task >= links->tasks)
            continue;
        links->received[first + rows[i].task] = rows[i].received;
        links->sent[first + rows[i].task] = rows[i].sent;
    }
}

uint32_t mr_links_rows(const mr_links *links, uint32_t task, mr_marker_link *rows)
{
    const size_t first = (size_t)task * links->tasks;
    uint32_t count = 0;
    for (uint32_t other = 0; other < links->tasks; other++) {
        const mr_marker_link row = {other, links->received[first + other],
                                    links->sent[first + other]};
        if (row.received != 0 || row.sent != 0)
            rows[count++] = row;
    }
    return count;
}

uint64_t mr_links_send(mr_links *links, uint32_t sender, uint32_t receiver)
{
    return ++links->sent[(size_t)sender * links->tasks + receiver];
}

mr_link_verdict mr_links_receive(mr_links *links, const mr_delta *delta, bool over_gaps)
{
    uint64_t *last = &links->received[(size_t)delta->receiver * links->tasks + delta->sender];
    if (delta->link <= *last && !mr_planted(MR_BUG_LINK_IGNORED))
        return MR_LINK_SEEN;
    const bool next = delta->link == *last + 1;
    if (next || over_gaps)
        *last = delta->link;
    return next || mr_planted(MR_BUG_LINK_IGNORED) ? MR_LINK_NEXT : MR_LINK_GAP;
}

mr_status mr_links_accept(mr_links *links, const mr_engine *engine, const uint64_t history[2],
                          uint32_t task, mr_bytes value, bool over_gaps, mr_delta *delta,
                          mr_link_verdict *verdict, mr_error *err)
{
    *verdict = MR_LINK_FOREIGN;
    MR_TRY(mr_delta_read(value, delta, err));
    if (memcmp(delta->history, history, sizeof delta->history) != 0)
        return MR_OK; // of a state that was before this one
    if (delta->receiver != task || delta->sender >= links->tasks)
        return mr_reject(err, MR_CAUSE_bad_delta, "deltas of task %u to task %u in partition %u",
                         delta->sender, delta->receiver, task);
    if (engine != NULL)
        MR_TRY(mr_engine_delta_check(engine, task, delta->record, err));
    *verdict = mr_links_receive(links, delta, over_gaps);
    return MR_OK;
}

uint32_t mr_links_taken(const mr_links *links, uint32_t task, mr_sequence *out)
{
    const size_t first = (size_t)task * links->tasks;
    uint32_t count = 0;
    for (uint32_t other = 0; other < links->tasks; other++) {
        const uint64_t last = links->received[first + other];
        if (last != links->kept[first + other])
            out[count++] = (mr_sequence){other, (int64_t)last};
    }
    return count;
}

void mr_links_keep(mr_links *links, uint32_t task)
{
    const size_t first = (size_t)task * links->tasks;
    memcpy(links->kept + first, links->received + first, links->tasks * sizeof *links->kept);
}

void mr_links_restore(mr_links *links, uint32_t task)
{
    const size_t first = (size_t)task * links->tasks;
    memcpy(links->received + first, links->kept + first, links->tasks * sizeof *links->kept);
}
