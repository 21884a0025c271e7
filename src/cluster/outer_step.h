// Local steps (DiLoCo, arXiv 2311.08105; with Muon inside MuLoCo, arXiv 2505.23725): every rank has trained by itself
// since all had the same weights; now how far each has come is averaged and taken as the gradient of an outer step with
// Nesterov momentum, after which all have the same weights again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/config.h"
#include "cluster/leaf_tree.h"
#include "cluster/ranks.h"
#include "tensor/param_bank.h"
#include "tensor/param_state.h"

namespace flashlm {

// Values as they travel: f32; bf16; or int8, with a scale for every kCodedBlock of them.
constexpr int64_t kCodedBlock = 256;
enum class Code : uint8_t { kF32, kBF16, kInt8 };
Code CodeOf(const std::string& exchange);  // of ClusterConfig
int64_t CodedBytes(Code code, int64_t n);
// Writes n values as code; what rounding has lost stays in them.
void Encode(Code code, float* values, int64_t n, char* coded);
void Decode(Code code, const char* coded, int64_t n, float* values);

class OuterStep {
 public:
  // `bank`: allocated; all must outlive this. ranks null: this process is alone, and nothing is exchanged or rounded.
  OuterStep(Ranks* ranks, const ClusterConfig& config, ParamBank& bank);
  OuterStep(const OuterStep&) = delete;
  OuterStep& operator=(const OuterStep&) = delete;

  // The bank's values are the same on all ranks: what they go on from.
  void Begin();
  // With g the mean over ranks of start - values: v <- momentum v + g; start <- start - lr (g + momentum v), which
  // become the bank's values. What rounding loses of a rank's difference is added to its next one.
  void Run();

  // "outer" of every parameter, v: a checkpoint has it. What rounding has lost it does not have: a run that goes on
  // begins without.
  ParamState& state() { return state_; }
  const ParamState& state() const { return state_; }

 private:
  LeafRange SegmentOf(int rank) const;
  void Average();  // differences over ranks, into mean_
  void ExchangeSegments();
  void AverageOwnSegment();

  Ranks* ranks_;
  ParamBank& bank_;
  Code code_;
  float lr_, momentum_;
  ParamState state_;
  std::vector<float> start_;              // [bank.size()]
  std::vector<float> difference_;         // start - values, and what was lost of earlier ones
  std::vector<float> lost_;               // of the mean of this rank's segment
  std::vector<float> mean_;               // [bank.size()]
  std::vector<char> sent_, received_;     // coded: own differences; those of all ranks in this rank's segment
  std::vector<SumOp> order_;              // of the sum over ranks
  std::vector<std::vector<float>> sums_;  // its stack
};

}  // namespace flashlm
