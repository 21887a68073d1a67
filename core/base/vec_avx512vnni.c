// SPDX-License-Identifier: Apache-2.0
#include "core/base/vec_kernels.h"

extern const mr_vec mr_vec_avx512vnni;
MR_VEC_TABLE(mr_vec_avx512vnni, "avx512vnni");
