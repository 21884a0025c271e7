// How sparse tables are updated (tensor/sparse_table.h): Adam of the rows that were read in the step, with one second
// moment per row, so that a table of R x C costs R floats beside its values. Without a first moment and with squares
// that are summed it is row-wise Adagrad, under which rows that are seldom read keep a high rate.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fields.h"
#include "kernels/optimizer/optimizer.h"
#include "tensor/param_state.h"

namespace flashlm {

struct TableRule {
  double lr = 0;
  double beta1 = 0, beta2 = 1;

  void VisitFields(FieldVisitor& v) {
    v.Real("table_lr", lr, 0, 10, "peak learning rate of n-gram tables; 0: lr");
    v.Real("table_beta1", beta1, 0, 0.9999, "decay of the tables' first moment; 0: none, which saves their size again");
    v.Real("table_beta2", beta2, 0, 1, "decay of the tables' second moment, one per row; 1: summed (Adagrad)");
  }
  // Floats that are remembered of a table.
  int64_t StateSize(const SparseTable& table) const;
};

// The tables of a bank, and what is remembered of them.
class TableUpdates {
 public:
  // Adds "m", "v" and "at" (the step of a row's last update), as far as the rule needs them, to `state`.
  TableUpdates(const TableRule& rule, const ParamBank& bank, ParamState& state);

  // Sum of the squares of all gradients.
  double SumOfSquares() const;
  // Updates the rows that have a gradient, and clears it.
  void Update(double lr, double gradient_scale, int64_t update);

 private:
  struct Piece {
    SparseTable* table;
    kernels::AdamRowsState state;
  };
  TableRule rule_;
  std::vector<Piece> pieces_;
};

}  // namespace flashlm
