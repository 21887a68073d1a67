# SPDX-License-Identifier: Apache-2.0
# mr_fuzz(NAME LIBRARY...): a target of tests/fuzz/NAME.c. With MILLRACE_FUZZ it is a libFuzzer program;
# otherwise it runs over its corpus as a test.
function(mr_fuzz name)
    if(MILLRACE_FUZZ)
        add_executable(${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/${name}.c)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
        add_executable(${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/${name}.c
            ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus_main.c)
        add_test(NAME ${name} COMMAND ${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
        set_tests_properties(${name} PROPERTIES LABELS fuzz)
    endif()
    target_link_libraries(${name} PRIVATE mr_flags ${ARGN})
endfunction()

if(MILLRACE_FUZZ)
    # Coverage of our own code is what guides the fuzzer.
    foreach(library mr_core mr_schemas mr_input mr_registry)
        target_compile_options(${library} PRIVATE -fsanitize=fuzzer-no-link)
    endforeach()
endif()
mr_fuzz(fuzz_plan mr_schemas)
mr_fuzz(fuzz_json mr_schemas jansson)
mr_fuzz(fuzz_schema mr_schemas)
mr_fuzz(fuzz_frame mr_schemas)
mr_fuzz(fuzz_input mr_input)
mr_fuzz(fuzz_foreign mr_input)
mr_fuzz(fuzz_deltas mr_core)
target_sources(fuzz_deltas PRIVATE ${CMAKE_SOURCE_DIR}/tests/sim/counting.c)
mr_fuzz(fuzz_registry mr_registry)
