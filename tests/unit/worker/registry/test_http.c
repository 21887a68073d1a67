// SPDX-License-Identifier: Apache-2.0
// Requests to a service with several addresses: who is asked, how often, what is waited, and what
// is said when nothing helps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "double.h"
#include "worker/registry/http.h"

enum { PAUSES_MAX = 16 };

typedef struct fixture {
    registry_double *first, *second;
    const char *urls[2];
    mr_http_options options;
    mr_http *http;
    int64_t pauses[PAUSES_MAX];
    uint32_t pause_count, draw;
    bool gives_up;
} fixture;

static void draw(void *context, void *bytes, size_t size)
{
    const fixture *f = context;
    assert_int_equal(size, sizeof f->draw);
    memcpy(bytes, &f->draw, size);
}

// Notes what would be waited, and does not wait.
static bool note_pause(void *context, int64_t ms)
{
    fixture *f = context;
    if (ms > 0)
        f->pauses[f->pause_count++] = ms;
    return !f->gives_up;
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->first = double_open();
    f->second = double_open();
    assert_true(f->first != NULL && f->second != NULL);
    f->urls[0] = f->first->url;
    f->urls[1] = f->second->url;
    f->options = (mr_http_options){
        .urls = f->urls,
        .url_count = 1,
        .agent = "test",
        .timeout_ms = 5000,
        .pause_ms = 1000,
        .pause_ms_max = 3000,
        .chance = {f, draw},
        .wait = note_pause,
        .wait_context = f,
    };
    double_say(f->first, "GET /a", 200, "first");
    double_say(f->second, "GET /a", 200, "second");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    mr_http_close(f->http);
    double_close(f->first);
    double_close(f->second);
    free(f);
    return 0;
}

static void open_http(fixture *f)
{
    mr_error err = {0};
    if (mr_http_open(&f->options, &f->http, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static mr_status ask(fixture *f, uint32_t rounds, mr_http_answer *answer, mr_error *err)
{
    *err = (mr_error){0};
    if (f->http == NULL)
        open_http(f);
    return mr_http_ask(f->http, rounds, "/a", NULL, answer, err);
}

static void an_answer_of_any_status_is_an_answer(void **state)
{
    fixture *f = *state;
    mr_http_answer answer;
    mr_error err;
    assert_int_equal(ask(f, 1, &answer, &err), MR_OK);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "first");
    assert_int_equal(answer.size, 5);
    assert_ptr_equal(answer.url, f->urls[0]);
    double_say(f->first, "GET /a", 418, "");
    assert_int_equal(ask(f, 4, &answer, &err), MR_OK);
    assert_int_equal(answer.status, 418);
    assert_string_equal(answer.body, "");
    assert_int_equal(double_asked(f->first, NULL), 2);
    assert_int_equal(f->pause_count, 0);
}

static void a_body_is_posted_as_it_is(void **state)
{
    fixture *f = *state;
    static const char body[] = "{\"schema\":\"\\\"int\\\"\"}";
    mr_http_answer answer;
    mr_error err = {0};
    open_http(f);
    double_say(f->first, "POST /b", 200, "{}");
    assert_int_equal(mr_http_ask(f->http, 1, "/b", body, &answer, &err), MR_OK);
    assert_int_equal(answer.status, 200);
    assert_string_equal(f->first->last_body, body);
    // And the next question is a question again.
    assert_int_equal(ask(f, 1, &answer, &err), MR_OK);
    assert_string_equal(f->first->last_path, "GET /a");
    assert_string_equal(f->first->last_body, "");
}

static void a_slash_at_the_end_of_an_address_is_no_part_of_it(void **state)
{
    fixture *f = *state;
    char url[80];
    mr_http_answer answer;
    mr_error err;
    snprintf(url, sizeof url, "%s//", f->first->url);
    f->urls[0] = url;
    assert_int_equal(ask(f, 1, &answer, &err), MR_OK);
    assert_string_equal(f->first->last_path, "GET /a");
}

static void what_may_pass_is_asked_again_with_growing_pauses(void **state)
{
    fixture *f = *state;
    static const unsigned passing[] = {408, 429, 500, 502, 503, 504};
    mr_http_answer answer;
    mr_error err;
    f->draw = UINT32_MAX; // the longest pause that can be drawn
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        f->pause_count = 0;
        double_fail(f->first, 3, passing[i]);
        assert_int_equal(ask(f, 4, &answer, &err), MR_OK);
        assert_string_equal(answer.body, "first");
        assert_int_equal(f->pause_count, 3);
        assert_int_equal(f->pauses[0], 999);
        assert_int_equal(f->pauses[1], 1999);
        assert_int_equal(f->pauses[2], 2999); // the bound, not 4 s
    }
    double_fail(f->first, 4, 503);
    assert_int_equal(ask(f, 4, &answer, &err), MR_RETRY);
    assert_non_null(strstr(err.text, "HTTP 503"));
    assert_int_equal(double_asked(f->first, NULL), 6 * 4 + 4);
}

static void pauses_are_drawn(void **state)
{
    fixture *f = *state;
    mr_http_answer answer;
    mr_error err;
    f->draw = 1u << 30; // a quarter
    double_fail(f->first, 2, 500);
    assert_int_equal(ask(f, 3, &answer, &err), MR_OK);
    assert_int_equal(f->pauses[0], 250);
    assert_int_equal(f->pauses[1], 500);
}

static void a_connection_that_is_cut_is_tried_again(void **state)
{
    fixture *f = *state;
    mr_http_answer answer;
    mr_error err;
    double_fail(f->first, 1, 0);
    assert_int_equal(ask(f, 2, &answer, &err), MR_OK);
    double_fail(f->first, 20, 0); // libcurl itself tries a connection that was in use once more
    assert_int_equal(ask(f, 2, &answer, &err), MR_RETRY);
    assert_non_null(strstr(err.text, f->first->url));
}

static void the_next_address_is_asked_at_once_and_stays_the_first(void **state)
{
    fixture *f = *state;
    mr_http_answer answer;
    mr_error err;
    f->options.url_count = 2;
    double_down(f->first);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(f, 1, &answer, &err), MR_OK);
        assert_string_equal(answer.body, "second");
    }
    assert_int_equal(f->pause_count, 0);
    assert_int_equal(double_asked(f->second, NULL), 3);
}

