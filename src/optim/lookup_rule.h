// How dense tables that are only looked up (Role::kLookup) are updated where [optim] says so: as sparse tables
// (optim/table_rule.h) without a first moment. Rows whose gradient is zero throughout stay as they are, and a table of
// R x C costs 2 R floats beside its values.
#pragma once

#include <string>
#include <vector>

#include "base/fields.h"
#include "optim/rule.h"

namespace flashlm {

// Decay is made up for at a row's next reading, at the rate of that step, cautious or not.
class LookupRule final : public UpdateRule {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Text(
        "lookup_rule", rule_, {kAdamW, kRows},
        "of tables of values, which are only looked up: adamw as of the embedding, or rows: of those that were read");
    v.Real("lookup_lr", lr_, 0, 10, "rows: peak learning rate of these tables; 0: that of the embedding");
    v.Real("lookup_beta2", beta2_, 0, 1, "rows: decay of the second moment, one per row; 1: summed (Adagrad)");
  }
  bool Takes(Role role) const override { return role == Role::kLookup && rule_ == kRows; }
  std::vector<std::string> States() const override { return {}; }
  std::vector<std::string> LineStates() const override { return {"row_v", "row_at"}; }
  bool ByMatrix() const override { return true; }
  double PeakRate(double of_role) const override { return lr_ > 0 ? lr_ : of_role; }
  void Update(const RulePiece& piece, const RuleStep& step) const override;

 private:
  static constexpr char kAdamW[] = "adamw", kRows[] = "rows";

  std::string rule_ = kAdamW;
  double lr_ = 0, beta2_ = 0.98;
};

}  // namespace flashlm
