// SPDX-License-Identifier: Apache-2.0
// One entry a schema that was asked for:
//
//     (none) -- asked for --> WANTED -- came --> KNOWN -- room is needed --> (none)
//                              |  ^
//               refused for good  asked for again, after missing_ms
//                              v  |
//                            MISSING -- room is needed --> (none)
//
// The lock covers the entries and the counters; requests and the disk are used without it, by one
// thread at a time: the registry's own, or, where there is none, whoever asks, one after the other
// (`asking`).
#include "worker/registry/registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/hash.h"
#include "worker/registry/cache.h"
#include "worker/registry/rest.h"

enum {
    ROUNDS = 4,                // of one who waits for the answer
    CONFIRMATIONS = 3,         // answers that there is no such schema, before that is believed
    CONFIRM_MS = 1000,         // between two of them
    UNBELIEVED_MAX = 16,       // schemas a minute for which that is done: a stream of nonsense that
    UNBELIEVED_MS = 60000,     // reads like ids must not be slowed down to one a second
    TEXT_BYTES_MAX = 64 << 20, // of all texts in memory
    ATTEMPT_MS = 250,
    ATTEMPT_MS_MAX = 10000,
    WHAT_BYTES = 64,
};

typedef enum entry_state { WANTED, KNOWN, MISSING } entry_state;

typedef struct schema_name { // of a frame, to be compared
    mr_frame_names names;
    uint32_t id;
    uint8_t guid[16];
} schema_name;

typedef struct entry {
    schema_name name;
    entry_state state;
    uint32_t attempts; // in a row that gave no answer
    uint32_t denied;   // answers in a row that there is no such schema
    bool told;         // MISSING: somebody has heard it, however long that took
    bool believed;     // the next such answer counts
    int64_t due_ms;    // WANTED: the next attempt; MISSING: until when it counts
    uint64_t used;     // turn at which it was asked for last
    char *text;        // KNOWN
    size_t text_bytes;
    mr_error fault; // MISSING; of the last attempt that gave no answer
} entry;

struct mr_registry {
    mr_registry_options options;
    mr_http *http;
    mr_rest rest;
    mr_cache *cache;
    pthread_t thread;
    bool running;
    void (*wake)(void *context);
    void *wake_context;

    pthread_mutex_t asking; // held over requests and the disk where there is no thread
    pthread_mutex_t lock;
    pthread_cond_t news; // for the thread: asked for, or stop
    bool stop;           // under the lock, as all below
    entry *entries;
    uint32_t entry_count;
    uint64_t turn;
    size_t text_bytes;
    int64_t unbelieved_since_ms;
    uint32_t unbelieved;
    mr_registry_counters counters;
};

static int64_t now_ms(const mr_registry *registry)
{
    return registry->options.clock.now_ms(registry->options.clock.context);
}

static schema_name name_of(const mr_frame *frame)
{
    schema_name name = {.names = frame->names};
    if (frame->names == MR_FRAME_NAMES_ID)
        name.id = frame->id;
    else
        memcpy(name.guid, frame->guid, sizeof name.guid);
    return name;
}

static bool same_name(const schema_name *a, const schema_name *b)
{
    return a->names == b->names && a->id == b->id && memcmp(a->guid, b->guid, sizeof a->guid) == 0;
}

// "id-17", "guid-0123...": its key in the cache.
static void write_key(const schema_name *name, char key[WHAT_BYTES])
{
    if (name->names == MR_FRAME_NAMES_ID) {
        snprintf(key, WHAT_BYTES, "id-%u", name->id);
        return;
    }
    strcpy(key, "guid-");
    for (uint32_t i = 0; i < 16; i++)
        snprintf(key + 5 + 2 * i, 3, "%02x", name->guid[i]);
}

static void tell(const mr_registry *registry, mr_registry_event event, const char *what,
                 const char *error)
{
    if (registry->options.tell != NULL)
        registry->options.tell(registry->options.tell_context, event, what, error);
}

// ---- waiting

