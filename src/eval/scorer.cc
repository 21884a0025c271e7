#include "eval/scorer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "models/predict.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// Texts are cut at multiples of this, alone or beside others: where a text is cut changes its last bits. Four times as
// many tokens make fast matrix products; what a pass leaves in memory grows with them (64 MB of a model of v8.3's
// size).
constexpr int kPiece = 256;
constexpr int kRows = 4;
// What mixes positions may take short pieces another way (kernels/delta/plan.h), and a neighbour's length must not
// decide that: short texts are filled up to one length and stand beside short ones only, and what is shorter than this
// of all others is filled up, too.
constexpr int kShortText = 16, kShortestPiece = 32;
// A text longer than the shortest of its group by more than this fraction starts another group.
constexpr double kSlack = 0.125;

}  // namespace

Scorer::Scorer(Model& model, DType dtype) : model_(model), tape_(model.bank(), model.packs(), dtype) {}

std::vector<Scorer::Group> Scorer::Plan(std::span<const TokenIds> texts) {
  const auto length = [&](int text) { return static_cast<int>(texts[static_cast<size_t>(text)].size()); };
  order_.resize(texts.size());
  std::iota(order_.begin(), order_.end(), 0);
  std::stable_sort(order_.begin(), order_.end(), [&](int a, int b) { return length(a) < length(b); });

  std::vector<Group> groups;
  const std::span<const int> order = order_;
  for (size_t begin = 0; begin < order.size();) {
    const int shortest = length(order[begin]);
    const int longest =
        shortest <= kShortText ? kShortText : std::max(kShortestPiece, static_cast<int>(shortest * (1 + kSlack)));
    size_t end = begin + 1;
    while (end < order.size() && end - begin < kRows && length(order[end]) <= longest) ++end;
    groups.push_back({order.subspan(begin, end - begin), length(order[end - 1])});
    begin = end;
  }
  return groups;
}

std::vector<std::vector<float>> Scorer::Score(std::span<const TokenIds> texts,
                                              const std::function<void(int64_t tokens)>& on_progress) {
  std::vector<std::vector<float>> nats(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) nats[i].resize(texts[i].size());
  for (const Group& group : Plan(texts)) {
    ScoreGroup(texts, group, nats);
    if (!on_progress) continue;
    int64_t tokens = 0;
    for (const int member : group.members) tokens += std::ssize(texts[static_cast<size_t>(member)]);
    on_progress(tokens);
  }
  return nats;
}

void Scorer::CountDepth(int32_t depth, float nats) {
  for (size_t d = 0; d < by_depth_.size(); ++d) {
    if (kernels::kReasoningDepths[d] != depth) continue;
    ++by_depth_[d].tokens;
    by_depth_[d].nats += nats;
  }
}

void Scorer::Foresight::Add(double expected, double mean_nats) {
  ++positions;
  value += expected;
  nats += mean_nats;
  value_square += expected * expected;
  nats_square += mean_nats * mean_nats;
  product += expected * mean_nats;
}

double Scorer::Foresight::Correlation() const {
  const auto n = static_cast<double>(positions);
  const double values = n * value_square - value * value, targets = n * nats_square - nats * nats;
  return values > 0 && targets > 0 ? (n * product - value * nats) / std::sqrt(values * targets) : 0;
}

// A piece's values, [rows, count] of each layer.
void Scorer::KeepValues(const Prediction& prediction, const Group& group, int begin, int count) {
  const auto layers = static_cast<size_t>(prediction.value_count);
  const size_t rows = group.members.size();
  by_layer_.resize(layers);
  values_.resize(layers * rows);
  for (size_t i = 0; i < values_.size(); ++i) {
    const float* piece = prediction.values[i / rows].f32() + static_cast<int64_t>(i % rows) * count;
    values_[i].resize(static_cast<size_t>(begin));
    values_[i].insert(values_[i].end(), piece, piece + count);
  }
}

