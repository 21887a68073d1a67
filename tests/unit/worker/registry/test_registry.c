// SPDX-License-Identifier: Apache-2.0
// The registry against a double: what it is asked, and how often; what catalogs are told while it
// is down, slow, wrong, or does not have a schema yet; what is known after a restart.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>

#include "double.h"
#include "schemas/builtin.h"
#include "worker/registry/registry.h"
#include "worker/registry/rest.h"

// How long something is waited for that has to come.
enum { PATIENCE_MS = 20000, WHAT_BYTES = 64 };

typedef struct fixture {
    registry_double *server;
    const char *urls[1];
    uint16_t port; // of a server that is down
    char folder[64];
    mr_registry_options options;
    mr_registry *registry;
    atomic_uint events[MR_REGISTRY_UNKEPT + 1], woken;
    pthread_mutex_t lock;
    char error[256]; // what was told last with a text
} fixture;

static void tell(void *context, mr_registry_event event, const char *what, const char *error)
{
    fixture *f = context;
    assert_true(what[0] != '\0');
    pthread_mutex_lock(&f->lock);
    if (error[0] != '\0')
        snprintf(f->error, sizeof f->error, "%s", error);
    pthread_mutex_unlock(&f->lock);
    atomic_fetch_add(&f->events[event], 1);
}

static void wake(void *context)
{
    atomic_fetch_add(&((fixture *)context)->woken, 1);
}

