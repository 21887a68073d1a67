# SPDX-License-Identifier: Apache-2.0
mr_test(unit test_http mr_registry microhttpd)
mr_test(unit test_answers mr_registry)
mr_test(unit test_schema_cache mr_registry)
mr_test(unit test_registry mr_registry mr_worker microhttpd)
