// What libFuzzer calls. Usage: fuzz --target=NAME [libFuzzer's flags] [CORPUS...]
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/fuzz_target.h"

namespace {

const flashlm::FuzzTarget* chosen = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr char kOption[] = "--target=";
  for (int i = 1; i < *argc; ++i) {
    const char* argument = (*argv)[i];
    if (std::strncmp(argument, kOption, sizeof kOption - 1) != 0) continue;
    for (const flashlm::FuzzTarget& target : flashlm::FuzzTargets()) {
      if (std::strcmp(target.name, argument + sizeof kOption - 1) == 0) chosen = &target;
    }
  }
  if (chosen != nullptr) return 0;
  std::fprintf(stderr, "usage: fuzz --target=NAME [FLAGS] [CORPUS...], NAME one of");
  for (const flashlm::FuzzTarget& target : flashlm::FuzzTargets()) std::fprintf(stderr, " %s", target.name);
  std::fprintf(stderr, "\n");
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  flashlm::RunFuzzTarget(*chosen, {reinterpret_cast<const char*>(data), size});
  return 0;
}
