#include "base/memory.h"

#include <sys/resource.h>

namespace flashlm {

double PeakRssMb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

}  // namespace flashlm
