#include "optim/table_rule.h"

#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

bool HasFirstMoment(const TableRule& rule) { return rule.beta1 > 0; }
// Only what decays needs to know for how long.
bool HasTimes(const TableRule& rule) { return rule.beta1 > 0 || rule.beta2 < 1; }

}  // namespace

int64_t TableRule::StateSize(const SparseTable& table) const {
  return (HasFirstMoment(*this) ? table.size() : 0) + (HasTimes(*this) ? 2 : 1) * int64_t{table.rows()};
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
