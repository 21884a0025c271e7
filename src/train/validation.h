// The held-out text of a run, in two parts that no document shares: on one the run chooses its best checkpoint, on the
// other the result is reported, which a choice would otherwise flatter.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashlm {

class Validation {
 public:
  // Of FOLDER/valid.txt. Throws Error if it holds no document.
  explicit Validation(const std::string& data_folder);
  Validation(const Validation&) = delete;  // the documents are views of the text
  Validation& operator=(const Validation&) = delete;

  // Documents 0, 2, 4, ... of the text.
  std::span<const std::string_view> dev() const { return dev_; }
  // Documents 1, 3, 5, ...; a single document is in both parts.
  std::span<const std::string_view> test() const { return test_; }
  // "test", or "all" for a single document.
  std::string test_name() const { return one_ ? "all" : "test"; }

 private:
  std::string text_;
  std::vector<std::string_view> dev_, test_;
  bool one_ = false;
};

// How long evaluations of a run may take: train.eval_share of the training time that its budget stands for, half of
// that for the evaluations on the way, half for the one that is reported; never less than two seconds each, which a
// small model needs and a short try can spare.
class EvaluationTime {
 public:
  // training_seconds: of the whole budget, as far as they are known.
  EvaluationTime(double share, double training_seconds);

  double OnTheWay() const { return half_; }
  double Reported() const { return half_; }
  // Of one evaluation on the way, of `evaluations` in the budget.
  double Each(double evaluations) const;
  // Whether an evaluation at `fraction` of the budget, expected to take `cost` seconds, leaves the later ones their
  // part after `spent` seconds.
  bool Allows(double fraction, double evaluations, double spent, double cost) const;

 private:
  double half_;
};

}  // namespace flashlm