static void with_every_address_down_it_says_so(void **state)
{
    fixture *f = *state;
    mr_http_answer answer;
    mr_error err;
    f->options.url_count = 2;
    double_down(f->first);
    double_down(f->second);
    f->draw = UINT32_MAX;
    assert_int_equal(ask(f, 3, &answer, &err), MR_RETRY);
    assert_non_null(strstr(err.text, "registry.urls"));
    assert_int_equal(f->pause_count, 2);
}

static void a_slow_answer_is_no_answer(void **state)
{
    fixture *f = *state;
    mr_http_answer answer;
    mr_error err;
    f->options.timeout_ms = 100;
    f->first->delay_ms = 700;
    assert_int_equal(ask(f, 1, &answer, &err), MR_RETRY);
    assert_non_null(strstr(err.text, "within 100 ms (registry.timeout)"));
}

static void who_is_told_to_give_up_asks_no_more(void **state)
{
    fixture *f = *state;
    mr_http_answer answer;
    mr_error err;
    f->draw = UINT32_MAX;
    f->gives_up = true;
    f->first->delay_ms = 100;
    double_fail(f->first, 10, 503);
    assert_int_equal(ask(f, 4, &answer, &err), MR_RETRY);
    assert_true(double_asked(f->first, NULL) <= 1);
}

