# SPDX-License-Identifier: Apache-2.0
mr_test(unit test_config mr_worker)
mr_test(unit test_log mr_worker)
mr_test(unit test_marker mr_worker)
mr_test(unit test_generations mr_worker)
mr_test(unit test_sink mr_worker)
mr_test(unit test_blas mr_worker openblas)
mr_test(unit test_command_schema mr_worker)
mr_test(unit test_lanes mr_worker)
