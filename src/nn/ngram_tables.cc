#include "nn/ngram_tables.h"

#include <cmath>
#include <utility>

#include "base/error.h"

namespace flashlm {

void NgramTablesConfig::VisitFields(FieldVisitor& v) {
  constexpr int kMostRows = 1 << 30;
  v.Text("table_place", place, {"input", "output"},
         "where n-gram tables are added: to the embeddings, before the head");
  v.Int("table_bigrams", bigrams, 0, kMostRows, "rows of a hashed table of embeddings of pairs of tokens; 0: none");
  v.Int("table_trigrams", trigrams, 0, kMostRows, "the same of three tokens");
  v.Int("table_fourgrams", fourgrams, 0, kMostRows, "the same of four tokens");
  v.Int("table_width", width, 0, 8192, "columns of the tables, then mapped to d_model; 0: d_model, added as they are");
  v.Real("table_std", std, 0, 10, "standard deviation of the initial tables; 0: the model starts as without them");
  v.Bool("table_gate", gate, "a learned gate per token on what is added before the head");
}

void NgramTablesConfig::Validate() const {
  if (on() && gate && place == "input") {
    throw UsageError("model.table_gate: the gate reads the hidden state, which the input is not yet",
                     "use it with model.table_place=output");
  }
}

NgramTables::NgramTables(ParamBank& bank, const std::string& name, const NgramTablesConfig& config, int width) {
  const int cols = config.width > 0 ? config.width : width;
  const Init init = Init::Normal(static_cast<float>(config.std));
  for (const auto& [order, rows] : {std::pair{2, config.bigrams}, {3, config.trigrams}, {4, config.fourgrams}}) {
    if (rows == 0) continue;
    const std::string table = fmt::format("{}.{}grams", name, order);
    tables_.push_back({order, &bank.AddTable(table, rows, cols, config.std > 0 ? init : Init::Zero())});
  }
  if (config.width > 0) {
    const Init normal = Init::Normal(1 / std::sqrt(static_cast<float>(cols)));
    map_ = AddLinear(bank, {{name + ".map", width, normal}}, cols);
  }
  if (config.gate) gate_ = bank.Add({name + ".gate", {width}, Role::kVector, Init::Zero()});
}

Tensor NgramTables::AddTo(Tape& tape, const int32_t* tokens, const Tensor& x) const {
  Tensor sum;  // [N,W]
  for (const auto& [order, table] : tables_) {
    const Tensor rows = HashedEmbedding(tape, tokens, *table, {.order = order});
    sum = sum.cols == 0 ? rows : AddDropout(tape, sum, rows, 0);
  }
  if (map_.cols > 0) sum = Linear(tape, ToComputeType(tape, sum), map_);  // [N,C]
  if (gate_.cols == 0) return AddDropout(tape, x, sum, 0);
  return AddTokenGated(tape, x, sum, RowDot(tape, x, gate_));
}

}  // namespace flashlm
