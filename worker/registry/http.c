// SPDX-License-Identifier: Apache-2.0
// The pauses are "full jitter": M. Brooker, "Exponential Backoff And Jitter", AWS Architecture
// Blog, 2015: anything between nothing and the bound, so that workers that lost the same service do
// not come back together.
#include "worker/registry/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mr_http {
    mr_http_options options;
    CURL *curl;
    struct curl_slist *headers;
    uint32_t turn; // the address that is asked first
    char *body;
    size_t size, room;
    bool too_large;
    char reason[CURL_ERROR_SIZE];
};

// libcurl has to be set up once in a process, before its first use.
static pthread_once_t set_up = PTHREAD_ONCE_INIT;

static void set_up_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

mr_status mr_http_check_url(const char *url, mr_error *err)
{
    const char *const host = strstr(url, "://");
    const bool known = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    // Before anything of it is printed: wherever it stands, where the address is none.
    const char *const named = known ? host + 3 : url;
    if (memchr(named, '@', known ? strcspn(named, "/") : strlen(named)) != NULL)
        return mr_fail(err, MR_FATAL,
                       "an address with a user name in it, want it in registry.username and "
                       "registry.password, which are not printed");
    if (!known || host[3] == '\0' || host[3] == '/')
        return mr_fail(err, MR_FATAL, "found '%.100s', want http://host:port or https://host:port",
                       url);
    return MR_OK;
}

static size_t keep_body(char *data, size_t one, size_t size, void *context)
{
    mr_http *http = context;
    (void)one; // always 1
    if (size > MR_HTTP_BODY_MAX - http->size) {
        http->too_large = true;
        return 0;
    }
    if (http->size + size + 1 > http->room) {
        const size_t room = 2 * (http->size + size) + 4096;
        char *larger = realloc(http->body, room);
        if (larger == NULL)
            return 0;
        http->body = larger;
        http->room = room;
    }
    memcpy(http->body + http->size, data, size);
    http->size += size;
    http->body[http->size] = '\0';
    return size;
}

// Asked about once a second while a request is under way.
static int may_go_on(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const mr_http *http = context;
    (void)a, (void)b, (void)c, (void)d;
    return http->options.wait(http->options.wait_context, 0) ? 0 : 1;
}

static bool given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static void set_credentials(CURL *curl, const mr_http_options *o)
{
    if (given(o->token)) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, o->token);
    } else if (given(o->username)) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, o->username);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, o->password);
    }
    if (given(o->ca)) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, o->ca);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); // these, and no others
    }
    if (given(o->certificate))
        curl_easy_setopt(curl, CURLOPT_SSLCERT, o->certificate);
    if (given(o->key))
        curl_easy_setopt(curl, CURLOPT_SSLKEY, o->key);
    if (given(o->key_password))
        curl_easy_setopt(curl, CURLOPT_KEYPASSWD, o->key_password);
}

static bool set_headers(mr_http *http)
{
    static const char *const lines[] = {"Accept: application/vnd.schemaregistry.v1+json",
                                        "Content-Type: application/vnd.schemaregistry.v1+json",
                                        "Expect:"}; // bodies are small: no question before them
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct curl_slist *longer = curl_slist_append(http->headers, lines[i]);
        if (longer == NULL)
            return false;
        http->headers = longer;
    }
    return true;
}

static void set_options(mr_http *http)
{
    CURL *const curl = http->curl;
    char agent[64];
    snprintf(agent, sizeof agent, "millrace/%.40s", http->options.agent);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); // signals are the process's
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, agent);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, http->headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)http->options.timeout_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)http->options.timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, http);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, may_go_on);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, http);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->reason);
    set_credentials(curl, &http->options);
}

mr_status mr_http_open(const mr_http_options *options, mr_http **out, mr_error *err)
{
    MR_ASSERT(options->url_count > 0 && options->url_count <= MR_HTTP_URLS_MAX);
    for (uint32_t i = 0; i < options->url_count; i++)
        MR_TRY(mr_http_check_url(options->urls[i], err));
    pthread_once(&set_up, set_up_curl);
    mr_http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    http->options = *options;
    http->curl = curl_easy_init();
    if (http->curl == NULL || !set_headers(http)) {
        mr_http_close(http);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    set_options(http);
    *out = http;
    return MR_OK;
}

void mr_http_close(mr_http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->curl);
    curl_slist_free_all(http->headers);
    free(http->body);
    free(http);
}

// ---- what went wrong, and what would be right

// Says it where no other attempt will help. Errors: MR_FATAL; MR_OK: it may help.
static mr_status explain_tls(const mr_http *http, CURLcode code, const char *url, mr_error *err)
{
    const char *const reason = http->reason[0] != '\0' ? http->reason : curl_easy_strerror(code);
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return mr_fail(err, MR_FATAL,
                       "%.100s: its certificate is not trusted (%.70s): registry.ca wants the file "
                       "of the CA that signed it",
                       url, reason);
    case CURLE_SSL_CACERT_BADFILE:
        return mr_fail(err, MR_FATAL, "registry.ca: %.100s cannot be read as certificates (PEM)",
                       http->options.ca);
    case CURLE_SSL_CERTPROBLEM:
        return mr_fail(err, MR_FATAL,
                       "registry.certificate and registry.key: %.120s: want PEM files that belong "
                       "together, and registry.key_password where the key has one",
                       reason);
    default:
        return MR_OK;
    }
}

