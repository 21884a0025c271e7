// What an optimiser remembers of the parameters of a bank: named arrays with one float per value, as AdamW's "m" and
// "v", or with one per row or column, each over those parameters alone that need it; and arrays of one or more floats
// per row of a sparse table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/param_bank.h"
#include "tensor/zeroed.h"

namespace flashlm {

class ParamState {
 public:
  // `bank`: with all its parameters declared; must outlive this.
  explicit ParamState(const ParamBank& bank) : bank_(bank) {}

  // A zeroed array for the parameters i of bank.infos() with holds[i]. Neighbours that both have it lie in it at the
  // distance that they have in the bank, so that a sweep over several is one.
  void Add(const std::string& name, const std::vector<bool>& holds);

  // A zeroed array with lines[i] floats for parameter i of bank.infos(); 0: none.
  void AddLines(const std::string& name, const std::vector<int>& lines);

  // A zeroed array [rows, cols] of a table of the bank, or [rows] if cols is 0.
  float* AddForTable(const std::string& name, const SparseTable& table, int cols);

  // Of parameter i of bank.infos(), [its size or its lines]; null if it has no such state.
  float* Find(const std::string& name, size_t i) const;

  struct Array {
    std::string name;
    std::vector<int64_t> offsets;  // of each parameter in `data`; -1: none
    std::vector<int> lines;        // floats of each parameter; empty: one per value
    int64_t size = 0;
    ZeroedFloats data;

    float* Of(size_t i) const { return offsets[i] < 0 ? nullptr : data.get() + offsets[i]; }
  };
  const std::vector<Array>& arrays() const { return arrays_; }

  struct TableArray {
    std::string name;  // with the table's: "v.ngrams.table"
    std::vector<int> shape;
    ZeroedFloats data;
    int64_t size() const { return int64_t{shape[0]} * (shape.size() > 1 ? shape[1] : 1); }
  };
  const std::vector<TableArray>& table_arrays() const { return table_arrays_; }
  // Floats of all arrays.
  int64_t size() const;

 private:
  const ParamBank& bank_;
  std::vector<Array> arrays_;
  std::vector<TableArray> table_arrays_;
};

}  // namespace flashlm
