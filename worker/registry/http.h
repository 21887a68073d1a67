// SPDX-License-Identifier: Apache-2.0
// http: requests to one service that has several addresses.
//
// A request is tried at one address after the other, from the one that answered last on; when all
// have failed it waits and goes round again. What counts as failed is what another attempt may
// cure: no connection, a time-out, a connection that is cut, HTTP 408, 429, 500, 502, 503 and 504.
// Every other answer is an answer. Redirections are not followed: they would carry the password
// away.
//
// User name, password and token are in no text of this module. One thread at a time.
#ifndef MR_WORKER_REGISTRY_HTTP_H
#define MR_WORKER_REGISTRY_HTTP_H

#include "worker/ports.h"

enum {
    MR_HTTP_URLS_MAX = 32,
    MR_HTTP_BODY_MAX = 8 << 20, // a schema of 1 MiB as a JSON string, every character escaped
};

typedef struct mr_http_options { // texts are borrowed for the life of the client; "": not given
    const char *const *urls;     // base addresses, http:// or https://
    uint32_t url_count;
    const char *agent;               // release of the program: it is told to the service
    const char *username, *password; // basic authentication
    const char *token;               // bearer authentication
    const char *ca;                  // file of the CAs that are trusted; "": those of the system
    const char *certificate, *key, *key_password; // files of the client's own certificate
    int64_t timeout_ms;                           // of one attempt
    int64_t pause_ms, pause_ms_max; // before round n: up to pause_ms * 2^n, drawn from chance
    mr_chance chance;
    // Waits so long, 0: not at all; false: give up. Also asked while a request is under way.
    bool (*wait)(void *context, int64_t ms);
    void *wait_context;
} mr_http_options;

typedef struct mr_http mr_http;

// Whether a text can be such an address. Errors: MR_FATAL, also where a user name stands in it: it
// would be printed with the address.
MR_CHECKED mr_status mr_http_check_url(const char *url, mr_error *err);

// Reaches for nothing yet. Errors: MR_FATAL: an address that is none, out of memory.
MR_CHECKED mr_status mr_http_open(const mr_http_options *options, mr_http **http, mr_error *err);
void mr_http_close(mr_http *http);

typedef struct mr_http_answer {
    long status;      // of HTTP
    const char *body; // ends in a NUL that size does not count; until the next request
    size_t size;
    const char *url; // the address that answered, without the path
} mr_http_answer;

// Asks "GET", or "POST" where there is a body, a JSON text. path begins with '/'. rounds: how often
// the addresses are gone over, 1 at least. Errors: MR_RETRY: nobody answers, or told to give up;
// MR_FATAL: no attempt will help, by reason of TLS, an answer without end, out of memory.
MR_CHECKED mr_status mr_http_ask(mr_http *http, uint32_t rounds, const char *path, const char *body,
                                 mr_http_answer *answer, mr_error *err);

#endif
