# SPDX-License-Identifier: Apache-2.0
mr_test(unit test_plan mr_schemas)
mr_test(unit test_plan_bad mr_schemas)
mr_test(unit test_vectors mr_schemas jansson)
mr_test(unit test_frame mr_schemas)
mr_test(unit test_catalog mr_schemas)
mr_test(unit test_plan_oracle mr_schemas avro)
mr_test(unit test_encode mr_schemas avro)