void Scorer::CountValues(const Group& group, const std::vector<std::vector<float>>& nats) {
  if (by_layer_.empty()) return;
  const size_t rows = group.members.size();
  for (size_t r = 0; r < rows; ++r) {
    const std::vector<float>& text = nats[static_cast<size_t>(group.members[r])];
    for (size_t t = 0; t + kValueHorizon <= text.size(); ++t) {
      const auto from = text.begin() + static_cast<std::ptrdiff_t>(t);
      const double mean = std::accumulate(from, from + kValueHorizon, 0.0) / kValueHorizon;
      for (size_t layer = 0; layer < by_layer_.size(); ++layer)
        by_layer_[layer].Add(values_[layer * rows + r][t], mean);
    }
  }
}

std::vector<ScoredText> Scorer::ScoreWithLikely(std::span<const TokenIds> texts, int likely) {
  std::vector<ScoredText> scored(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) scored[i].likely.resize(texts[i].size());
  scored_ = likely > 0 ? &scored : nullptr;
  likely_ = likely;
  std::vector<std::vector<float>> nats = Score(texts);
  scored_ = nullptr;
  for (size_t i = 0; i < texts.size(); ++i) scored[i].nats = std::move(nats[i]);
  return scored;
}

void Scorer::KeepLikely(const Tensor& log_probs, const Group& group, int begin, int count) {
  for (size_t r = 0; r < group.members.size(); ++r) {
    std::vector<std::vector<LikelyToken>>& out = (*scored_)[static_cast<size_t>(group.members[r])].likely;
    const int end = std::min(begin + count, static_cast<int>(out.size()));
    for (int i = begin; i < end; ++i) {
      const float* row = log_probs.matrix().Row<float>(static_cast<int64_t>(r) * count + i - begin);
      FindLikelyTokens({row, static_cast<size_t>(log_probs.cols)}, likely_, out[static_cast<size_t>(i)]);
    }
  }
}

void Scorer::ScoreGroup(std::span<const TokenIds> texts, const Group& group, std::vector<std::vector<float>>& nats) {
  const int rows = static_cast<int>(group.members.size());
  const int shortest = group.length <= kShortText ? kShortText : kShortestPiece;
  State state(rows);
  for (int begin = 0; begin < group.length; begin += kPiece) {
    const int count = std::clamp(group.length - begin, shortest, kPiece);
    ScorePiece(texts, group, begin, count, &state, nats);
    state.Advance(count);
  }
  CountValues(group, nats);
}

void Scorer::ScorePiece(std::span<const TokenIds> texts, const Group& group, int begin, int count, State* state,
                        std::vector<std::vector<float>>& nats) {
  const int rows = static_cast<int>(group.members.size());
  // What follows the end of a text is filled up with <pad>; the results there are dropped.
  inputs_.assign(static_cast<size_t>(rows) * count, Tokenizer::kPad);
  targets_.assign(static_cast<size_t>(rows) * count, Tokenizer::kPad);
  for (int r = 0; r < rows; ++r) {
    const TokenIds& text = texts[static_cast<size_t>(group.members[static_cast<size_t>(r)])];
    const int end = std::min(begin + count, static_cast<int>(text.size()));
    for (int i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(r * count + i - begin);
      inputs_[at] = i == 0 ? int32_t{Tokenizer::kEos} : text[static_cast<size_t>(i - 1)];
      targets_[at] = text[static_cast<size_t>(i)];
    }
  }
  tape_.BeginInference(rows, count, state, kernels::RowGroups::kBlocks);
  const Prediction prediction = model_.Predict(tape_, inputs_.data());
  const CrossEntropyResult loss = NextTokenLoss(tape_, prediction, targets_.data(), {});
  KeepValues(prediction, group, begin, count);
  if (scored_ != nullptr) KeepLikely(LogProbabilities(tape_, prediction), group, begin, count);
  for (int r = 0; r < rows; ++r) {
    std::vector<float>& out = nats[static_cast<size_t>(group.members[static_cast<size_t>(r)])];
    const int end = std::min(begin + count, static_cast<int>(out.size()));
    for (int i = begin; i < end; ++i) {
      const int n = r * count + i - begin;
      out[static_cast<size_t>(i)] = loss.nats[n];
      if (prediction.reasoned.depths != nullptr) CountDepth(prediction.reasoned.depths[n], loss.nats[n]);
    }
  }
}

}  // namespace flashlm