static void an_endless_answer_is_refused(void **state)
{
    fixture *f = *state;
    mr_http_answer answer;
    mr_error err = {0};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    char url[64];
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(listen(fd, 1), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", ntohs(address.sin_port));
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static char zeros[1 << 16];
        const int peer = accept(fd, NULL, NULL);
        bool good = recv(peer, zeros, sizeof zeros, 0) > 0;
        memset(zeros, '0', sizeof zeros);
        good = good && send(peer, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL) == 19;
        while (good && send(peer, zeros, sizeof zeros, MSG_NOSIGNAL) > 0)
            continue;
        _exit(0);
    }
    close(fd);
    f->urls[0] = url;
    open_http(f);
    assert_int_equal(mr_http_ask(f->http, 4, "/a", NULL, &answer, &err), MR_REJECT);
    assert_non_null(strstr(err.text, "longer than"));
    mr_http_close(f->http);
    f->http = NULL;
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void user_name_and_password_are_sent_and_never_said(void **state)
{
    fixture *f = *state;
    mr_http_answer answer;
    mr_error err;
    f->options.username = "anna";
    f->options.password = "hush-hush";
    assert_int_equal(ask(f, 1, &answer, &err), MR_OK);
    assert_string_equal(f->first->last_authorization, "Basic YW5uYTpodXNoLWh1c2g=");
    double_down(f->first);
    assert_int_equal(ask(f, 1, &answer, &err), MR_RETRY);
    assert_null(strstr(err.text, "hush"));
    assert_null(strstr(err.text, "anna"));
}

static void a_token_is_sent_and_never_said(void **state)
{
    fixture *f = *state;
    mr_http_answer answer;
    mr_error err;
    f->options.token = "hush-hush";
    assert_int_equal(ask(f, 1, &answer, &err), MR_OK);
    assert_string_equal(f->first->last_authorization, "Bearer hush-hush");
    double_down(f->first);
    assert_int_equal(ask(f, 1, &answer, &err), MR_RETRY);
    assert_null(strstr(err.text, "hush"));
}

static void addresses_that_are_none_are_refused_and_secrets_in_them_not_repeated(void **state)
{
    static const char *const bad[] = {"",        "localhost:8081", "ftp://host",
                                      "http://", "http:///a",      "https:/host"};
    mr_error err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(mr_http_check_url(bad[i], &err), MR_FATAL);
        assert_non_null(strstr(err.text, "want http://host:port"));
    }
    static const char *const telling[] = {"https://anna:hush@host/", "anna:hush@host:8081",
                                          "HTTPS://anna:hush@host", "https:/anna:hush@host"};
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) {
        assert_int_equal(mr_http_check_url(telling[i], &err), MR_FATAL);
        assert_null(strstr(err.text, "hush"));
        assert_non_null(strstr(err.text, "registry.password"));
    }
    assert_int_equal(mr_http_check_url("https://host:1/base@2", &err), MR_OK);
    assert_int_equal(mr_http_check_url("http://[::1]:8081", &err), MR_OK);
}

// ---- TLS, against openssl's own server, which serves files

typedef struct tls {
    char folder[64];
    pid_t server;
    uint16_t port;
} tls;

static void run_shell(const tls *t, const char *script)
{
    char line[2048];
    snprintf(line, sizeof line, "cd '%s' && { %s; } > log 2>&1", t->folder, script);
    if (system(line) != 0)
        fail_msg("%s: see the log", line);
}

static void make_certificates(const tls *t)
{
    run_shell(t, "for n in ca other; do openssl req -x509 -newkey rsa:2048 -nodes -keyout $n.key "
                 "-out $n.pem -days 2 -subj /CN=$n; done; "
                 "for n in server client; do openssl req -newkey rsa:2048 -nodes -keyout $n.key "
                 "-out $n.csr -subj /CN=$n; "
                 "printf 'subjectAltName=IP:127.0.0.1\\n' > $n.ext; "
                 "openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
                 "-extfile $n.ext -days 2 -out $n.pem; done; printf there > a");
}

static bool answers(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const bool good = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return good;
}

static uint16_t free_port(void)
{
    registry_double *d = double_open();
    assert_non_null(d);
    const uint16_t port = double_down(d);
    double_close(d);
    return port;
}

// verify: whether clients have to show a certificate of the CA.
static void start_tls(tls *t, bool verify)
{
    char port[8];
    t->port = free_port();
    snprintf(port, sizeof port, "%u", t->port);
    t->server = fork();
    assert_true(t->server >= 0);
    if (t->server == 0) {
        if (chdir(t->folder) != 0 || freopen("server.log", "w", stderr) == NULL ||
            freopen("/dev/null", "w", stdout) == NULL)
            _exit(1);
        execlp("openssl", "openssl", "s_server", "-accept", port, "-cert", "server.pem", "-key",
               "server.key", "-CAfile", "ca.pem", "-WWW", "-quiet",
               verify ? "-Verify" : (char *)NULL, "1", "-verify_return_error", (char *)NULL);
        _exit(1);
    }
    for (int i = 0; i < 500 && !answers(t->port); i++)
        usleep(20000);
}

