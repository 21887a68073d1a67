// SPDX-License-Identifier: Apache-2.0
// faults: what goes wrong in a history, how often, and how often it did.
#ifndef MR_TESTS_SIM_FAULTS_H
#define MR_TESTS_SIM_FAULTS_H

#include "tests/sim/chance.h"

typedef enum sim_fault {
#define SIM_FAULT(name, rate) SIM_##name,
#include "tests/sim/faults.def"
#undef SIM_FAULT
    SIM_FAULT_COUNT,
} sim_fault;

typedef struct sim_faults {
    sim_chance chance; // of its own: a schedule can be shortened without changing the rest
    uint32_t rate[SIM_FAULT_COUNT];
    bool calm;              // nothing goes wrong any more
    uint64_t asked;         // questions so far
    uint64_t allowed_until; // questions after this one are answered no: for shortening
    uint64_t injected[SIM_FAULT_COUNT];
} sim_faults;

// Draws the rates of a history.
void sim_faults_open(sim_faults *faults, uint64_t seed);
// Whether it goes wrong now.
bool sim_fails(sim_faults *faults, sim_fault fault);
const char *sim_fault_name(sim_fault fault);

#endif
