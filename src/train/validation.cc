#include "train/validation.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "data/documents.h"

namespace flashlm {

Validation::Validation(const std::string& data_folder) : text_(ReadFile(data_folder + "/valid.txt")) {
  size_t count = 0;
  ForEachDocument(text_, [&](std::string_view document) { (count++ % 2 == 0 ? dev_ : test_).push_back(document); });
  if (count == 0) {
    throw Error(fmt::format("'{}/valid.txt' holds no text to evaluate", data_folder),
                "prepare the data again, with --valid if the text is short");
  }
  one_ = count == 1;
  if (one_) test_ = dev_;
}

EvaluationTime::EvaluationTime(double share, double training_seconds) {
  constexpr double kLeastSeconds = 2;
  half_ = std::max(0.5 * share * training_seconds, kLeastSeconds);
}

double EvaluationTime::Each(double evaluations) const { return half_ / std::max(1.0, evaluations); }

bool EvaluationTime::Allows(double fraction, double evaluations, double spent, double cost) const {
  return spent + cost <= half_ * std::min(1.0, fraction + 1 / std::max(1.0, evaluations));
}

}  // namespace flashlm
