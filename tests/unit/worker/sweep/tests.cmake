# SPDX-License-Identifier: Apache-2.0
mr_test(unit test_space mr_worker)
mr_test(unit test_pairs mr_worker)
mr_test(unit test_perturb mr_worker)
mr_test(unit test_sensitivity mr_worker m)
mr_test(unit test_sweep mr_worker jansson)