// With TLS 1.3 a service refuses a client only after the connection stands, in the words of an
// alert.
static bool is_refused(const char *reason)
{
    static const char *const alerts[] = {"certificate required", "alert unknown ca",
                                         "alert bad certificate", "alert certificate expired",
                                         "alert certificate unknown"};
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++) {
        if (strstr(reason, alerts[i]) != NULL)
            return true;
    }
    return false;
}

static mr_status explain(const mr_http *http, CURLcode code, const char *url, mr_error *err)
{
    const char *const reason = http->reason[0] != '\0' ? http->reason : curl_easy_strerror(code);
    if (http->too_large)
        return mr_reject(err, MR_CAUSE_unsuitable_schema,
                         "%.100s: its answer is longer than %d bytes", url, MR_HTTP_BODY_MAX);
    if (code == CURLE_OUT_OF_MEMORY || code == CURLE_WRITE_ERROR)
        return mr_fail(err, MR_FATAL, "out of memory");
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return mr_fail(err, MR_RETRY, "%.100s: the request was given up", url);
    MR_TRY(explain_tls(http, code, url, err));
    if (is_refused(reason))
        return mr_fail(err, MR_FATAL,
                       "%.80s: it wants a certificate of ours that it trusts (%.70s): set "
                       "registry.certificate and registry.key",
                       url, reason);
    if (code == CURLE_SSL_CONNECT_ERROR)
        return mr_fail(err, MR_RETRY,
                       "%.100s: no TLS connection (%.80s): does it speak https, and does it want a "
                       "certificate (registry.certificate, registry.key)?",
                       url, reason);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return mr_fail(err, MR_RETRY, "%.100s: no answer within %lld ms (registry.timeout)", url,
                       (long long)http->options.timeout_ms);
    return mr_fail(err, MR_RETRY, "%.100s: %.100s: is it up, and is registry.urls right?", url,
                   reason);
}

static bool is_passing(long status)
{
    return status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504);
}

// ---- asking

static mr_status ask_one(mr_http *http, const char *base, const char *path, const char *body,
                         mr_http_answer *answer, mr_error *err)
{
    char url[2048];
    size_t size = strlen(base);
    while (size > 0 && base[size - 1] == '/')
        size--;
    const int length = snprintf(url, sizeof url, "%.*s%s", (int)size, base, path);
    if (length < 0 || (size_t)length >= sizeof url)
        return mr_fail(err, MR_FATAL, "%.100s: an address of more than 2,000 bytes", base);
    http->size = 0;
    http->too_large = false;
    http->reason[0] = '\0';
    curl_easy_setopt(http->curl, CURLOPT_URL, url);
    if (body != NULL) {
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(http->curl, CURLOPT_POST, 1L);
    } else {
        curl_easy_setopt(http->curl, CURLOPT_HTTPGET, 1L);
    }
    const CURLcode code = curl_easy_perform(http->curl);
    if (code != CURLE_OK)
        return explain(http, code, base, err);
    *answer =
        (mr_http_answer){.body = http->size > 0 ? http->body : "", .size = http->size, .url = base};
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    if (is_passing(answer->status))
        return mr_fail(err, MR_RETRY, "%.100s: HTTP %ld: it cannot answer now", base,
                       answer->status);
    return MR_OK;
}

static mr_status ask_all(mr_http *http, const char *path, const char *body, mr_http_answer *answer,
                         mr_error *err)
{
    const uint32_t count = http->options.url_count;
    bool later = false; // one of them may answer yet
    for (uint32_t i = 0; i < count; i++) {
        const mr_status status =
            ask_one(http, http->options.urls[http->turn], path, body, answer, err);
        if (status == MR_OK || status == MR_REJECT)
            return status;
        later |= status == MR_RETRY;
        http->turn = (http->turn + 1) % count;
    }
    return err->status = later ? MR_RETRY : MR_FATAL;
}

// Waits before another round. Returns false: told to give up.
static bool pause_before(const mr_http *http, uint32_t round)
{
    const mr_http_options *o = &http->options;
    int64_t most = o->pause_ms;
    uint32_t draw = 0;
    for (uint32_t i = 1; i < round && most < o->pause_ms_max; i++)
        most *= 2;
    most = most < o->pause_ms_max ? most : o->pause_ms_max;
    o->chance.fill(o->chance.context, &draw, sizeof draw);
    return o->wait(o->wait_context, (int64_t)(((uint64_t)most * draw) >> 32));
}

mr_status mr_http_ask(mr_http *http, uint32_t rounds, const char *path, const char *body,
                      mr_http_answer *answer, mr_error *err)
{
    mr_status status = MR_RETRY;
    MR_ASSERT(rounds > 0);
    for (uint32_t round = 0; round < rounds && status == MR_RETRY; round++) {
        if (round > 0 && !pause_before(http, round))
            return status;
        status = ask_all(http, path, body, answer, err);
    }
    return status;
}
