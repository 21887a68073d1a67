# SPDX-License-Identifier: Apache-2.0
# Tests on a real broker: each starts its own (kafka/kafka.sh) and needs Java 17.
add_executable(bus_tool integration/bus_tool.c)
target_link_libraries(bus_tool PRIVATE mr_flags mr_worker rdkafka)

# mr_integration(NAME): tests/integration/NAME.sh, with a broker of its own.
function(mr_integration name)
    add_test(NAME ${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/${name}.sh ${CMAKE_BINARY_DIR})
    set_tests_properties(${name} PROPERTIES
        LABELS integration SKIP_RETURN_CODE 77 TIMEOUT 300 RESOURCE_LOCK broker)
endfunction()

mr_integration(exactly_once_over_kill9)
mr_integration(replay_then_run)
mr_integration(poison)
mr_integration(foreign_consumer)
mr_integration(foreign_json)
mr_integration(traces)
mr_integration(wishes)
mr_integration(pseudonyms)
mr_integration(dead_letters)
mr_integration(caged)
mr_integration(security) # with the registry below, and jars of a Java client
set_tests_properties(security PROPERTIES TIMEOUT 600)

# In a browser, without a broker.
add_test(NAME report COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/report.sh ${CMAKE_BINARY_DIR})
set_tests_properties(report PROPERTIES LABELS integration SKIP_RETURN_CODE 77 TIMEOUT 300)

# Without a broker.
add_test(NAME replay_of_made_up_events
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/replay_of_made_up_events.sh ${CMAKE_BINARY_DIR})
set_tests_properties(replay_of_made_up_events PROPERTIES LABELS integration TIMEOUT 120)

# Builds a copy of the source with the model of ARCHITECTURE.md.
add_test(NAME walkthrough COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/walkthrough.sh ${CMAKE_BINARY_DIR})
set_tests_properties(walkthrough PROPERTIES LABELS integration TIMEOUT 900)

# On the mock brokers of librdkafka: needs nothing.
add_test(NAME demo_learns_and_leaves_nothing
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/demo_learns_and_leaves_nothing.py $<TARGET_FILE:millrace>)
set_tests_properties(demo_learns_and_leaves_nothing PROPERTIES LABELS integration TIMEOUT 180)
mr_integration(replay_of_topics)
mr_integration(replay_of_epochs)
mr_integration(state_errors)
mr_integration(two_of_one_name)
mr_integration(backup_under_load)
mr_integration(standby)
mr_integration(torture) # the short form; torture.sh BUILD_DIR --faults 300 is the long one
mr_integration(repartition)
mr_integration(growth)
mr_integration(large_commits)
mr_integration(topics)
mr_integration(burst) # the short form; burst.sh BUILD_DIR --burst 60 is the long one

set_tests_properties(torture PROPERTIES TIMEOUT 900)
set_tests_properties(replay_of_epochs PROPERTIES TIMEOUT 600)

# Errors that real brokers do not give on demand: librdkafka's mock brokers, in the process.
mr_test(integration test_protocol_errors mr_worker rdkafka)
set_tests_properties(test_protocol_errors PROPERTIES TIMEOUT 120)

# With a schema registry, which is 142 MB of Maven Central.
mr_integration(registry)
set_tests_properties(registry PROPERTIES LABELS long TIMEOUT 600)
