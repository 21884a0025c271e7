// What this process takes of the machine.
#pragma once

namespace flashlm {

// Largest resident memory of this process so far, in MB.
double PeakRssMb();

}  // namespace flashlm
