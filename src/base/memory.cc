#include "base/memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

namespace flashlm {
namespace {

constexpr size_t kUnknown = std::numeric_limits<size_t>::max();

// A file of one number; "max" and anything else are not known.
size_t NumberIn(const char* path) {
  size_t number = 0;
  return std::ifstream(path) >> number ? number : kUnknown;
}

// The number behind `name` in a file of such lines.
size_t NumberIn(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) return std::stoull(line.substr(name.size()));
  }
  return kUnknown;
}

// What a container's limit leaves: caches of files count as used, but go when memory is wanted.
size_t LeftByLimit() {
  const size_t limit = NumberIn("/sys/fs/cgroup/memory.max"), used = NumberIn("/sys/fs/cgroup/memory.current");
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  size_t kept = used;
  for (const char* cache : {"inactive_file ", "active_file "}) {
    const size_t bytes = NumberIn("/sys/fs/cgroup/memory.stat", cache);
    if (bytes != kUnknown) kept -= std::min(kept, bytes);
  }
  return limit - std::min(limit, kept);
}

}  // namespace

double PeakRssMb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

size_t AvailableMemory() {
  const size_t kilobytes = NumberIn("/proc/meminfo", "MemAvailable:");
  return std::min(kilobytes == kUnknown ? kUnknown : kilobytes << 10, LeftByLimit());
}

}  // namespace flashlm
