// SPDX-License-Identifier: Apache-2.0
// double: a schema registry that says what it is told to say, over HTTP on loopback, and misbehaves
// as it is told to.
#ifndef MR_TESTS_UNIT_WORKER_REGISTRY_DOUBLE_H
#define MR_TESTS_UNIT_WORKER_REGISTRY_DOUBLE_H

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUTES_MAX = 32, TEXT_MAX = 1 << 16 };

typedef struct route {
    char path[160]; // with the method in front: "GET /schemas/ids/1"
    unsigned status;
    char body[4096];
    unsigned requests;
} route;

typedef struct registry_double { // all but the first two under the lock
    struct MHD_Daemon *daemon;
    char url[64];
    pthread_mutex_t lock;
    route routes[ROUTES_MAX];
    unsigned route_count, requests;
    unsigned fail_next, fail_status; // so many requests are answered by that status; 0: cut off
    unsigned delay_ms;               // before each answer
    char authorization[256];         // what a request has to say of itself; "": nothing
    char last_path[512], last_body[TEXT_MAX], last_authorization[256];
} registry_double;

typedef struct double_request { // of one request: its body so far
    size_t size;
    char body[TEXT_MAX];
} double_request;

static inline route *double_find(registry_double *d, const char *path)
{
    for (unsigned i = 0; i < d->route_count; i++) {
        if (strcmp(d->routes[i].path, path) == 0)
            return &d->routes[i];
    }
    return NULL;
}

// What it answers to "GET /path" from now on.
static inline void double_say(registry_double *d, const char *path, unsigned status,
                              const char *body)
{
    pthread_mutex_lock(&d->lock);
    route *r = double_find(d, path);
    if (r == NULL) {
        r = &d->routes[d->route_count++];
        *r = (route){.requests = 0};
    }
    snprintf(r->path, sizeof r->path, "%s", path);
    snprintf(r->body, sizeof r->body, "%s", body);
    r->status = status;
    pthread_mutex_unlock(&d->lock);
}

static inline unsigned double_asked(registry_double *d, const char *path)
{
    pthread_mutex_lock(&d->lock);
    const route *r = path != NULL ? double_find(d, path) : NULL;
    const unsigned requests = path == NULL ? d->requests : r != NULL ? r->requests : 0;
    pthread_mutex_unlock(&d->lock);
    return requests;
}

static inline void double_fail(registry_double *d, unsigned requests, unsigned status)
{
    pthread_mutex_lock(&d->lock);
    d->fail_next = requests;
    d->fail_status = status;
    pthread_mutex_unlock(&d->lock);
}

static inline enum MHD_Result double_reply(struct MHD_Connection *connection, unsigned status,
                                           const char *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    const enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static inline enum MHD_Result double_answer(registry_double *d, struct MHD_Connection *connection,
                                            const char *method, const char *url,
                                            const double_request *request)
{
    static const char nothing[] = "{\"error_code\":40403,\"message\":\"Schema not found\"}";
    char path[512], body[4096];
    const char *said = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    pthread_mutex_lock(&d->lock);
    snprintf(path, sizeof path, "%s %s", method, url);
    snprintf(d->last_path, sizeof d->last_path, "%s", path);
    snprintf(d->last_body, sizeof d->last_body, "%s", request->body);
    snprintf(d->last_authorization, sizeof d->last_authorization, "%s", said != NULL ? said : "");
    route *r = double_find(d, path);
    d->requests++;
    if (r != NULL)
        r->requests++;
    unsigned status = r != NULL ? r->status : 404;
    snprintf(body, sizeof body, "%s", r != NULL ? r->body : nothing);
    if (d->authorization[0] != '\0' && strcmp(d->last_authorization, d->authorization) != 0) {
        status = 401;
        strcpy(body, "{\"error_code\":40101,\"message\":\"Unauthorized\"}");
    }
    if (d->fail_next > 0) {
        d->fail_next--;
        status = d->fail_status;
        strcpy(body, "{\"error_code\":50001,\"message\":\"told to\"}");
    }
    const unsigned delay_ms = d->delay_ms;
    pthread_mutex_unlock(&d->lock);
    usleep(delay_ms * 1000);
    return status == 0 ? MHD_NO : double_reply(connection, status, body);
}

static inline enum MHD_Result double_handle(void *context, struct MHD_Connection *connection,
                                            const char *url, const char *method,
                                            const char *version, const char *data, size_t *size,
                                            void **state)
{
    double_request *request = *state;
    (void)version;
    if (request == NULL) {
        *state = calloc(1, sizeof *request);
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        const size_t room = TEXT_MAX - 1 - request->size;
        const size_t taken = *size < room ? *size : room;
        memcpy(request->body + request->size, data, taken);
        request->size += taken;
        *size = 0;
        return MHD_YES;
    }
    return double_answer(context, connection, method, url, request);
}

static inline void double_done(void *context, struct MHD_Connection *connection, void **state,
                               enum MHD_RequestTerminationCode code)
{
    (void)context, (void)connection, (void)code;
    free(*state);
    *state = NULL;
}

// On that port, 0: any that is free.
static inline bool double_listen(registry_double *d, uint16_t port)
{
    const struct sockaddr_in loopback = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    d->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0, NULL,
        NULL, double_handle, d, MHD_OPTION_SOCK_ADDR, &loopback, MHD_OPTION_NOTIFY_COMPLETED,
        double_done, NULL, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (d->daemon == NULL)
        return false;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d->daemon, MHD_DAEMON_INFO_BIND_PORT);
    snprintf(d->url, sizeof d->url, "http://127.0.0.1:%u", info->port);
    return true;
}

static inline registry_double *double_open(void)
{
    registry_double *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    pthread_mutex_init(&d->lock, NULL);
    if (double_listen(d, 0))
        return d;
    free(d);
    return NULL;
}

// Nobody answers any more, until it listens again.
static inline uint16_t double_down(registry_double *d)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d->daemon, MHD_DAEMON_INFO_BIND_PORT);
    const uint16_t port = info->port;
    MHD_stop_daemon(d->daemon);
    d->daemon = NULL;
    return port;
}

static inline void double_close(registry_double *d)
{
    if (d->daemon != NULL)
        MHD_stop_daemon(d->daemon);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

#endif
