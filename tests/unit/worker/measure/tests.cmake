# SPDX-License-Identifier: Apache-2.0
mr_test(unit test_measure mr_worker jansson)
mr_test(unit test_relevance mr_worker)
mr_test(unit test_exposure mr_worker)
mr_test(unit test_diversity mr_worker)
mr_test(unit test_fairness mr_worker)
mr_test(unit test_frontier mr_worker)
mr_test(unit test_similarity mr_worker)
mr_test(unit test_resample mr_worker)
