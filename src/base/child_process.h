// Work in a process of its own: what it allocates, and whatever ends it, stays its own.
#pragma once

#include <functional>
#include <string>

namespace flashlm {

struct ChildResult {
  std::string text;     // what the body returned; of no use if `problem` is set
  std::string problem;  // how the process ended, if not by returning: "killed by signal 9"
};

// Forks, runs `body` in the copy and waits for it. An interrupt of the caller (base/progress.h) is passed on once, and
// the caller goes on waiting; a caller that dies takes the copy along. The caller must not have started threads: they
// do not exist in the copy, so the first parallel loop has to come after the fork.
ChildResult RunInChild(const std::function<std::string()>& body);

}  // namespace flashlm
