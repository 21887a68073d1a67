# SPDX-License-Identifier: Apache-2.0
mr_test(unit test_input mr_input zlib zstd)
mr_test(unit test_foreign mr_input)
