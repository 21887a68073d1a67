// SPDX-License-Identifier: Apache-2.0
// OpenBLAS's guess is faked, so that it is wrong on every machine: kernels are Prescott's unless
// the variable names others. Called with --core the program starts as the worker does and prints
// the kernels that it ends up with.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>
#include <cmocka.h>

#include "worker/blas.h"

static const char *program;

char *openblas_get_corename(void) // in the place of the library's
{
    static char prescott[] = "Prescott";
    char *named = getenv("OPENBLAS_CORETYPE");
    return named != NULL ? named : prescott;
}

static void the_wanted_kernels_follow_the_instructions(void **state)
{
    (void)state;
    assert_null(mr_blas_wanted(false, false));
    assert_null(mr_blas_wanted(false, true)); // no such CPU; then no advice
    assert_string_equal(mr_blas_wanted(true, false), "Haswell");
    assert_string_equal(mr_blas_wanted(true, true), "SkylakeX");
}

static void only_kernels_of_an_older_generation_are_replaced(void **state)
{
    (void)state;
    assert_true(mr_blas_is_older("Prescott", "Haswell"));
    assert_true(mr_blas_is_older("Sandybridge", "Haswell"));
    assert_true(mr_blas_is_older("Haswell", "SkylakeX"));
    assert_false(mr_blas_is_older("Zen", "Haswell"));
    assert_false(mr_blas_is_older("Cooperlake", "SkylakeX"));
    assert_false(mr_blas_is_older("sapphirerapids", "SkylakeX"));
    assert_false(mr_blas_is_older("SkylakeX", "Haswell"));
    assert_false(mr_blas_is_older("Prescott", NULL));
}

// Runs this program with --core under the given settings.
static void run(const char *settings, char core[64], int *slow, int *again)
{
    char command[512];
    snprintf(command, sizeof command,
             "env -u OPENBLAS_CORETYPE -u MILLRACE_BLAS_REEXEC %s '%.300s' --core 'an argument'",
             settings, program);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    assert_int_equal(fscanf(out, "%63s %d %d", core, slow, again), 3);
    assert_int_equal(pclose(out), 0);
}

static const char *wanted(void)
{
    return mr_blas_start(NULL).wanted;
}

static void a_process_with_old_kernels_begins_again_with_better_ones(void **state)
{
    (void)state;
    char core[64];
    int slow, again;
    run("", core, &slow, &again);
    assert_string_equal(core, wanted() != NULL ? wanted() : "Prescott");
    assert_int_equal(again, wanted() != NULL);
    assert_int_equal(slow, 0);
}

static void it_does_so_once_only(void **state)
{
    (void)state;
    char core[64];
    int slow, again;
    run("MILLRACE_BLAS_REEXEC=1", core, &slow, &again); // the guard is there from the start
    assert_string_equal(core, "Prescott");
    assert_int_equal(slow, wanted() != NULL);
}

static void the_operators_choice_is_kept_and_found_slow(void **state)
{
    (void)state;
    char core[64];
    int slow, again;
    run("OPENBLAS_CORETYPE=Nehalem", core, &slow, &again);
    assert_string_equal(core, "Nehalem");
    assert_int_equal(again, 0);
    assert_int_equal(slow, wanted() != NULL);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "--core") == 0 && strcmp(argv[2], "an argument") == 0) {
        const mr_blas blas = mr_blas_start(argv);
        printf("%s %d %d\n", blas.core, blas.slow, getenv("MILLRACE_BLAS_REEXEC") != NULL);
        return 0;
    }
    // mr_blas_start(NULL) must not begin this process again.
    setenv("MILLRACE_BLAS_REEXEC", "1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wanted_kernels_follow_the_instructions),
        cmocka_unit_test(only_kernels_of_an_older_generation_are_replaced),
        cmocka_unit_test(a_process_with_old_kernels_begins_again_with_better_ones),
        cmocka_unit_test(it_does_so_once_only),
        cmocka_unit_test(the_operators_choice_is_kept_and_found_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
