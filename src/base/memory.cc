#include "base/memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace flashlm {
namespace {

constexpr size_t kUnknown = std::numeric_limits<size_t>::max();

// A file of one number; "max" and anything else are not known.
size_t NumberIn(const char* path) {
  size_t number = 0;
  return std::ifstream(path) >> number ? number : kUnknown;
}

}  // namespace

double PeakRssMb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

size_t AvailableMemory() {
  size_t available = kUnknown;
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("MemAvailable:")) available = std::stoull(line.substr(line.find(':') + 1)) << 10;
  }
  const size_t limit = NumberIn("/sys/fs/cgroup/memory.max"), used = NumberIn("/sys/fs/cgroup/memory.current");
  return limit == kUnknown || used == kUnknown ? available : std::min(available, limit - std::min(limit, used));
}

}  // namespace flashlm
