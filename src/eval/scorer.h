// The cross-entropy of every token of many texts, many tokens at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "infer/likely_tokens.h"
#include "models/model.h"

namespace flashlm {

using TokenIds = std::vector<uint16_t>;

// Of each token of a text: what it cost, and what was expected in its place.
struct ScoredText {
  std::vector<float> nats;
  std::vector<std::vector<LikelyToken>> likely;  // best first; empty lists if none were asked for
};

class Scorer {
 public:
  // dtype: what matrix products read.
  Scorer(Model& model, DType dtype);

  // result[d][i] = -log p(texts[d][i] | <eos>, texts[d][0 .. i)), in nats. Each text is read once, in order,
  // its past kept as state, so any length takes bounded memory. Texts of similar length are read side by
  // side; what stands beside a text, where, and of what length does not change its result by a bit.
  // on_progress gets the number of tokens scored since the last call; may be empty.
  std::vector<std::vector<float>> Score(std::span<const TokenIds> texts,
                                        const std::function<void(int64_t tokens)>& on_progress = {});

  // What was scored so far, by how often its tokens passed through a reasoning engine (kernels::kReasoningDepths); of a
  // model without one nothing.
  struct ByDepth {
    int64_t tokens = 0;
    double nats = 0;
  };
  const std::array<ByDepth, kernels::kDepthChoices>& by_depth() const { return by_depth_; }

  // What was scored so far, of a model with value heads: what the head of each such layer expected at a position, and
  // what the next kValueHorizon tokens came to on average, where the text has so many.
  struct Foresight {
    int64_t positions = 0;
    double value = 0, nats = 0, value_square = 0, nats_square = 0, product = 0;  // sums
    void Add(double expected, double mean_nats);
    // Pearson's; 0 where one of the two never changes.
    double Correlation() const;
  };
  const std::vector<Foresight>& by_layer() const { return by_layer_; }

  // The same, by the bit, with the `likely` most probable tokens of each position.
  std::vector<ScoredText> ScoreWithLikely(std::span<const TokenIds> texts, int likely);

 private:
  // Texts read side by side.
  struct Group {
    std::span<const int> members;  // indices of texts
    int length;                    // of the longest
  };
  std::vector<Group> Plan(std::span<const TokenIds> texts);
  void ScoreGroup(std::span<const TokenIds> texts, const Group& group, std::vector<std::vector<float>>& nats);
  void ScorePiece(std::span<const TokenIds> texts, const Group& group, int begin, int count, State* state,
                  std::vector<std::vector<float>>& nats);
  void KeepLikely(const Tensor& log_probs, const Group& group, int begin, int count);

  void CountDepth(int32_t depth, float nats);
  void KeepValues(const Prediction& prediction, const Group& group, int begin, int count);
  void CountValues(const Group& group, const std::vector<std::vector<float>>& nats);

  Model& model_;
  Tape tape_;
  // Where the likely tokens of the texts go, and how many of them; null: nobody asks.
  std::vector<ScoredText>* scored_ = nullptr;
  int likely_ = 0;
  std::vector<int> order_;                 // texts by length
  std::vector<int32_t> inputs_, targets_;  // [rows, count]
  std::array<ByDepth, kernels::kDepthChoices> by_depth_;
  std::vector<std::vector<float>> values_;  // [layers * rows] of the texts side by side: by position
  std::vector<Foresight> by_layer_;
};

}  // namespace flashlm
