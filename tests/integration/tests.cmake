# SPDX-License-Identifier: Apache-2.0
# Tests on a real broker: each starts its own (kafka/kafka.sh) and needs Java 17.
add_executable(bus_tool integration/bus_tool.c)
target_link_libraries(bus_tool PRIVATE mr_flags mr_core mr_schemas rdkafka)

add_test(NAME exactly_once_over_kill9
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/exactly_once_over_kill9.sh ${CMAKE_BINARY_DIR})
set_tests_properties(exactly_once_over_kill9 PROPERTIES
    LABELS integration SKIP_RETURN_CODE 77 TIMEOUT 300 RESOURCE_LOCK broker)
