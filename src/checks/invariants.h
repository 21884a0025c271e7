// The invariants that every architecture must keep (docs/architecture.md), as checks of a model configuration. The
// tests run them over the registry, `flashlm selftest` runs them on the machine at hand.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/json.h"

namespace flashlm {

struct CheckResult {
  std::string name;
  bool passed = false;
  std::string detail;  // the figures that were compared
  double seconds = 0;
};

// Runs a check's body, which fills `passed` and `detail`; an exception is a failure with its message.
CheckResult TimedCheck(const std::string& name, const std::function<void(CheckResult&)>& body);

// `config`: a small model ({"architecture": ..., fields}), built anew with random parameters for each check; counted
// n-grams are those of random tokens.
std::vector<CheckResult> CheckModel(const Json& config);

// A small model with what every architecture can carry (models/extras.h): one more configuration to check.
Json TinyWithNGrams();

// One by one; the numbers are those of docs/architecture.md#invariants-and-where-each-is-tested.
CheckResult CheckCausalSplitAndBatch(const Json& config);        // 2, 3, 9: future, pieces, neighbours
CheckResult CheckNextToken(const Json& config);                  // 4: the cycle 0..15 is continued after 0,1,2,3
CheckResult CheckNothingToLearn(const Json& config, int steps);  // 4: on random tokens never below ln V - 0.01
CheckResult CheckGradients(const Json& config);                  // 5: directional derivatives of the whole objective
CheckResult CheckEveryParameterLearns(const Json& config);       // gradients reach every tensor; first loss about ln V
CheckResult CheckCompleteGradients(const Json& config);          // 14: what ranks send during the backward pass
CheckResult CheckSteadyMemory(const Json& config);               // 7: the arenas do not grow after the second step
CheckResult CheckThreads(const Json& config);                    // 9: one and two threads agree
CheckResult CheckLanes(const Json& config);    // 9: lanes on one thread and on two: same bits, those of micro-batches
CheckResult CheckCompany(const Json& config);  // 9: texts and streams, alone and beside others: same bits

}  // namespace flashlm
