# SPDX-License-Identifier: Apache-2.0
# The commit protocol under simulated faults. The sources that mistakes can be planted into are
# compiled once more; the linker takes these and leaves those of the library.
set(planted_sources committer.c links.c ownership.c run.c sink.c task.c)
list(TRANSFORM planted_sources PREPEND ${CMAKE_SOURCE_DIR}/worker/)
file(GLOB sim_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/sim/*.c)
add_executable(millrace-sim ${sim_sources} ${planted_sources})
target_compile_definitions(millrace-sim PRIVATE MR_PLANTED)
target_link_libraries(millrace-sim PRIVATE mr_flags mr_worker)
