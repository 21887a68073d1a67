// SPDX-License-Identifier: Apache-2.0
// Fuzzes records of deltas between workers (core/exchange.h).
//
// Input: a byte, then the record; where the byte is odd, the record's checksum is put right first,
// so that the reader behind it is reached. The corpus is what engines of tests/unit/core sent.
// Invariants: nothing is read outside of the record (sanitizer); a refusal has a cause or stops the
// worker, and has a text; what is let pass is learned; what is refused changes nothing.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/engine.h"
#include "tests/sim/counting.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "fuzz_deltas: %s\n", what);
        abort();
    }
}

static mr_engine *open_engine(void)
{
    static const mr_model *const extra[] = {&mr_counting};
    static const char *const off[] = {"popularity", "covisit", "embedding", "diag_linucb",
                                      "multi_interest"};
    mr_engine_config config = mr_engine_defaults();
    mr_engine *engine;
    mr_error err;
    size_t bytes;
    config.tasks = 2;
    config.items_max = 256;
    config.users_max = 16;
    config.epoch_events_max = 4;
    config.dedup_events_max = 64;
    config.exchange_bytes = 64 << 10;
    config.lists = false;
    config.off = off;
    config.off_count = sizeof off / sizeof off[0];
    config.extra = extra;
    config.extra_count = 1;
    demand(mr_engine_bytes(&config, &bytes, &err) == MR_OK, err.text);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    demand(memory != MAP_FAILED, "mmap");
    demand(mr_engine_init(&engine, &config, memory, bytes, &err) == MR_OK, err.text);
    mr_engine_take(engine, 1, 1);
    demand(mr_engine_ready(engine, &err) == MR_OK, err.text);
    return engine;
}

static void close_commit(mr_engine *engine, uint64_t *seq)
{
    const mr_close_sink sink = {0};
    const uint64_t seqs[2] = {0, (*seq)++};
    mr_error err;
    demand(mr_engine_close(engine, seqs, &sink, &err) == MR_OK, "close");
    mr_engine_stored(engine, mr_engine_closes(engine));
}

static void learn(mr_engine *engine, mr_bytes record)
{
    static uint64_t seq = 1;
    const mr_epoch one = {.task = 1, .received = &record, .received_count = 1};
    mr_epoch epoch = one;
    mr_error err;
    mr_status status = mr_engine_round(engine, &epoch, 1, &err);
    if (status == MR_RETRY) { // items.max
        close_commit(engine, &seq);
        status = mr_engine_round(engine, &epoch, 1, &err);
    }
    demand(status == MR_OK || status == MR_RETRY, "what was let pass is not learned");
    close_commit(engine, &seq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mr_engine *engine;
    mr_error err = {.cause = MR_CAUSE_NONE};
    if (engine == NULL)
        engine = open_engine();
    if (size == 0 || size > 64 << 10)
        return 0;
    uint8_t *record = malloc(size); // of size - 1 bytes, at its end
    memcpy(record + 1, data + 1, size - 1);
    if ((data[0] & 1) != 0 && size - 1 >= 8) {
        const uint64_t sum = mr_hash64(record + 1, size - 1 - 8, 0);
        memcpy(record + size - 8, &sum, 8);
    }
    const uint64_t epoch = mr_engine_task(engine, 1).epoch;
    const mr_bytes bytes = mr_bytes_of(record + 1, size - 1);
    const mr_status status = mr_engine_delta_check(engine, 1, bytes, &err);
    if (status == MR_OK) {
        learn(engine, bytes);
    } else {
        mr_epoch one = {.task = 1, .received = &bytes, .received_count = 1};
        demand((status == MR_REJECT && err.cause == MR_CAUSE_bad_delta) || status == MR_FATAL,
               "status");
        demand(err.text[0] != '\0', "a refusal without a text");
        demand(mr_engine_round(engine, &one, 1, &err) == status, "the round says otherwise");
        demand(mr_engine_task(engine, 1).epoch == epoch, "something was learned");
    }
    free(record);
    return 0;
}
