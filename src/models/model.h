// A language-model architecture: its parameters and one Forward, which is trained, evaluated and decoded.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "base/json.h"
#include "models/ngram_gate.h"
#include "nn/ngram_tables.h"
#include "nn/rcsm.h"

namespace flashlm {

// What Forward returns; losses and logits are made from it (objective/objective.h, infer/session.h).
struct Prediction {
  Tensor hidden;       // compute type [N,C], after the last norm
  Param head;          // [V,C]: logits = softcap(head . hidden)
  double softcap = 0;  // 0: none
  Param second_head;   // [V,C] for the token after next, from the same hidden state; in training only. May be none
  // Look-ahead values, one tensor f32 [N,1] per layer that has a value head; in the tape's memory. May be null.
  const Tensor* values = nullptr;
  int value_count = 0;
  NGramOpinion ngram;
  Reasoned reasoned;
  // f32 [1,1], in training: what the model itself adds to the objective, as a balancing loss, weighted. May be empty.
  Tensor auxiliary;
};

// Any number of threads may make passes side by side, each on a tape of its own, while the parameters stay as they are;
// in training only where PassesSideBySide() says so.
class Model {
 public:
  virtual ~Model() = default;

  // tokens: [batch, length] of the tape. Token t of a row predicts token t + 1.
  virtual Prediction Forward(Tape& tape, const int32_t* tokens) = 0;

  // Forward, and what every architecture can carry beside it (models/extras.h): what is trained, evaluated and decoded.
  // positions: of the targets in the training stream, [N] (data/batches.h), where the tokens come from there; may be
  // null.
  Prediction Predict(Tape& tape, const int32_t* tokens, const int64_t* positions = nullptr);

  // The counted model beside the network; null if the configuration has none (ngram_order = 0).
  NGramGate* ngram() { return ngram_.get(); }
  const NGramGate* ngram() const { return ngram_.get(); }
  // Gives a model with ngram_order > 0 what was counted (until then: nothing), and config() its checksum. `left_out`:
  // the same of the training stream, for a model that is trained on it. Throws Error if it is of another order or
  // vocabulary, or not what config() asks for.
  void SetNGrams(std::shared_ptr<const NGramModel> model, std::shared_ptr<const LeftOut> left_out = nullptr);

  // Around an optimiser step, for models that change something by what they have seen (buffers of the bank): BeginStep
  // before its first Forward, EndStep after the update, or after the step was dropped (`applied` false).
  virtual void BeginStep() {}
  virtual void EndStep(bool applied) { static_cast<void>(applied); }
  // Where several processes share the passes of a step: what those of this process have left for EndStep, and, before
  // it, taking in what those of another have.
  virtual std::vector<float> PassRecords() const { return {}; }
  virtual void AddPassRecords(std::span<const float> records) { static_cast<void>(records); }
  // Whether passes of one step may run side by side, which Forward must be fit for: not those that collect gradients of
  // hashed tables, in one place.
  bool PassesSideBySide() const { return bank_.tables().empty(); }

  // How often every token passes through the model's reasoning engine from now on, in training and inference; 0: each
  // token as often as the model finds right. Throws UsageError for a depth, or a model, that has none.
  virtual void SetDepth(int depth);
  // As it was set; -1: there is no engine.
  virtual int Depth() const { return -1; }
  // Of the choices of the engine's operations in the last training step, the part that fell on each; empty without one.
  virtual std::span<const float> OperationShares() const { return {}; }

  ParamBank& bank() { return bank_; }
  const ParamBank& bank() const { return bank_; }
  WeightPacks& packs() { return packs_; }

  // As registered, and as it is written to config.json: {"architecture": ..., fields...}.
  const std::string& architecture() const { return architecture_; }
  const Json& config() const { return config_; }
  int vocab() const { return config_.at("vocab").get<int>(); }

  // Multiply-adds count two; forward and backward (6 per weight that a token meets in a matrix product).
  virtual double TrainingFlopsPerToken() const;
  // Those weights: what laws of size count, and what decoding reads. What else is multiplied counts as so many more.
  double WeightsInProducts() const { return TrainingFlopsPerToken() / 6; }

 protected:
  // For an architecture whose entry says kInputTables (models/registry.h): its residual stream as it starts, x f32
  // [N,C], with what n-gram tables add to it; x itself without them.
  Tensor WithInputTables(Tape& tape, const int32_t* tokens, const Tensor& x) const {
    return input_tables_ == nullptr ? x : input_tables_->AddTo(tape, tokens, x);
  }

 private:
  friend std::unique_ptr<Model> MakeModel(const Json&, bool);
  void AddTables(const NgramTablesConfig& config, bool takes_input);

  ParamBank bank_;
  WeightPacks packs_{bank_};
  std::unique_ptr<NgramTables> input_tables_, output_tables_;
  std::unique_ptr<NGramGate> ngram_;
  std::string architecture_;
  Json config_;
};

// Builds the architecture that config names, with parameters allocated (for training: gradients too) but
// all zero. Throws UsageError for an unknown architecture, key or value.
std::unique_ptr<Model> MakeModel(const Json& config, bool for_training);

}  // namespace flashlm
