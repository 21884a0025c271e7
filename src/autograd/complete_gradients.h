// For checks: what the gradient of each part of a bank was when the backward pass called it complete.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "autograd/tape.h"

namespace flashlm {

class CompleteGradients final : public GradientWatch {
 public:
  // One part for each of the bank's parameters, with what lies between it and the next one. The bank is allocated, and
  // what tapes add to its gradients they add to its own.
  explicit CompleteGradients(const ParamBank& bank) : bank_(bank), cuts_(bank.Cuts()), complete_(bank.infos().size()) {}

  std::span<const int64_t> cuts() const override { return cuts_; }
  void Complete(int part) override { complete_[static_cast<size_t>(part)].push_back(Gradient(part)); }
  void Between() override { ++operations_; }

  int operations() const { return operations_; }
  // The first parameter that was not called complete exactly once or whose gradient changed afterwards; empty: none.
  std::string Changed() const {
    for (size_t part = 0; part < complete_.size(); ++part) {
      if (complete_[part].size() != 1 || complete_[part][0] != Gradient(static_cast<int>(part))) {
        return bank_.infos()[part].name;
      }
    }
    return "";
  }

 private:
  std::vector<float> Gradient(int part) const {
    return {bank_.gradients() + cuts_[static_cast<size_t>(part)],
            bank_.gradients() + cuts_[static_cast<size_t>(part) + 1]};
  }

  const ParamBank& bank_;
  std::vector<int64_t> cuts_;
  std::vector<std::vector<std::vector<float>>> complete_;  // by part, every time
  int operations_ = 0;
};

}  // namespace flashlm
