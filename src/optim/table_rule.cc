#include "optim/table_rule.h"

#include <algorithm>
#include <cmath>

#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

bool HasFirstMoment(const TableRule& rule) { return rule.beta1 > 0; }
// Only what decays needs to know for how long.
bool HasTimes(const TableRule& rule) { return rule.beta1 > 0 || rule.beta2 < 1; }

// Without a branch in the loop, which vectorises so. NaN is not zero.
bool IsZero(const float* x, int n) {
  int different = 0;
  for (int i = 0; i < n; ++i) different |= x[i] != 0 ? 1 : 0;
  return different == 0;
}

}  // namespace

int64_t TableRule::StateSize(const SparseTable& table) const {
  return (HasFirstMoment(*this) ? table.size() : 0) + (HasTimes(*this) ? 2 : 1) * int64_t{table.rows()};
}

void LookupRule::Update(const RulePiece& piece, const RuleStep& step) const {
  const bool first_moment = rule_.beta1 > 0;
  const kernels::AdamRowsState state{first_moment ? piece.state[0] : nullptr, piece.state[first_moment ? 1 : 0],
                                     piece.state[first_moment ? 2 : 1]};
  const kernels::AdamRowsStep adam{.lr = step.lr,
                                   .beta1 = rule_.beta1,
                                   .beta2 = rule_.beta2,
                                   .step = step.update,
                                   .gradient_scale = step.gradient_scale};
  for (int32_t row = 0; row < piece.rows; ++row) {
    float* gradient = piece.gradients + int64_t{row} * piece.cols;
    if (IsZero(gradient, piece.cols)) continue;
    if (step.weight_decay > 0) {
      const double passed = static_cast<double>(step.update) - static_cast<double>(state.at[row]);
      const auto keep = static_cast<float>(std::pow(1 - step.lr * step.weight_decay, passed));
      float* values = piece.values + int64_t{row} * piece.cols;
      std::transform(values, values + piece.cols, values, [keep](float value) { return keep * value; });
    }
    kernels::AdamRows(adam, &row, 1, piece.cols, gradient, piece.values, state);
    std::fill_n(gradient, piece.cols, 0.0f);
  }
}

TableUpdates::TableUpdates(const TableRule& rule, const ParamBank& bank, ParamState& state) : rule_(rule) {
  for (const auto& table : bank.tables()) {
    Piece piece{table.get(), {}};
    if (HasFirstMoment(rule)) piece.state.m = state.AddForTable("m", *table, table->cols());
    piece.state.v = state.AddForTable("v", *table, 0);
    if (HasTimes(rule)) piece.state.at = state.AddForTable("at", *table, 0);
    pieces_.push_back(piece);
  }
}

double TableUpdates::SumOfSquares() const {
  double sum = 0;
  for (const Piece& piece : pieces_) {
    sum += kernels::SumOfSquares(piece.table->gradients(), piece.table->gradient_size());
  }
  return sum;
}

void TableUpdates::Update(double lr, double gradient_scale, int64_t update) {
  const kernels::AdamRowsStep step{
      .lr = lr, .beta1 = rule_.beta1, .beta2 = rule_.beta2, .step = update, .gradient_scale = gradient_scale};
  for (const Piece& piece : pieces_) {
    SparseTable& table = *piece.table;
    kernels::AdamRows(step, table.touched().data(), std::ssize(table.touched()), table.cols(), table.gradients(),
                      table.values(), piece.state);
    table.ClearGradients();
  }
}

}  // namespace flashlm
