// What the tests with injected failures share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <new>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "tests/faults/faults.h"
#include "tests/io/io_testing.h"

namespace flashlm {

namespace fs = std::filesystem;

// Calls `action` with its 1st, 2nd, ... call failing until there are no more; beyond 200 some are left out. `after`
// looks at what is left behind, and whether the action went through.
inline int64_t ForEachFault(Fault fault, const std::function<void()>& action,
                            const std::function<void(bool done)>& after) {
  int64_t failures = 0;
  for (int64_t n = 1;; n += n < 200 ? 1 : n / 16) {
    bool reached = true, done = false;
    try {
      reached = RunWithFault(fault, n, action);
      done = true;
    } catch (const Error& e) {
      ++failures;
      EXPECT_EQ(e.OneLine().find('\n'), std::string::npos);
    } catch (const std::bad_alloc&) {
      ++failures;
      EXPECT_EQ(fault, Fault::kMemory);
    } catch (const fs::filesystem_error& e) {
      ++failures;
      ADD_FAILURE() << "at call " << n << ": not an Error: " << e.what();
    }
    SCOPED_TRACE(n);
    after(done);
    if (!reached || testing::Test::HasFailure()) return failures;
  }
}

// Whether a call of this kind is no failure to whoever calls it again.
inline bool Harmless(Fault fault) { return fault == Fault::kShortWrite || fault == Fault::kInterrupted; }

class Faults : public testing::TestWithParam<Fault> {
 protected:
  Faults() { SetQuiet(true); }
  Scratch scratch_;
};

inline constexpr Fault kAllFaults[] = {Fault::kMemory, Fault::kIo, Fault::kFullDisk, Fault::kShortWrite,
                                       Fault::kInterrupted};

inline std::string NameOfFault(const testing::TestParamInfo<Fault>& fault) {
  constexpr const char* kNames[] = {"Memory", "Io", "FullDisk", "ShortWrite", "Interrupted"};
  return kNames[static_cast<size_t>(fault.param)];
}

}  // namespace flashlm
