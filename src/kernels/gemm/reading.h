// How fast this machine reads memory: what decoding, which reads all weights for every token, cannot exceed.
#pragma once

#include <cstdint>

namespace flashlm::kernels {

// Bytes a second when all threads read the same `bytes` again and again, each its part: from whatever cache holds that
// many. The best of some repetitions, which take about 50 ms.
double MeasureReading(int64_t bytes);

}  // namespace flashlm::kernels
