// What an action is refused with.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace flashlm {

// The error that `action` throws, as shown to a person; "" (and a failed test) if it throws none.
template <class Action>
std::string ErrorOf(const Action& action) {
  try {
    action();
  } catch (const Error& e) {
    const std::string line = e.OneLine();
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    return line;
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace flashlm
