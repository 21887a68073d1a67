// SPDX-License-Identifier: Apache-2.0
// What is proposed for records that nobody has mapped, and why.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <string.h>

#include "worker/infer.h"

static mr_infer *infer_of(const char *const *records, const char *schema)
{
    mr_infer *infer = mr_infer_open();
    mr_schema *parsed;
    mr_error err;
    assert_non_null(infer);
    for (; records != NULL && *records != NULL; records++) {
        json_t *record = json_loads(*records, 0, NULL);
        assert_non_null(record);
        mr_infer_record(infer, record);
        json_decref(record);
    }
    if (schema != NULL) {
        assert_int_equal(mr_schema_open(schema, strlen(schema), &parsed, &err), MR_OK);
        mr_infer_schema(infer, parsed);
        mr_schema_close(parsed);
    }
    return infer;
}

// The page; the caller frees it.
static char *page_of(mr_infer *infer, uint32_t missing)
{
    const mr_inferred about = {.name = "clicks", .topic = "", .format = "json", .schema = ""};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(mr_infer_print(infer, &about, out), missing);
    fclose(out);
    return text;
}

static void has_row(const mr_infer *infer, const char *key, const char *want)
{
    const char *have, *source;
    for (uint32_t i = 0; mr_infer_row(infer, i, &have, &source); i++) {
        if (strcmp(have, key) != 0)
            continue;
        assert_string_equal(source, want);
        return;
    }
    fail_msg("there is no %s", key);
}

static void names_and_values_are_understood(void **state)
{
    static const char *const records[] = {
        "{\"type\":\"Product Viewed\",\"user\":{\"id\":\"u1\"},\"sku\":1,\"at\":1767225600}",
        "{\"type\":\"Order Completed\",\"user\":{\"id\":\"u1\"},\"sku\":2,\"at\":1767225600,"
        "\"price\":1.5}",
        "{\"type\":\"Signed Up\",\"user\":{\"id\":\"u1\"},\"at\":1767225600}",
        NULL,
    };
    mr_infer *infer = infer_of(records, NULL);
    char *page = page_of(infer, 0);
    (void)state;
    has_row(infer, "user", "user.id");
    has_row(infer, "item", "sku");
    has_row(infer, "time", "at s");
    has_row(infer, "price", "price");
    has_row(infer, "kind", "type 'Product Viewed'=click 'Order Completed'=purchase");
    assert_true(mr_infer_is_mapped(infer));
    assert_non_null(strstr(page, "# left out: Signed Up"));
    assert_non_null(strstr(page, "# called like a user's id; text, such as u1"));
    free(page);
    mr_infer_close(infer);
}

static void an_array_of_items_is_lines_of_orders_and_events_elsewhere(void **state)
{
    static const char *const events[] = {
        "{\"visitor\":\"v\",\"ts\":1767225600000000,\"items\":[{\"product_id\":1}]}", NULL};
    static const char *const orders[] = {
        "{\"event\":\"buy\",\"userId\":\"v\",\"ts\":1,\"products\":[{\"product_id\":1}]}",
        "{\"event\":\"view\",\"userId\":\"v\",\"ts\":1,\"product_id\":1}", NULL};
    mr_infer *infer = infer_of(events, NULL);
    (void)state;
    free(page_of(infer, 0));
    has_row(infer, "each", "items");
    has_row(infer, "item", "items.product_id");
    has_row(infer, "time", "ts us");
    mr_infer_close(infer);
    infer = infer_of(orders, NULL);
    free(page_of(infer, 0));
    has_row(infer, "lines", "products");
    has_row(infer, "lines.item", "product_id");
    has_row(infer, "item", "product_id");
    mr_infer_close(infer);
}

static void what_is_missing_is_said_with_the_fields_that_there_are(void **state)
{
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"thing\",\"type\":\"string\"},"
        "{\"name\":\"customerId\",\"type\":[\"null\",\"long\"]},{\"name\":\"action\",\"type\":{"
        "\"type\":"
        "\"enum\",\"name\":\"A\",\"symbols\":[\"VIEW\",\"ADD_TO_CART\",\"PING\"]}}]}";
    mr_infer *infer = infer_of(NULL, schema);
    char *page = page_of(infer, 2);
    (void)state;
    has_row(infer, "user", "customerId");
    has_row(infer, "kind", "action VIEW=click ADD_TO_CART=cart");
    assert_non_null(strstr(page, "# MISSING item"));
    assert_non_null(strstr(page, "#   thing\n"));
    free(page);
    mr_infer_close(infer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_values_are_understood),
        cmocka_unit_test(an_array_of_items_is_lines_of_orders_and_events_elsewhere),
        cmocka_unit_test(what_is_missing_is_said_with_the_fields_that_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
