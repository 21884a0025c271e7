// Memory that costs no arithmetic: hashed tables of embeddings of 2-, 3- and 4-grams, whose rows are added to a stream
// of hidden states: at the model's input (as the bigram-hash embedding of modded-nanogpt's record 62), or before its
// output head, there with a gate per token if wanted, which the hidden state opens (the idea of Engram, Cheng et al.
// 2026).
#pragma once

#include <string>
#include <vector>

#include "base/fields.h"
#include "nn/linear.h"

namespace flashlm {

struct NgramTablesConfig {
  std::string place = "input";
  int bigrams = 0, trigrams = 0, fourgrams = 0;  // rows
  int width = 0;                                 // 0: that of the stream
  double std = 0;
  bool gate = false;

  void VisitFields(FieldVisitor& v);
  void Validate() const;
  bool on() const { return bigrams > 0 || trigrams > 0 || fourgrams > 0; }
};

class NgramTables {
 public:
  // Declares NAME.2grams, NAME.3grams, NAME.4grams as far as the configuration has them, NAME.map.weight and NAME.gate.
  // width: C of the stream.
  NgramTables(ParamBank& bank, const std::string& name, const NgramTablesConfig& config, int width);

  // x + gate * map(sum of the tables' rows), gate = sigmoid(w . x): x f32 [N,C] -> f32 [N,C]; tokens [N].
  Tensor AddTo(Tape& tape, const int32_t* tokens, const Tensor& x) const;

 private:
  struct Table {
    int order;
    SparseTable* rows;
  };
  std::vector<Table> tables_;
  Param map_, gate_;
};

}  // namespace flashlm
