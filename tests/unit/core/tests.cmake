# SPDX-License-Identifier: Apache-2.0
mr_test(unit test_topk mr_core)
mr_test(unit test_sim_world mr_core)
mr_test(unit test_engine mr_core)
