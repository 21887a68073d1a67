// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/faults.h"

static const struct {
    const char *name;
    uint32_t rate;
} table[SIM_FAULT_COUNT] = {
#define SIM_FAULT(name, rate) {#name, rate},
#include "tests/sim/faults.def"
#undef SIM_FAULT
};

const char *sim_fault_name(sim_fault fault)
{
    return table[fault].name;
}

void sim_faults_open(sim_faults *faults, uint64_t seed)
{
    *faults = (sim_faults){.chance = {seed ^ 0xfa17u}, .allowed_until = UINT64_MAX};
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        // A third of the histories has none of a kind, so that others are seen alone.
        const uint32_t part = sim_below(&faults->chance, 3);
        faults->rate[i] = part == 0 ? 0 : sim_below(&faults->chance, table[i].rate + 1) * part / 2;
    }
}

bool sim_fails(sim_faults *faults, sim_fault fault)
{
    const bool drawn = sim_happens(&faults->chance, faults->rate[fault]);
    if (faults->calm || ++faults->asked > faults->allowed_until || !drawn)
        return false;
    faults->injected[fault]++;
    return true;
}
