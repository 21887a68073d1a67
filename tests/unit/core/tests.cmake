# SPDX-License-Identifier: Apache-2.0
mr_test(unit test_topk mr_core)
