// Updates a parameter bank from its gradients, by the rule of the run (optim/rule.h). Matrices are decayed, embeddings
// and tables that are only looked up if asked; value heads, gains, biases and sparse tables are not; buffers are left
// alone.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "optim/config.h"
#include "tensor/param_state.h"

namespace flashlm {

// Who takes what an update changes part by part, while it goes on. Both may be called by any thread that updates, and
// must not throw.
class UpdateWatch {
 public:
  virtual ~UpdateWatch() = default;

  // Nothing in this part of Optimizer::Share will change any more: once for each that is this member's.
  virtual void Updated(int part) = 0;
  // After every piece.
  virtual void Between() = 0;
};

class Optimizer {
 public:
  // `bank`: allocated for training; must outlive this. dtype: what the matrix products of the updates read (those of
  // Muon), as the training's own. Throws UsageError for a rule that is not known or settings of it
  // that do not go together.
  Optimizer(const OptimConfig& config, ParamBank& bank, DType dtype = DType::kF32);
  // Not copied: its pieces point into its state.
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // L2 norm over all gradients.
  double GradientNorm() const;
  // Applies the gradients, scaled down to the clipping norm, and zeroes them. `factor`: the schedule's.
  // `update`: 1-based count of updates made, for bias corrections. `fraction`: of the budget that is done.
  // `watch`, if any: after Share.
  void Update(double gradient_norm, double factor, int64_t update, double fraction = 1, UpdateWatch* watch = nullptr);
  // --- several processes that share the updates ---
  // The bank's parameters in `rounds` stretches of about equal size, each cut into one part for each of `members`, as
  // evenly as can be by what updating and sending it costs, all rounds together: where parts begin in the bank's arrays
  // [rounds * members + 1]. A matrix that is updated as a whole is not cut.
  std::vector<int64_t> Cuts(int members, int rounds) const;
  // From now on Update changes the parameters of parts member, member + members, ... alone (part i: from cuts[i] to
  // cuts[i + 1]); those of tables, and gradients of the others, it leaves as they are. Once.
  void Share(const std::vector<int64_t>& cuts, int member, int members);
  // What is remembered of a member's parameters, for all members alike; empty before Share.
  const std::vector<std::span<float>>& MemoryOf(int member) const { return shared_[static_cast<size_t>(member)]; }

  // Drops the gradients of a step that must not be applied.
  void Discard();

  // What the rules remember, as they need it: AdamW "m" and "v", Muon "m" of its matrices, NorMuon "line_v" beside it;
  // and of tables as optim/table_rule.h and optim/lookup_rule.h say.
  ParamState& state() { return state_; }
  const ParamState& state() const { return state_; }

 private:
  struct Piece {
    const UpdateRule* rule;
    double peak_lr, weight_decay;
    RulePiece memory;
    int part = -1;  // of Share
  };
  int64_t BeginOf(const Piece& piece) const { return piece.memory.values - bank_.values(); }
  static std::vector<std::span<float>> MemoryOf(const Piece& piece);
  // Parameter i of the bank as pieces; `joins`: it may go on the run of its predecessor.
  void AddPieces(const UpdateRule& rule, size_t i, bool joins);

  OptimConfig config_;
  ParamBank& bank_;
  DType dtype_;
  ParamState state_;
  TableUpdates tables_;
  std::vector<Piece> runs_, matrices_;
  std::vector<std::vector<std::span<float>>> shared_;  // by member
  std::map<int, int> matrices_of_part_;                // of this member's, how many
};

// Floats that the rules of a run with these settings remember of the bank's parameters.
int64_t StateSize(const OptimConfig& config, const ParamBank& bank);

}  // namespace flashlm
