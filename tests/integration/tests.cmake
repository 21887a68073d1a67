# SPDX-License-Identifier: Apache-2.0
# Tests on a real broker: each starts its own (kafka/kafka.sh) and needs Java 17.
add_executable(bus_tool integration/bus_tool.c)
target_link_libraries(bus_tool PRIVATE mr_flags mr_core mr_schemas rdkafka)
