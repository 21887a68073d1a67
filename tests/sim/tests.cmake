# SPDX-License-Identifier: Apache-2.0
# The commit protocol under simulated faults. The sources that mistakes can be planted into are
# compiled once more; the linker takes these and leaves those of the library.
set(planted_sources committer.c links.c ownership.c run.c sink.c task.c)
list(TRANSFORM planted_sources PREPEND ${CMAKE_SOURCE_DIR}/worker/)
file(GLOB sim_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/sim/*.c)
add_executable(millrace-sim ${sim_sources} ${planted_sources})
target_compile_definitions(millrace-sim PRIVATE MR_PLANTED)
target_link_libraries(millrace-sim PRIVATE mr_flags mr_worker)

# MILLRACE_SEEDS in the environment: how many, 20,000 is the long form; MILLRACE_MINUTES: how long at most.
add_test(NAME histories COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/sim/run $<TARGET_FILE:millrace-sim> seeds)
add_test(NAME planted_mistakes_are_found
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/sim/run $<TARGET_FILE:millrace-sim> bugs)
set_tests_properties(histories planted_mistakes_are_found PROPERTIES LABELS long TIMEOUT 3600)