static struct timespec in_ms(int64_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

// Of requests and the pauses between them: over as soon as the registry is told to stop.
static bool wait_unless_stopped(void *context, int64_t ms)
{
    mr_registry *registry = context;
    const struct timespec until = in_ms(ms);
    pthread_mutex_lock(&registry->lock);
    for (int code = ms > 0 ? 0 : ETIMEDOUT; !registry->stop && code != ETIMEDOUT;)
        code = pthread_cond_timedwait(&registry->news, &registry->lock, &until);
    const bool go_on = !registry->stop;
    pthread_mutex_unlock(&registry->lock);
    return go_on;
}

// ---- opening

static void open_cache(mr_registry *registry)
{
    const char *const folder = registry->options.cache_folder;
    mr_error err;
    if (folder == NULL || folder[0] == '\0')
        return;
    // The first address names the registry: the others are of the same one.
    if (mr_cache_open(folder, registry->options.http.urls[0], &registry->cache, &err) != MR_OK)
        tell(registry, MR_REGISTRY_UNKEPT, folder, err.text);
}

static mr_status open_http(mr_registry *registry, mr_error *err)
{
    mr_http_options http = registry->options.http;
    if (http.wait == NULL) {
        http.wait = wait_unless_stopped;
        http.wait_context = registry;
    }
    registry->entries = calloc(MR_REGISTRY_SCHEMAS_MAX, sizeof *registry->entries);
    if (registry->entries == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    MR_TRY(mr_http_open(&http, &registry->http, err));
    registry->rest = (mr_rest){.http = registry->http,
                               .rounds = ROUNDS,
                               .has_credentials = (http.username != NULL && http.username[0]) ||
                                                  (http.token != NULL && http.token[0])};
    return MR_OK;
}

mr_status mr_registry_open(const mr_registry_options *options, mr_registry **out, mr_error *err)
{
    pthread_condattr_t monotonic;
    mr_registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    registry->options = *options;
    pthread_mutex_init(&registry->lock, NULL);
    pthread_mutex_init(&registry->asking, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&registry->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const mr_status status = open_http(registry, err);
    if (status != MR_OK) {
        mr_registry_close(registry);
        return status;
    }
    open_cache(registry);
    registry->options.cache_folder = NULL;
    *out = registry;
    return MR_OK;
}

void mr_registry_close(mr_registry *registry)
{
    if (registry == NULL)
        return;
    mr_registry_stop(registry);
    for (uint32_t i = 0; i < registry->entry_count; i++)
        free(registry->entries[i].text);
    free(registry->entries);
    mr_http_close(registry->http);
    mr_cache_close(registry->cache);
    pthread_cond_destroy(&registry->news);
    pthread_mutex_destroy(&registry->lock);
    pthread_mutex_destroy(&registry->asking);
    free(registry);
}

// ---- entries, under the lock

static entry *find_entry(const mr_registry *registry, const schema_name *name)
{
    for (uint32_t i = 0; i < registry->entry_count; i++) {
        if (same_name(&registry->entries[i].name, name))
            return &registry->entries[i];
    }
    return NULL;
}

static void remove_entry(mr_registry *registry, entry *e)
{
    registry->text_bytes -= e->text_bytes;
    free(e->text);
    *e = registry->entries[--registry->entry_count];
}

// The entry that was asked for longest ago and that nobody waits for; NULL: there is none.
static entry *stalest(const mr_registry *registry)
{
    entry *best = NULL;
    for (uint32_t i = 0; i < registry->entry_count; i++) {
        entry *e = &registry->entries[i];
        if (e->state != WANTED && (best == NULL || e->used < best->used))
            best = e;
    }
    return best;
}

static void want(mr_registry *registry, entry *e)
{
    e->state = WANTED;
    e->attempts = e->denied = 0;
    e->due_ms = 0;
    registry->counters.wanted++;
    pthread_cond_broadcast(&registry->news);
}

// A new entry, wanted; NULL: all are in use, and the same call may go well later.
static entry *add_entry(mr_registry *registry, const schema_name *name)
{
    if (registry->entry_count == MR_REGISTRY_SCHEMAS_MAX) {
        entry *old = stalest(registry);
        if (old == NULL)
            return NULL;
        remove_entry(registry, old);
    }
    entry *e = &registry->entries[registry->entry_count++];
    *e = (entry){.name = *name};
    want(registry, e);
    return e;
}

static mr_status copy_text(const entry *e, char **text, size_t *text_bytes, mr_error *err)
{
    *text = malloc(e->text_bytes + 1);
    if (*text == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    memcpy(*text, e->text, e->text_bytes + 1);
    *text_bytes = e->text_bytes;
    return MR_OK;
}

// What an entry has to say. MR_RETRY: nothing yet.
static mr_status answer(mr_registry *registry, entry *e, char **text, size_t *text_bytes,
                        mr_error *err)
{
    char what[WHAT_BYTES];
    e->used = ++registry->turn;
    if (e->state == KNOWN)
        return copy_text(e, text, text_bytes, err);
    if (e->state == MISSING && (!e->told || now_ms(registry) < e->due_ms)) {
        e->told = true;
        *err = e->fault;
        return err->status;
    }
    if (e->state == MISSING) {
        e->believed = true; // it was denied often enough before
        want(registry, e);
    }
    write_key(&e->name, what);
    return mr_fail(err, MR_RETRY, "schema %s: the registry is asked for it", what);
}

// ---- fetching, without the lock

static void keep(mr_registry *registry, const char *key, const char *text, size_t text_bytes)
{
    mr_error err;
    if (registry->cache != NULL &&
        mr_cache_put(registry->cache, key, text, text_bytes, &err) != MR_OK)
        tell(registry, MR_REGISTRY_UNKEPT, key, err.text);
}

static mr_status fetch(mr_registry *registry, const schema_name *name, mr_rest_schema *schema,
                       bool *from_disk, mr_error *err)
{
    char key[WHAT_BYTES];
    write_key(name, key);
    *schema = (mr_rest_schema){0};
    *from_disk = registry->cache != NULL &&
                 mr_cache_get(registry->cache, key, &schema->text, &schema->text_bytes);
    if (*from_disk)
        return MR_OK;
    MR_TRY(name->names == MR_FRAME_NAMES_ID
               ? mr_rest_by_id(&registry->rest, name->id, schema, err)
               : mr_rest_by_guid(&registry->rest, name->guid, schema, err));
    keep(registry, key, schema->text, schema->text_bytes);
    return MR_OK;
}

// ---- what came of it, under the lock

static int64_t draw_ms(const mr_registry *registry, int64_t most)
{
    const mr_chance *chance = &registry->options.http.chance;
    uint32_t draw = 0;
    chance->fill(chance->context, &draw, sizeof draw);
    return (int64_t)(((uint64_t)most * draw) >> 32);
}

static void note_text(mr_registry *registry, entry *e, const mr_rest_schema *schema)
{
    e->text = schema->text;
    e->text_bytes = schema->text_bytes;
    e->state = KNOWN;
    e->used = ++registry->turn; // whoever waits for it has not had it yet
    registry->text_bytes += e->text_bytes;
    registry->counters.wanted--;
}

// Texts that nobody has asked for lately make room; they can be had again.
static void make_room(mr_registry *registry, const schema_name *newest)
{
    while (registry->text_bytes > TEXT_BYTES_MAX) {
        entry *old = stalest(registry); // there is one: the newest itself, at the end
        if (same_name(&old->name, newest))
            return;
        remove_entry(registry, old);
    }
}

static void note_missing(mr_registry *registry, entry *e, const mr_error *err)
{
    e->state = MISSING;
    e->told = false;
    e->due_ms = now_ms(registry) + registry->options.missing_ms;
    e->fault = *err;
    registry->counters.wanted--;
}

// Whether an answer that there is no such schema is to be asked for once more.
static bool is_doubted(mr_registry *registry, entry *e)
{
    const int64_t now = now_ms(registry);
    if (e->believed || ++e->denied >= CONFIRMATIONS)
        return false;
    if (now - registry->unbelieved_since_ms > UNBELIEVED_MS) {
        registry->unbelieved_since_ms = now;
        registry->unbelieved = 0;
    }
    if (e->denied == 1 && registry->unbelieved++ >= UNBELIEVED_MAX)
        return false;
    e->due_ms = now + CONFIRM_MS / 2 + draw_ms(registry, CONFIRM_MS / 2);
    return true;
}

static void note_failure(mr_registry *registry, entry *e, const mr_error *err)
{
    int64_t most = ATTEMPT_MS;
    for (uint32_t i = 0; i < e->attempts && most < ATTEMPT_MS_MAX; i++)
        most *= 2;
    most = most < ATTEMPT_MS_MAX ? most : ATTEMPT_MS_MAX;
    e->attempts++;
    e->due_ms = now_ms(registry) + most / 2 + draw_ms(registry, most / 2);
    e->fault = *err;
    registry->counters.failures++;
}

// Notes what a fetch came to; takes the schema's text. Returns what is to be told.
static mr_registry_event note(mr_registry *registry, const schema_name *name, mr_status status,
                              const mr_rest_schema *schema, bool from_disk, const mr_error *err)
{
    entry *e = find_entry(registry, name); // WANTED ones are never removed
    MR_ASSERT(e != NULL && e->state == WANTED);
    if (status == MR_OK) {
        *(from_disk ? &registry->counters.found : &registry->counters.fetched) += 1;
        note_text(registry, e, schema);
        make_room(registry, name);
        return MR_REGISTRY_CAME;
    }
    if (status != MR_REJECT) {
        note_failure(registry, e, err);
        return MR_REGISTRY_DOWN;
    }
    registry->counters.missing++;
    if (err->cause == MR_CAUSE_unknown_schema && is_doubted(registry, e))
        return MR_REGISTRY_ASKED;
    note_missing(registry, e, err);
    return MR_REGISTRY_MISSING;
}

static void fetch_and_note(mr_registry *registry, const schema_name *name)
{
    mr_rest_schema schema;
    mr_error err = {0};
    bool from_disk;
    char what[WHAT_BYTES];
    write_key(name, what);
    const mr_status status = fetch(registry, name, &schema, &from_disk, &err);
    pthread_mutex_lock(&registry->lock);
    const bool stopped = registry->stop;
    const mr_registry_event event = note(registry, name, status, &schema, from_disk, &err);
    pthread_mutex_unlock(&registry->lock);
    if (!stopped || status == MR_OK) // what was given up is no news
        tell(registry, event, what, err.text);
}

// ---- the thread

// The next schema to fetch, under the lock; NULL: none is due, *wait_ms says until when.
static entry *next_due(const mr_registry *registry, int64_t *wait_ms)
{
    const int64_t now = now_ms(registry);
    entry *best = NULL;
    *wait_ms = ATTEMPT_MS_MAX;
    for (uint32_t i = 0; i < registry->entry_count; i++) {
        entry *e = &registry->entries[i];
        if (e->state != WANTED)
            continue;
        if (best == NULL || e->due_ms < best->due_ms)
            best = e;
    }
    if (best == NULL || best->due_ms <= now)
        return best;
    *wait_ms = best->due_ms - now < *wait_ms ? best->due_ms - now : *wait_ms;
    return NULL;
}

static void *run(void *context)
{
    mr_registry *registry = context;
    pthread_mutex_lock(&registry->lock);
    while (!registry->stop) {
        int64_t wait_ms;
        const entry *e = next_due(registry, &wait_ms);
        if (e == NULL) {
            const struct timespec until = in_ms(wait_ms);
            pthread_cond_timedwait(&registry->news, &registry->lock, &until);
            continue;
        }
        const schema_name name = e->name;
        pthread_mutex_unlock(&registry->lock);
        fetch_and_note(registry, &name);
        if (registry->wake != NULL)
            registry->wake(registry->wake_context);
        pthread_mutex_lock(&registry->lock);
    }
    pthread_mutex_unlock(&registry->lock);
    return NULL;
}

mr_status mr_registry_start(mr_registry *registry, void (*wake)(void *context), void *wake_context,
                            mr_error *err)
{
    MR_ASSERT(!registry->running);
    registry->wake = wake;
    registry->wake_context = wake_context;
    registry->rest.rounds = 1; // the thread has its own patience, for each schema
    const int code = pthread_create(&registry->thread, NULL, run, registry);
    if (code != 0)
        return mr_fail(err, MR_FATAL, "registry: thread: %s", strerror(code));
    registry->running = true;
    return MR_OK;
}

void mr_registry_stop(mr_registry *registry)
{
    if (registry == NULL || !registry->running)
        return;
    pthread_mutex_lock(&registry->lock);
    registry->stop = true;
    pthread_cond_broadcast(&registry->news);
    pthread_mutex_unlock(&registry->lock);
    pthread_join(registry->thread, NULL);
    registry->running = false;
}

// ---- finding

// Fetches until there is an answer. A registry that has none is not asked by everybody anew.
static mr_status find_now(mr_registry *registry, const schema_name *name, char **text,
                          size_t *text_bytes, mr_error *err)
{
    for (;;) {
        pthread_mutex_lock(&registry->lock);
        entry *e = find_entry(registry, name);
        e = e != NULL ? e : add_entry(registry, name);
        MR_ASSERT(e != NULL); // nobody waits here but who asks, one at a time
        e->believed = true;   // records that are read later are not ahead of any follower
        mr_status status = answer(registry, e, text, text_bytes, err);
        const int64_t wait_ms = status == MR_RETRY ? e->due_ms - now_ms(registry) : 0;
        if (status == MR_RETRY && e->attempts > 0) { // ROUNDS were enough
            *err = e->fault;
            status = err->status = MR_FATAL;
            registry->counters.wanted--;
            remove_entry(registry, e);
        }
        pthread_mutex_unlock(&registry->lock);
        if (status != MR_RETRY)
            return status;
        wait_unless_stopped(registry, wait_ms > 0 ? wait_ms : 0);
        fetch_and_note(registry, name);
    }
}

static mr_status find_later(mr_registry *registry, const schema_name *name, char **text,
                            size_t *text_bytes, mr_error *err)
{
    char what[WHAT_BYTES];
    pthread_mutex_lock(&registry->lock);
    entry *e = find_entry(registry, name);
    const bool asked = e == NULL;
    if (e == NULL)
        e = add_entry(registry, name);
    const mr_status status =
        e != NULL ? answer(registry, e, text, text_bytes, err)
                  : mr_fail(err, MR_RETRY, "too many schemas are asked for at the same time");
    pthread_mutex_unlock(&registry->lock);
    write_key(name, what);
    if (asked && e != NULL)
        tell(registry, MR_REGISTRY_ASKED, what, "");
    return status;
}

static mr_status find(void *context, const mr_frame *frame, char **text, size_t *text_bytes,
                      mr_error *err)
{
    mr_registry *registry = context;
    const schema_name name = name_of(frame);
    if (registry->running)
        return find_later(registry, &name, text, text_bytes, err);
    pthread_mutex_lock(&registry->asking);
    const mr_status status = find_now(registry, &name, text, text_bytes, err);
    pthread_mutex_unlock(&registry->asking);
    return status;
}

mr_schema_finder mr_registry_finder(mr_registry *registry)
{
    return (mr_schema_finder){registry, find};
}

mr_registry_counters mr_registry_count(mr_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    const mr_registry_counters counters = registry->counters;
    pthread_mutex_unlock(&registry->lock);
    return counters;
}

// ---- numbers of our own schemas

static bool read_number(mr_registry *registry, const char *key, uint32_t *id)
{
    char *text;
    size_t text_bytes;
    if (registry->cache == NULL || !mr_cache_get(registry->cache, key, &text, &text_bytes))
        return false;
    *id = (uint32_t)strtoul(text, NULL, 10);
    free(text);
    return true;
}

static mr_status ask_number(mr_registry *registry, const char *subject, const char *text,
                            bool may_register, uint32_t *id, mr_error *err)
{
    mr_rest *rest = &registry->rest;
    const mr_status status = mr_rest_look_up(rest, subject, text, id, err);
    if (status != MR_REJECT)
        return status;
    if (rest->code != MR_REST_NO_SUBJECT && rest->code != MR_REST_NO_SCHEMA &&
        rest->code != MR_REST_NO_VERSION)
        return err->status = MR_FATAL;
    if (!may_register)
        return mr_fail(err, MR_FATAL,
                       "subject %.100s does not have our schema (%d): registry.register: true puts "
                       "it there, or do it by hand (millrace schema)",
                       subject, rest->code);
    MR_TRY(mr_rest_register(rest, subject, text, id, err));
    return MR_OK;
}

mr_status mr_registry_number(mr_registry *registry, const char *subject, const char *text,
                             bool may_register, uint32_t *id, mr_error *err)
{
    char key[WHAT_BYTES], number[16];
    const uint64_t schema = mr_hash64(text, strlen(text), 0);
    MR_ASSERT(!registry->running);
    snprintf(key, sizeof key, "number-%016llx",
             (unsigned long long)mr_hash64(subject, strlen(subject), schema));
    uint32_t kept = 0;
    const bool is_kept = read_number(registry, key, &kept);
    registry->rest.rounds = is_kept ? 1 : ROUNDS; // without one it is worth to wait
    const mr_status status = ask_number(registry, subject, text, may_register, id, err);
    registry->rest.rounds = ROUNDS;
    if (status == MR_RETRY && is_kept) {
        tell(registry, MR_REGISTRY_KEPT, subject, err->text);
        *id = kept;
        return MR_OK;
    }
    if (status != MR_OK)
        return status == MR_RETRY ? MR_RETRY : (err->status = MR_FATAL);
    snprintf(number, sizeof number, "%u", *id);
    keep(registry, key, number, strlen(number));
    return MR_OK;
}
