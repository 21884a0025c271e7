#include "base/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <stdexcept>

#include "base/progress.h"

namespace flashlm {
namespace {

TEST(ChildProcess, ReturnsTextOfAnyLengthAndSharesNothing) {
  static int shared = 1;
  const ChildResult result = RunInChild([] {
    shared = 2;
    return std::string(300'000, 'x');  // more than a pipe holds
  });
  EXPECT_EQ(result.text, std::string(300'000, 'x'));
  EXPECT_EQ(result.problem, "");
  EXPECT_EQ(shared, 1);
}

TEST(ChildProcess, SaysHowItEnded) {
  const auto problem = [](void (*end)()) {
    return RunInChild([end] {
             end();
             return std::string();
           })
        .problem;
  };
  SetQuiet(true);
  EXPECT_EQ(problem([] { ::_exit(3); }), "ended with exit code 3");
  EXPECT_EQ(problem([] { throw std::runtime_error("x"); }), "ended with exit code 1");
  EXPECT_EQ(problem([] { ::raise(SIGKILL); }), "killed by signal 9 (out of memory?)");
  EXPECT_EQ(problem([] { ::raise(SIGTERM); }), "killed by signal 15");
  SetQuiet(false);
}

}  // namespace
}  // namespace flashlm