static void stop_tls(tls *t)
{
    kill(t->server, SIGKILL);
    waitpid(t->server, NULL, 0);
}

static mr_status ask_tls(fixture *f, const tls *t, const char *ca, const char *certificate,
                         const char *key, mr_error *err)
{
    char url[64], paths[3][128];
    const char *const names[] = {ca, certificate, key};
    mr_http_answer answer;
    *err = (mr_error){0};
    for (int i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], "%s%s%s", names[i][0] != '\0' ? t->folder : "",
                 names[i][0] != '\0' ? "/" : "", names[i]);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", t->port);
    f->urls[0] = url;
    f->options.ca = paths[0];
    f->options.certificate = paths[1];
    f->options.key = paths[2];
    open_http(f);
    const mr_status status = mr_http_ask(f->http, 1, "/a", NULL, &answer, err);
    if (status == MR_OK)
        assert_non_null(strstr(answer.body, "there"));
    mr_http_close(f->http);
    f->http = NULL;
    return status;
}

static void tls_is_checked_both_ways_and_failures_say_which_key_is_wrong(void **state)
{
    fixture *f = *state;
    mr_error err;
    tls t = {.folder = "/tmp/millrace-tls-XXXXXX"};
    if (system("command -v openssl > /dev/null 2>&1") != 0)
        skip();
    assert_non_null(mkdtemp(t.folder));
    make_certificates(&t);
    start_tls(&t, false);
    assert_int_equal(ask_tls(f, &t, "ca.pem", "", "", &err), MR_OK);
    assert_int_equal(ask_tls(f, &t, "other.pem", "", "", &err), MR_FATAL);
    assert_non_null(strstr(err.text, "not trusted"));
    assert_non_null(strstr(err.text, "registry.ca"));
    assert_int_equal(ask_tls(f, &t, "", "", "", &err), MR_FATAL);
    assert_int_equal(ask_tls(f, &t, "nowhere.pem", "", "", &err), MR_FATAL);
    assert_non_null(strstr(err.text, "registry.ca: "));
    assert_int_equal(ask_tls(f, &t, "ca.pem", "client.pem", "other.key", &err), MR_FATAL);
    assert_non_null(strstr(err.text, "registry.certificate and registry.key"));
    stop_tls(&t);
    start_tls(&t, true);
    assert_int_equal(ask_tls(f, &t, "ca.pem", "client.pem", "client.key", &err), MR_OK);
    assert_int_equal(ask_tls(f, &t, "ca.pem", "", "", &err), MR_FATAL);
    assert_non_null(strstr(err.text, "set registry.certificate"));
    stop_tls(&t);
    run_shell(&t, "rm -r \"$PWD\"");
}

static void speaking_https_to_http_is_named(void **state)
{
    fixture *f = *state;
    char url[64];
    mr_http_answer answer;
    mr_error err;
    snprintf(url, sizeof url, "https%s", f->first->url + strlen("http"));
    f->urls[0] = url;
    assert_int_equal(ask(f, 1, &answer, &err), MR_RETRY);
    assert_non_null(strstr(err.text, "does it speak https"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_of_any_status_is_an_answer),
        TEST(a_body_is_posted_as_it_is),
        TEST(a_slash_at_the_end_of_an_address_is_no_part_of_it),
        TEST(what_may_pass_is_asked_again_with_growing_pauses),
        TEST(pauses_are_drawn),
        TEST(a_connection_that_is_cut_is_tried_again),
        TEST(the_next_address_is_asked_at_once_and_stays_the_first),
        TEST(with_every_address_down_it_says_so),
        TEST(a_slow_answer_is_no_answer),
        TEST(who_is_told_to_give_up_asks_no_more),
        TEST(an_endless_answer_is_refused),
        TEST(user_name_and_password_are_sent_and_never_said),
        TEST(a_token_is_sent_and_never_said),
        cmocka_unit_test(addresses_that_are_none_are_refused_and_secrets_in_them_not_repeated),
        TEST(tls_is_checked_both_ways_and_failures_say_which_key_is_wrong),
        TEST(speaking_https_to_http_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
