// SPDX-License-Identifier: Apache-2.0
// registry: the schemas that a registry has, for catalogs (mr_schema_finder).
//
// Either a thread of its own fetches what catalogs ask for, and they are told to ask again until it
// is there: a worker then goes on with its other partitions. Or the one who asks waits: a command
// that has nothing else to do. A schema is looked for in the cache on disk first, since an id never
// changes its meaning.
//
// What the registry does not have is asked for again a few times, since a follower of a cluster may
// lag behind the producer who has just registered; then it counts as missing for a while. A
// registry that is down, or refuses us, has not said anything about the schema: that is asked for
// again and again, at growing intervals.
#ifndef MR_WORKER_REGISTRY_REGISTRY_H
#define MR_WORKER_REGISTRY_REGISTRY_H

#include "schemas/catalog.h"
#include "worker/registry/http.h"

enum {
    MR_REGISTRY_SCHEMAS_MAX = MR_CATALOG_SCHEMAS_MAX
}; // asked for, known, or known to be missing

typedef enum mr_registry_event {
    MR_REGISTRY_ASKED,   // what catalogs wait for from now on
    MR_REGISTRY_CAME,    // and no longer
    MR_REGISTRY_MISSING, // a schema that the registry does not have, or that is of no use
    MR_REGISTRY_DOWN,    // it does not answer, or refuses us; said after each attempt
    MR_REGISTRY_KEPT,    // it does not answer; what it said before holds
    MR_REGISTRY_UNKEPT,  // the cache on disk did not take a schema
} mr_registry_event;

typedef struct mr_registry_options {
    mr_http_options http;     // .wait, if NULL, is the registry's own
    const char *cache_folder; // read by open alone; NULL or "": nothing is kept on disk
    int64_t missing_ms;       // how long a missing schema counts as missing
    mr_clock clock;
    // What happens, and to which schema, for a log; from any thread. NULL: nobody is told.
    void (*tell)(void *context, mr_registry_event event, const char *what, const char *error);
    void *tell_context;
} mr_registry_options;

typedef struct mr_registry mr_registry;

// Borrows the texts of the options' http. Reaches for nothing but the folder of the cache; one that
// cannot be had is told, and done without. Errors: MR_FATAL.
MR_CHECKED mr_status mr_registry_open(const mr_registry_options *options, mr_registry **registry,
                                      mr_error *err);
// Ends the thread, if there is one, and what it waits for. registry may be NULL, here and in stop.
void mr_registry_close(mr_registry *registry);

// From now on a thread fetches, and nobody waits. wake, which may be NULL: called by that thread
// whenever there is something new. Errors: MR_FATAL.
MR_CHECKED mr_status mr_registry_start(mr_registry *registry, void (*wake)(void *context),
                                       void *wake_context, mr_error *err);
// The thread ends; what was not fetched stays unknown. Nothing if there is none.
void mr_registry_stop(mr_registry *registry);

// For mr_catalog_ask, for any number of catalogs and threads. Without a thread `find` takes until
// the registry has answered, with MR_FATAL where it does not; with one it takes no time.
mr_schema_finder mr_registry_finder(mr_registry *registry);

// The id of one of our schemas under a subject. If the registry has none and may_register, it is
// given one. One that was asked for before is known from the cache while the registry is down.
// Before start. Errors: MR_RETRY: it is down; MR_FATAL: it refuses, or has none.
MR_CHECKED mr_status mr_registry_number(mr_registry *registry, const char *subject,
                                        const char *text, bool may_register, uint32_t *id,
                                        mr_error *err);

typedef struct mr_registry_counters {
    uint32_t wanted;   // schemas that catalogs wait for
    uint64_t fetched;  // from the registry
    uint64_t found;    // in the cache on disk
    uint64_t missing;  // answers that there is no such schema
    uint64_t failures; // attempts that the registry did not answer, or refused
} mr_registry_counters;
mr_registry_counters mr_registry_count(mr_registry *registry);

#endif
