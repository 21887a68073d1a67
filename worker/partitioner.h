// SPDX-License-Identifier: Apache-2.0
// partitioner: how producers choose a key's partition.
//
// A partitioner is one of MR_PARTITIONER_... (worker/config.h), in the order of the choices of the
// key `partitioner`. All agree with librdkafka's of that name, which agree with those of the
// clients that they are called after.
#ifndef MR_WORKER_PARTITIONER_H
#define MR_WORKER_PARTITIONER_H

#include "worker/config.h"

// The partition that producers with that partitioner choose for a key of `count` partitions; count
// is not 0.
uint32_t mr_partition_by(int partitioner, mr_bytes key, uint32_t count);

const char *mr_partitioner_name(int partitioner);

// The partition in which the inputs that are read directly have a user's events: his id, as they
// write it in their keys, under their partitioner.
uint32_t mr_partition_of_user(const mr_config *config, mr_bytes user, uint32_t count);

// A user's id as the inputs that are read directly write it in their keys: the id itself, or, where
// the lead's keys are numbers, 8 bytes in `room`. An id that is no number there is the id itself.
mr_bytes mr_partition_key(const mr_config *config, mr_bytes user, uint8_t room[static 8]);

#endif
