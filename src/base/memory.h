// What this process takes of the machine's memory, and what is left.
#pragma once

#include <cstddef>

namespace flashlm {

// Largest resident memory of this process so far, in MB.
double PeakRssMb();

// Bytes that can be had before the system must end a process: what the kernel calls available, or what a container's
// limit leaves if that is less. The largest number where neither is known.
size_t AvailableMemory();

}  // namespace flashlm
