// SPDX-License-Identifier: Apache-2.0
// checking: what the files of `millrace check` share: one line for each thing that was looked at.
#ifndef MR_WORKER_CHECKING_H
#define MR_WORKER_CHECKING_H

#include "worker/kafka/admin.h"

typedef struct mr_checking {
    const mr_config *config;
    mr_kafka_admin *admin;
    bool create; // makes the topics of ours that are missing
    bool registry_answers; // there is a schema registry, and it does
    uint32_t faults;
} mr_checking;

// "ok      what: detail", and the same that counts as a fault. detail may be empty.
void mr_check_good(const char *what, const char *detail);
void mr_check_fault(mr_checking *checking, const char *what, const char *detail);

// Looks at the inputs: partitions, and, by a sample of their records, how those were split. *tasks:
// how many partitions our topics want; 0: unknown.
void mr_check_inputs(mr_checking *checking, uint32_t *tasks);

// Asks the schema registry, if there is one, about the inputs' subjects and our own.
void mr_check_registry(mr_checking *checking);

#endif
