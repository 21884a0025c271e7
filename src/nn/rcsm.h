// The reasoning engine of v6 (RCSM, docs/spec/supernova.md) as a layer of a residual stream:
//
//   h <- h + W_up engine(W_down h)
//
// The engine works on a narrow state: a choice of operations, a memory of slots, an adaptive number of passes through
// the same weights (kernels/reasoning/reasoning.h). The slots are a buffer: what a step writes into them, averaged over
// its tokens, is seen from the next step on, so nothing passes between the sequences of a batch, and evaluation leaves
// them alone.
//
// Beside the slots, which are of all texts, it can have a memory of the sequence's own: what the narrow states of the
// tokens so far, or the last of them, were, read by attention, once or several times through the same weights, before
// the passes.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "nn/linear.h"

namespace flashlm {

struct RcsmConfig {
  int channels = 0;                          // C of the stream
  int width = 0, operations = 0, slots = 0;  // R of the state, K >= 2, S
  int depth = 0;                             // passes of every token, 1, 3 or 8; 0: each token chooses
  double depth_noise = 1;                    // factor on the Gumbel noise of that choice, in training
  bool depth_blend = true;                   // in training such a token is a blend of its states up to that depth
  double balance_weight = 0.01;              // of the loss that keeps all operations in use
  int memory_heads = 0;                      // of the reads of the sequence's own memory; 0: there is none
  int memory_reads = 1;                      // one after another
  int memory_window = 256;                   // tokens that they see, the own one included; beyond is forgotten
  Quantization quantization = {};            // of W_down, W_up, operations, router and classifier; a scale a matrix
};

// What an engine did with the tokens of a pass, for losses and reports; in the tape's memory.
struct Reasoned {
  const int32_t* depths = nullptr;  // [N] passes of each token; null: there is no engine
  Tensor state;                     // compute type [N,R], what the engine begins with and the classifier reads
  Param classifier;                 // [3,R], to the logits of kernels::kReasoningDepths
};

class Rcsm {
 public:
  using MapInit = std::function<Init(int inputs)>;  // how a map of so many inputs starts

  // Declares NAME.down_proj.weight [R,C], the engine's own parameters and NAME.up_proj.weight [C,R].
  Rcsm(ParamBank& bank, const std::string& name, const RcsmConfig& config, const MapInit& init, const MapInit& init_up);

  // Throws UsageError for a depth that no token can choose; 0 is adaptive.
  static void CheckDepth(int depth);
  void SetDepth(int depth);
  int depth() const { return c_.depth; }

  // h f32 [N,C] -> f32 [N,C]. `auxiliary`, in training: f32 [1,1], the weighted loss that balances the operations; left
  // as it is if that has no weight. Passes of one step, told apart by their tapes' random_step, may run side by side.
  Tensor Apply(Tape& tape, const Tensor& h, Tensor& auxiliary, Reasoned& reasoned);

  // Around an optimiser step, as of Model. EndStep writes into the slots what the step's passes would have them keep:
  // the mean over passes, summed in their order, whichever ran first.
  void BeginStep();
  void EndStep(bool applied);
  std::vector<float> PassRecords() const;
  void AddPassRecords(std::span<const float> records);
  // Of the choices of operations of the last step, the part that fell on each: [K]; zeros before there was one.
  const std::vector<float>& shares() const { return shares_; }

  // Training's floating-point operations per token less the 6 per weight of every map: most operations are not
  // computed, and what is, once a pass; and reads after the first. Adaptive tokens count as if all depths were as
  // frequent.
  double FlopsBeyondWeights() const;

 private:
  // What a pass would write.
  struct Write {
    uint64_t pass;             // random_step
    std::vector<float> means;  // address [S], z [R]; and shares of the operations [K]
  };

  // The sequence's own memory: queries of the state that reads have changed, keys and values of the first one.
  struct Memory {
    Param norm, query, key_value, qk_norm, key_shift, out;
  };

  void AddMemory(const std::string& name, const MapInit& init, const MapInit& init_up);
  Tensor ReadMemory(Tape& tape, const Tensor& state) const;
  Param AddMap(const std::string& name, int rows, int inputs, const Init& init, Quantization quantization = {});
  void AddEngine(const std::string& name, const MapInit& init);
  void Remember(uint64_t pass, const ReasoningResult& engine);
  Write& WriteOf(uint64_t pass);

  ParamBank& bank_;
  RcsmConfig c_;
  Param down_, up_;
  Memory memory_;
  ReasoningParams engine_;
  double engine_weights_ = 0;  // in the engine's own maps
  kernels::ReasoningPack pack_;
  std::mutex writes_mutex_;
  // The first `written_` are of this step; memory stays from step to step.
  std::vector<Write> writes_;
  size_t written_ = 0;
  std::vector<double> sums_;  // [S+R+K], of EndStep
  std::vector<float> shares_;
};

}  // namespace flashlm
