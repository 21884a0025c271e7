// How dense tables that are only looked up (Role::kLookup) are updated where [optim] says so: as sparse tables
// (optim/table_rule.h) without a first moment. Rows whose gradient is zero throughout stay as they are, and a table of
// R x C costs 2 R floats beside its values.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/fields.h"
#include "optim/rule.h"

namespace flashlm {

struct LookupConfig {
  std::string rule = "adamw";
  double lr = 0, beta2 = 0.98;

  bool ByRow() const { return rule == "rows"; }
  void VisitFields(FieldVisitor& v) {
    v.Text(
        "lookup_rule", rule, {"adamw", "rows"},
        "of tables of values, which are only looked up: adamw as of the embedding, or rows: of those that were read");
    v.Real("lookup_lr", lr, 0, 10, "rows: peak learning rate of these tables; 0: that of the embedding");
    v.Real("lookup_beta2", beta2, 0, 1, "rows: decay of the second moment, one per row; 1: summed (Adagrad)");
  }
};

// Decay is made up for at a row's next reading, at the rate of that step, cautious or not.
class LookupRule final : public UpdateRule {
 public:
  explicit LookupRule(LookupConfig config) : config_(std::move(config)) {}

  bool Takes(Role role) const override { return role == Role::kLookup && config_.ByRow(); }
  std::vector<std::string> States() const override { return {}; }
  std::vector<std::string> LineStates() const override { return {"row_v", "row_at"}; }
  bool ByMatrix() const override { return true; }
  double PeakRate(double of_role) const override { return config_.lr > 0 ? config_.lr : of_role; }
  void Update(const RulePiece& piece, const RuleStep& step) const override;

 private:
  LookupConfig config_;
};

}  // namespace flashlm
