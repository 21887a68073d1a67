// SPDX-License-Identifier: Apache-2.0
#include "core/model/exposure.h"

static double theta_of(const mr_exposure *exposure, const mr_signal *signal, uint64_t acts,
                       uint64_t most_acts)
{
    if (signal->answers && signal->examined > 0)
        return (double)signal->examined;
    if (signal->answers && signal->position >= 0)
        return mr_exp(-exposure->examination * mr_log(1.0 + signal->position));
    // An item that nobody has acted on yet is as rare as one with a single act.
    const double n = acts > 0 ? (double)acts : 1.0, most = (double)most_acts;
    return n < most ? __builtin_sqrt(n / most) : 1.0;
}

double mr_exposure_of(const mr_exposure *exposure, const mr_signal *signal, uint64_t acts,
                      uint64_t most_acts)
{
    if (!(exposure->floor > 0))
        return 1.0;
    const double theta = theta_of(exposure, signal, acts, most_acts);
    return theta > exposure->floor ? theta : exposure->floor;
}