static void no_chance(void *context, void *bytes, size_t size)
{
    (void)context;
    memset(bytes, 0, size); // the shortest pauses
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->server = double_open();
    assert_non_null(f->server);
    f->urls[0] = f->server->url;
    strcpy(f->folder, "/tmp/millrace-registry-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    pthread_mutex_init(&f->lock, NULL);
    f->options = (mr_registry_options){
        .http = {.urls = f->urls,
                 .url_count = 1,
                 .agent = "test",
                 .timeout_ms = 10000,
                 .pause_ms = 1,
                 .pause_ms_max = 1,
                 .chance = {NULL, no_chance}},
        .cache_folder = f->folder,
        .missing_ms = 60000,
        .clock = mr_clock_system(),
        .tell = tell,
        .tell_context = f,
    };
    double_say(f->server, "GET /schemas/ids/17", 200, "{\"schema\":\"\\\"int\\\"\"}");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    char line[128];
    mr_registry_close(f->registry);
    double_close(f->server);
    snprintf(line, sizeof line, "rm -r '%s'", f->folder);
    assert_int_equal(system(line), 0);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static void open_registry(fixture *f, bool start)
{
    mr_error err = {0};
    mr_registry_close(f->registry);
    f->registry = NULL;
    if (mr_registry_open(&f->options, &f->registry, &err) != MR_OK ||
        (start && mr_registry_start(f->registry, wake, f, &err) != MR_OK))
        fail_msg("%s", err.text);
}

static mr_status find(fixture *f, uint32_t id, char **text, mr_error *err)
{
    const mr_schema_finder finder = mr_registry_finder(f->registry);
    const mr_frame frame = {.names = MR_FRAME_NAMES_ID, .id = id};
    size_t size;
    *err = (mr_error){0};
    const mr_status status = finder.find(finder.context, &frame, text, &size, err);
    if (status == MR_OK)
        assert_int_equal(size, strlen(*text));
    return status;
}

static mr_status find_and_drop(fixture *f, uint32_t id, mr_error *err)
{
    char *text;
    const mr_status status = find(f, id, &text, err);
    if (status == MR_OK)
        free(text);
    return status;
}

// Asks as a worker does, again and again, until there is an answer.
static mr_status find_in_time(fixture *f, uint32_t id, char **text, mr_error *err)
{
    mr_status status = find(f, id, text, err);
    for (int i = 0; i < PATIENCE_MS && status == MR_RETRY; i++) {
        usleep(1000);
        status = find(f, id, text, err);
    }
    return status;
}

static bool in_time(const atomic_uint *count, unsigned want)
{
    for (int i = 0; i < PATIENCE_MS && atomic_load(count) < want; i++)
        usleep(1000);
    return atomic_load(count) >= want;
}

// ---- commands, which wait

static void who_has_time_gets_the_schema_at_once(void **state)
{
    fixture *f = *state;
    char *text;
    mr_error err;
    open_registry(f, false);
    assert_int_equal(find(f, 17, &text, &err), MR_OK);
    assert_string_equal(text, "\"int\"");
    free(text);
    assert_int_equal(find_and_drop(f, 17, &err), MR_OK);
    assert_int_equal(double_asked(f->server, NULL), 1);
    assert_int_equal(mr_registry_count(f->registry).fetched, 1);
    assert_int_equal(mr_registry_count(f->registry).wanted, 0);
}

static void who_has_time_is_told_that_there_is_none(void **state)
{
    fixture *f = *state;
    mr_error err;
    open_registry(f, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(find_and_drop(f, 5, &err), MR_REJECT);
        assert_int_equal(err.cause, MR_CAUSE_unknown_schema);
        assert_non_null(strstr(err.text, "schema id 5"));
        assert_non_null(strstr(err.text, "40403"));
    }
    assert_int_equal(double_asked(f->server, NULL), 1);
}

static void who_has_time_fails_where_the_registry_is_down(void **state)
{
    fixture *f = *state;
    mr_error err;
    open_registry(f, false);
    const uint16_t port = double_down(f->server);
    assert_int_equal(find_and_drop(f, 17, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "registry.urls"));
    assert_true(double_listen(f->server, port));
    assert_int_equal(find_and_drop(f, 17, &err), MR_OK);
}

static void each_refusal_says_what_would_be_right(void **state)
{
    static const struct {
        unsigned status;
        const char *body, *want;
    } cases[] = {
        {401, "{\"error_code\":40101,\"message\":\"x\"}", "registry.username"},
        {401, "", "registry.token"},
        {403, "{\"error_code\":40301,\"message\":\"x\"}", "grant it the right"},
        {404, "<html>nothing here</html>", "/apis/ccompat/v7"},
        {404, "{\"error_code\":404,\"message\":\"no such path\"}", "/apis/ccompat/v7"},
        {400, "{\"error_code\":400,\"message\":\"odd\"}", "HTTP 400, odd"},
        {405, "", "not a registry's answer"},
        {302, "", "leads elsewhere"},
        {200, "<html>log in</html>", "is it a schema registry?"},
        {200, "", "is it a schema registry?"},
        {200, "{\"schema\":", "is it a schema registry?"},
        {200, "{\"id\":17}", "is it a schema registry?"},
    };
    fixture *f = *state;
    mr_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_registry(f, false);
        double_say(f->server, "GET /schemas/ids/17", cases[i].status, cases[i].body);
        assert_int_equal(find_and_drop(f, 17, &err), MR_FATAL);
        if (strstr(err.text, cases[i].want) == NULL || strstr(err.text, f->server->url) == NULL)
            fail_msg("'%s', want '%s'", err.text, cases[i].want);
    }
}

static void credentials_are_sent_and_wrong_ones_are_called_wrong(void **state)
{
    fixture *f = *state;
    mr_error err;
    strcpy(f->server->authorization, "Basic YW5uYTpodXNoLWh1c2g=");
    f->options.http.username = "anna";
    f->options.http.password = "hush-hush";
    open_registry(f, false);
    assert_int_equal(find_and_drop(f, 17, &err), MR_OK);
    f->options.cache_folder = "";
    f->options.http.password = "hush";
    open_registry(f, false);
    assert_int_equal(find_and_drop(f, 17, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "does not take the user name and password"));
    assert_null(strstr(err.text, "hush"));
}

static void other_kinds_of_schemas_are_of_no_use(void **state)
{
    fixture *f = *state;
    mr_error err;
    double_say(f->server, "GET /schemas/ids/6", 200,
               "{\"schemaType\":\"PROTOBUF\",\"schema\":\"x\"}");
    open_registry(f, false);
    assert_int_equal(find_and_drop(f, 6, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unsuitable_schema);
    assert_non_null(strstr(err.text, "PROTOBUF"));
}

static void a_schema_by_guid_is_asked_for_by_guid(void **state)
{
    fixture *f = *state;
    char *text;
    size_t size;
    mr_error err = {0};
    mr_frame frame = {.names = MR_FRAME_NAMES_GUID};
    for (uint8_t i = 0; i < 16; i++)
        frame.guid[i] = (uint8_t)(0x10 * i + i);
    double_say(f->server, "GET /schemas/guids/00112233-4455-6677-8899-aabbccddeeff", 200,
               "{\"schema\":\"1\"}");
    open_registry(f, false);
    const mr_schema_finder finder = mr_registry_finder(f->registry);
    if (finder.find(finder.context, &frame, &text, &size, &err) != MR_OK)
        fail_msg("%s", err.text);
    free(text);
}

// Else a stray record of two bytes would hold up its partition for ever.
static void what_only_looks_framed_is_refused_whatever_the_registry_has_no_path_for(void **state)
{
    fixture *f = *state;
    char *text;
    size_t size;
    mr_error err = {0};
    mr_frame frame = {.names = MR_FRAME_NAMES_GUID};
    double_say(f->server, "GET /schemas/guids/00000000-0000-0000-0000-000000000000", 404,
               "<html>no such page</html>");
    open_registry(f, false);
    const mr_schema_finder finder = mr_registry_finder(f->registry);
    assert_int_equal(finder.find(finder.context, &frame, &text, &size, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unknown_schema);
    assert_int_equal(find_and_drop(f, 2147483648u, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unknown_schema);
    assert_int_equal(double_asked(f->server, "GET /schemas/ids/2147483648"), 0);
}

static void references_are_fetched_and_put_in_place(void **state)
{
    fixture *f = *state;
    char *text;
    mr_error err;
    double_say(
        f->server, "GET /schemas/ids/1", 200,
        "{\"schema\":\"[\\\"a.A\\\",\\\"a.B\\\"]\",\"references\":[{\"name\":\"a.A\","
        "\"subject\":\"A of\",\"version\":2},{\"name\":\"a.B\",\"subject\":\"B\",\"version\":1}]}");
    double_say(
        f->server, "GET /subjects/A of/versions/2", 200,
        "{\"subject\":\"A of\",\"version\":2,\"id\":9,\"schema\":\"{\\\"type\\\":\\\"record\\\","
        "\\\"name\\\":\\\"a.A\\\",\\\"fields\\\":[{\\\"name\\\":\\\"b\\\",\\\"type\\\":"
        "\\\"a.B\\\"}]}\",\"references\":[{\"name\":\"a.B\",\"subject\":\"B\",\"version\":1}]}");
    double_say(
        f->server, "GET /subjects/B/versions/1", 200,
        "{\"schema\":\"{\\\"type\\\":\\\"fixed\\\",\\\"name\\\":\\\"a.B\\\",\\\"size\\\":4}\"}");
    open_registry(f, false);
    if (find(f, 1, &text, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(text,
                        "[{\"type\":\"record\",\"name\":\"a.A\",\"fields\":[{\"name\":\"b\","
                        "\"type\":{\"type\":\"fixed\",\"name\":\"a.B\",\"size\":4}}]},\"a.B\"]");
    free(text);
    assert_int_equal(double_asked(f->server, "GET /subjects/B/versions/1"), 1);
}

static void references_without_end_are_refused(void **state)
{
    fixture *f = *state;
    mr_error err;
    char path[64], body[256];
    for (int i = 0; i <= MR_REST_DEPTH_MAX + 1; i++) {
        snprintf(path, sizeof path, i == 0 ? "GET /schemas/ids/1" : "GET /subjects/s%d/versions/1",
                 i);
        snprintf(
            body, sizeof body,
            "{\"schema\":\"\\\"n%d\\\"\",\"references\":[{\"name\":\"n%d\",\"subject\":\"s%d\","
            "\"version\":1}]}",
            i + 1, i + 1, i + 1);
        double_say(f->server, path, 200, body);
    }
    open_registry(f, false);
    assert_int_equal(find_and_drop(f, 1, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unsuitable_schema);
    assert_non_null(strstr(err.text, "beyond 16"));
}

static void a_reference_that_is_missing_is_named(void **state)
{
    fixture *f = *state;
    mr_error err;
    double_say(f->server, "GET /schemas/ids/1", 200,
               "{\"schema\":\"\\\"a.A\\\"\",\"references\":[{\"name\":\"a.A\",\"subject\":\"A\","
               "\"version\":2}]}");
    open_registry(f, false);
    assert_int_equal(find_and_drop(f, 1, &err), MR_REJECT);
    assert_non_null(strstr(err.text, "reference a.A of subject A"));
}

// ---- the disk

static void after_a_restart_the_registry_is_not_needed(void **state)
{
    fixture *f = *state;
    mr_error err;
    open_registry(f, false);
    assert_int_equal(find_and_drop(f, 17, &err), MR_OK);
    double_down(f->server);
    open_registry(f, false);
    assert_int_equal(find_and_drop(f, 17, &err), MR_OK);
    assert_int_equal(mr_registry_count(f->registry).found, 1);
    open_registry(f, true);
    char *text;
    assert_int_equal(find_in_time(f, 17, &text, &err), MR_OK);
    assert_string_equal(text, "\"int\"");
    free(text);
    assert_int_equal(atomic_load(&f->events[MR_REGISTRY_DOWN]), 0);
}

static void a_folder_that_cannot_be_had_is_told_and_done_without(void **state)
{
    fixture *f = *state;
    mr_error err;
    f->options.cache_folder = "/nowhere/at/all";
    open_registry(f, false);
    assert_int_equal(atomic_load(&f->events[MR_REGISTRY_UNKEPT]), 1);
    assert_int_equal(find_and_drop(f, 17, &err), MR_OK);
}

// ---- workers, which do not wait

static void a_worker_is_told_to_ask_again_and_woken(void **state)
{
    fixture *f = *state;
    char *text;
    mr_error err;
    f->server->delay_ms = 50;
    open_registry(f, true);
    assert_int_equal(find(f, 17, &text, &err), MR_RETRY);
    assert_non_null(strstr(err.text, "id-17"));
    assert_int_equal(mr_registry_count(f->registry).wanted, 1);
    assert_true(in_time(&f->woken, 1));
    assert_int_equal(find(f, 17, &text, &err), MR_OK);
    assert_string_equal(text, "\"int\"");
    free(text);
    assert_int_equal(double_asked(f->server, NULL), 1);
    assert_int_equal(atomic_load(&f->events[MR_REGISTRY_ASKED]), 1);
    assert_int_equal(atomic_load(&f->events[MR_REGISTRY_CAME]), 1);
    assert_int_equal(mr_registry_count(f->registry).wanted, 0);
}

static void an_id_that_comes_later_is_asked_for_until_it_is_believed_to_be_missing(void **state)
{
    fixture *f = *state;
    char *text;
    mr_error err;
    open_registry(f, true);
    assert_int_equal(find(f, 18, &text, &err), MR_RETRY);
    while (double_asked(f->server, NULL) == 0) // it was denied once
        usleep(1000);
    double_say(f->server, "GET /schemas/ids/18", 200, "{\"schema\":\"\\\"long\\\"\"}");
    assert_int_equal(find_in_time(f, 18, &text, &err), MR_OK);
    assert_string_equal(text, "\"long\"");
    free(text);
    assert_int_equal(atomic_load(&f->events[MR_REGISTRY_MISSING]), 0);
}

static void a_missing_id_is_told_once_and_counts_for_a_while(void **state)
{
    fixture *f = *state;
    mr_error err;
    char *text;
    open_registry(f, true);
    assert_int_equal(find_in_time(f, 5, &text, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unknown_schema);
    const unsigned asked = double_asked(f->server, NULL);
    assert_int_equal(asked, 3); // denied as often before it was believed
    for (int i = 0; i < 100; i++)
        assert_int_equal(find(f, 5, &text, &err), MR_REJECT);
    assert_int_equal(double_asked(f->server, NULL), asked);
    assert_int_equal(atomic_load(&f->events[MR_REGISTRY_MISSING]), 1);
}

static void a_missing_id_is_asked_for_again_when_its_time_is_over(void **state)
{
    fixture *f = *state;
    mr_error err;
    char *text;
    f->options.missing_ms = 0; // and yet it is said once
    open_registry(f, true);
    assert_int_equal(find_in_time(f, 5, &text, &err), MR_REJECT);
    double_say(f->server, "GET /schemas/ids/5", 200, "{\"schema\":\"1\"}");
    mr_status status = MR_REJECT;
    for (int i = 0; i < PATIENCE_MS && status != MR_OK; i++) {
        usleep(1000);
        status = find_and_drop(f, 5, &err);
    }
    assert_int_equal(status, MR_OK);
    assert_int_equal(double_asked(f->server, "GET /schemas/ids/5"), 1);
}

static void a_stream_of_nonsense_is_believed_to_be_nonsense(void **state)
{
    fixture *f = *state;
    mr_error err;
    char *text;
    open_registry(f, true);
    for (uint32_t id = 1000; id < 1016; id++) // doubted: each is asked for three times
        assert_int_equal(find(f, id, &text, &err), MR_RETRY);
    for (uint32_t id = 1000; id < 1016; id++)
        assert_int_equal(find_in_time(f, id, &text, &err), MR_REJECT);
    const unsigned before = double_asked(f->server, NULL);
    assert_int_equal(before, 16 * 3);
    for (uint32_t id = 2000; id < 2100; id++)
        assert_int_equal(find_in_time(f, id, &text, &err), MR_REJECT);
    assert_int_equal(double_asked(f->server, NULL), before + 100);
}

static void more_ids_than_are_kept_push_out_the_stalest(void **state)
{
    fixture *f = *state;
    mr_error err;
    f->options.cache_folder = "";
    open_registry(f, false);
    assert_int_equal(find_and_drop(f, 17, &err), MR_OK);
    for (uint32_t id = 1000; id < 1000 + MR_REGISTRY_SCHEMAS_MAX - 1; id++)
        assert_int_equal(find_and_drop(f, id, &err), MR_REJECT);
    assert_int_equal(find_and_drop(f, 17, &err), MR_OK); // the newest by now
    assert_int_equal(double_asked(f->server, "GET /schemas/ids/17"), 1);
    assert_int_equal(find_and_drop(f, 1, &err), MR_REJECT); // pushes out 1000
    assert_int_equal(find_and_drop(f, 17, &err), MR_OK);
    assert_int_equal(double_asked(f->server, "GET /schemas/ids/17"), 1);
    const unsigned asked = double_asked(f->server, NULL);
    assert_int_equal(find_and_drop(f, 1000, &err), MR_REJECT);
    assert_int_equal(double_asked(f->server, NULL), asked + 1);
}

// Whatever a registry does that does not answer the question, the record waits.
static void waits_until_it_is_cured(fixture *f, void (*break_it)(fixture *),
                                    void (*cure)(fixture *))
{
    char *text;
    mr_error err;
    f->options.cache_folder = "";
    break_it(f);
    open_registry(f, true);
    assert_int_equal(find(f, 17, &text, &err), MR_RETRY);
    assert_true(in_time(&f->events[MR_REGISTRY_DOWN], 3));
    assert_int_equal(find(f, 17, &text, &err), MR_RETRY);
    assert_true(mr_registry_count(f->registry).failures >= 3);
    assert_int_equal(mr_registry_count(f->registry).missing, 0);
    cure(f);
    assert_int_equal(find_in_time(f, 17, &text, &err), MR_OK);
    assert_string_equal(text, "\"int\"");
    free(text);
}

static void go_down(fixture *f)
{
    f->port = double_down(f->server);
}

static void come_up(fixture *f)
{
    assert_true(double_listen(f->server, f->port));
}

static void a_registry_that_is_down_is_no_bad_record(void **state)
{
    waits_until_it_is_cured(*state, go_down, come_up);
}

static void fail_busy(fixture *f)
{
    double_fail(f->server, 1000000, 500);
}

static void stop_failing(fixture *f)
{
    double_fail(f->server, 0, 0);
}

static void a_registry_that_is_broken_is_no_bad_record(void **state)
{
    waits_until_it_is_cured(*state, fail_busy, stop_failing);
}

static void cut_all(fixture *f)
{
    double_fail(f->server, 1000000, 0);
}

static void connections_that_are_cut_are_no_bad_record(void **state)
{
    waits_until_it_is_cured(*state, cut_all, stop_failing);
}

static void lock_up(fixture *f)
{
    pthread_mutex_lock(&f->server->lock);
    strcpy(f->server->authorization, "Bearer other");
    pthread_mutex_unlock(&f->server->lock);
}

static void open_up(fixture *f)
{
    pthread_mutex_lock(&f->lock);
    assert_non_null(strstr(f->error, "HTTP 401"));
    pthread_mutex_unlock(&f->lock);
    pthread_mutex_lock(&f->server->lock);
    f->server->authorization[0] = '\0';
    pthread_mutex_unlock(&f->server->lock);
}

static void a_registry_that_refuses_us_is_no_bad_record(void **state)
{
    waits_until_it_is_cured(*state, lock_up, open_up);
}

static void say_garbage(fixture *f)
{
    double_say(f->server, "GET /schemas/ids/17", 200, "<html>maintenance</html>");
}

static void say_schema(fixture *f)
{
    double_say(f->server, "GET /schemas/ids/17", 200, "{\"schema\":\"\\\"int\\\"\"}");
}

static void a_page_in_the_place_of_the_registry_is_no_bad_record(void **state)
{
    waits_until_it_is_cured(*state, say_garbage, say_schema);
}

static void the_end_does_not_wait_for_a_registry_that_hangs(void **state)
{
    fixture *f = *state;
    char *text;
    mr_error err;
    struct timespec begun, ended;
    f->server->delay_ms = 5000;
    open_registry(f, true);
    assert_int_equal(find(f, 17, &text, &err), MR_RETRY);
    while (double_asked(f->server, NULL) == 0)
        usleep(1000);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    mr_registry_stop(f->registry);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    assert_true(ended.tv_sec - begun.tv_sec <= 3);
    assert_int_equal(atomic_load(&f->events[MR_REGISTRY_DOWN]), 0);
}

static void a_slow_schema_does_not_hold_up_what_is_on_disk_for_ever(void **state)
{
    fixture *f = *state;
    char *text;
    mr_error err;
    open_registry(f, false);
    assert_int_equal(find_and_drop(f, 17, &err), MR_OK);
    double_down(f->server);
    open_registry(f, true);
    assert_int_equal(find(f, 18, &text, &err), MR_RETRY); // nobody knows it
    assert_int_equal(find_in_time(f, 17, &text, &err), MR_OK);
    free(text);
    assert_int_equal(find(f, 18, &text, &err), MR_RETRY);
}

// ---- catalogs

static const char click_text[] =
    "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"C\\\",\\\"fields\\\":[{\\\"name\\\":"
    "\\\"user\\\","
    "\\\"type\\\":\\\"string\\\"},{\\\"name\\\":\\\"item\\\",\\\"type\\\":\\\"string\\\"}]}";

static void a_catalog_takes_new_schemas_while_it_is_used(void **state)
{
    static const mr_mapping click = {.kind = MR_EVENT_CLICK};
    fixture *f = *state;
    char body[512];
    mr_catalog *catalog;
    const mr_plan *plan, *same;
    uint32_t handle;
    mr_error err = {0};
    const mr_frame good = {.names = MR_FRAME_NAMES_ID, .id = 1},
                   bad = {.names = MR_FRAME_NAMES_ID, .id = 2},
                   missing = {.names = MR_FRAME_NAMES_ID, .id = 3};
    snprintf(body, sizeof body, "{\"schema\":\"%s\"}", click_text);
    double_say(f->server, "GET /schemas/ids/1", 200, body);
    double_say(f->server, "GET /schemas/ids/2", 200,
               "{\"schema\":\"{\\\"type\\\":\\\"recrd\\\"}\"}");
    open_registry(f, false);
    assert_int_equal(mr_catalog_open(NULL, &catalog, &err), MR_OK);
    assert_int_equal(mr_catalog_map(catalog, &click, &handle, &err), MR_OK);
    const mr_schema_finder finder = mr_registry_finder(f->registry);
    mr_catalog_ask(catalog, &finder);
    assert_int_equal(mr_catalog_plan(catalog, &good, NULL, handle, &plan, &err), MR_OK);
    assert_int_equal(mr_catalog_plan(catalog, &good, NULL, handle, &same, &err), MR_OK);
    assert_ptr_equal(plan, same);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mr_catalog_plan(catalog, &bad, NULL, handle, &plan, &err), MR_REJECT);
        assert_int_equal(err.cause, MR_CAUSE_unsuitable_schema);
        assert_int_equal(mr_catalog_plan(catalog, &missing, NULL, handle, &plan, &err), MR_REJECT);
        assert_int_equal(err.cause, MR_CAUSE_unknown_schema);
    }
    assert_int_equal(double_asked(f->server, NULL), 3);
    mr_catalog_close(catalog);
}

// ---- our own schemas

static void our_schema_has_the_id_that_it_is_looked_up_with(void **state)
{
    fixture *f = *state;
    uint32_t id;
    mr_error err = {0};
    const char *text = mr_builtin_find("list")->text;
    double_say(f->server, "POST /subjects/lists-value", 200,
               "{\"subject\":\"lists-value\",\"id\":41}");
    open_registry(f, false);
    assert_int_equal(mr_registry_number(f->registry, "lists-value", text, false, &id, &err), MR_OK);
    assert_int_equal(id, 41);
    assert_non_null(strstr(f->server->last_body, "\"schemaType\":\"AVRO\""));
    // Known while the registry is down, for this subject and this schema alone.
    double_down(f->server);
    open_registry(f, false);
    id = 0;
    assert_int_equal(mr_registry_number(f->registry, "lists-value", text, false, &id, &err), MR_OK);
    assert_int_equal(id, 41);
    assert_int_equal(atomic_load(&f->events[MR_REGISTRY_KEPT]), 1);
    assert_int_equal(mr_registry_number(f->registry, "other-value", text, false, &id, &err),
                     MR_RETRY);
    assert_int_equal(mr_registry_number(f->registry, "lists-value", "1", false, &id, &err),
                     MR_RETRY);
}

static void our_schema_is_registered_only_where_that_is_wanted(void **state)
{
    fixture *f = *state;
    uint32_t id;
    mr_error err = {0};
    double_say(f->server, "POST /subjects/lists-value", 404,
               "{\"error_code\":40401,\"message\":\"Subject not found\"}");
    double_say(f->server, "POST /subjects/lists-value/versions", 200, "{\"id\":42}");
    open_registry(f, false);
    assert_int_equal(mr_registry_number(f->registry, "lists-value", "\"int\"", false, &id, &err),
                     MR_FATAL);
    assert_non_null(strstr(err.text, "registry.register: true"));
    assert_int_equal(double_asked(f->server, "POST /subjects/lists-value/versions"), 0);
    assert_int_equal(mr_registry_number(f->registry, "lists-value", "\"int\"", true, &id, &err),
                     MR_OK);
    assert_int_equal(id, 42);
    double_say(f->server, "POST /subjects/lists-value/versions", 409,
               "{\"error_code\":409,\"message\":\"incompatible\"}");
    assert_int_equal(mr_registry_number(f->registry, "lists-value", "\"int\"", true, &id, &err),
                     MR_FATAL);
    assert_non_null(strstr(err.text, "incompatible"));
}

// ---- calls that only check makes

static bool go_on(void *context, int64_t ms)
{
    (void)context;
    (void)ms;
    return true;
}

static void subjects_have_versions_and_rules(void **state)
{
    fixture *f = *state;
    mr_rest rest = {.rounds = 1};
    mr_rest_schema schema;
    mr_error err = {0};
    bool compatible;
    char why[64];
    f->options.http.wait = go_on;
    assert_int_equal(mr_http_open(&f->options.http, &rest.http, &err), MR_OK);
    double_say(f->server, "GET /subjects/clicks-value/versions/latest", 200,
               "{\"subject\":\"clicks-value\",\"version\":3,\"id\":17,\"schema\":\"1\"}");
    assert_int_equal(mr_rest_by_version(&rest, "clicks-value", 0, &schema, &err), MR_OK);
    assert_int_equal(schema.version, 3);
    assert_int_equal(schema.id, 17);
    free(schema.text);
    double_say(f->server, "GET /subjects/gone/versions/latest", 404,
               "{\"error_code\":40401,\"message\":\"Subject 'gone' not found.\"}");
    assert_int_equal(mr_rest_by_version(&rest, "gone", 0, &schema, &err), MR_REJECT);
    assert_int_equal(rest.code, MR_REST_NO_SUBJECT);
    assert_int_equal(rest.status, 404);
    double_say(f->server, "POST /compatibility/subjects/s/versions/latest", 200,
               "{\"is_compatible\":false,\"messages\":[\"field b has no default\"]}");
    assert_int_equal(mr_rest_is_compatible(&rest, "s", "1", &compatible, why, sizeof why, &err),
                     MR_OK);
    assert_false(compatible);
    assert_string_equal(why, "field b has no default");
    double_say(f->server, "POST /compatibility/subjects/s/versions/latest", 404,
               "{\"error_code\":40401,\"message\":\"x\"}");
    assert_int_equal(mr_rest_is_compatible(&rest, "s", "1", &compatible, why, sizeof why, &err),
                     MR_OK);
    assert_true(compatible);
    mr_http_close(rest.http);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_has_time_gets_the_schema_at_once),
        TEST(who_has_time_is_told_that_there_is_none),
        TEST(who_has_time_fails_where_the_registry_is_down),
        TEST(each_refusal_says_what_would_be_right),
        TEST(credentials_are_sent_and_wrong_ones_are_called_wrong),
        TEST(other_kinds_of_schemas_are_of_no_use),
        TEST(a_schema_by_guid_is_asked_for_by_guid),
        TEST(what_only_looks_framed_is_refused_whatever_the_registry_has_no_path_for),
        TEST(references_are_fetched_and_put_in_place),
        TEST(references_without_end_are_refused),
        TEST(a_reference_that_is_missing_is_named),
        TEST(after_a_restart_the_registry_is_not_needed),
        TEST(a_folder_that_cannot_be_had_is_told_and_done_without),
        TEST(a_worker_is_told_to_ask_again_and_woken),
        TEST(an_id_that_comes_later_is_asked_for_until_it_is_believed_to_be_missing),
        TEST(a_missing_id_is_told_once_and_counts_for_a_while),
        TEST(a_missing_id_is_asked_for_again_when_its_time_is_over),
        TEST(a_stream_of_nonsense_is_believed_to_be_nonsense),
        TEST(more_ids_than_are_kept_push_out_the_stalest),
        TEST(a_registry_that_is_down_is_no_bad_record),
        TEST(a_registry_that_is_broken_is_no_bad_record),
        TEST(connections_that_are_cut_are_no_bad_record),
        TEST(a_registry_that_refuses_us_is_no_bad_record),
        TEST(a_page_in_the_place_of_the_registry_is_no_bad_record),
        TEST(the_end_does_not_wait_for_a_registry_that_hangs),
        TEST(a_slow_schema_does_not_hold_up_what_is_on_disk_for_ever),
        TEST(a_catalog_takes_new_schemas_while_it_is_used),
        TEST(our_schema_has_the_id_that_it_is_looked_up_with),
        TEST(our_schema_is_registered_only_where_that_is_wanted),
        TEST(subjects_have_versions_and_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
