# SPDX-License-Identifier: Apache-2.0
mr_test(unit test_row mr_state)
mr_test(unit test_store mr_state)
mr_test(unit test_load mr_state lmdb)
mr_test(unit test_store_faults mr_state lmdb)
mr_test(unit test_verify mr_state)
mr_test(unit test_folder mr_state lmdb)
mr_test(unit test_sorter mr_state)
