#include "eval/scorer.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// Of a forward pass: enough for fast matrix products, few enough that a block's tensors stay in the caches.
constexpr int kTokensPerPass = 2048;
constexpr int kRows = 8;
constexpr int kLongestPiece = 1024;
// Passes have lengths that are multiples of this: matrix products are prepared for each number of rows they
// meet, and a few milliseconds each add up where every length occurs.
constexpr int kLengthStep = 16;
// A text longer than the shortest of its group by more than this fraction starts another group.
constexpr double kSlack = 0.125;

constexpr int RoundUp(int n) { return (n + kLengthStep - 1) / kLengthStep * kLengthStep; }

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
    const int longest = RoundUp(static_cast<int>(length(order[begin]) * (1 + kSlack)));
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

void Scorer::ScoreGroup(std::span<const TokenIds> texts, const Group& group, std::vector<std::vector<float>>& nats) {
  const int rows = static_cast<int>(group.members.size());
  const int longest_piece = std::min(kLongestPiece, kTokensPerPass / rows);
  State state(rows);
  for (int begin = 0; begin < group.length; begin += longest_piece) {
    const int count = std::min(longest_piece, RoundUp(group.length - begin));
    ScorePiece(texts, group, begin, count, &state, nats);
    state.Advance(count);
  }
}

void Scorer::ScorePiece(std::span<const TokenIds> texts, const Group& group, int begin, int count, State* state,
                        std::vector<std::vector<float>>& nats) {
  const int rows = static_cast<int>(group.members.size());
  // What follows the end of a text is filled up with <pad>; the results there are dropped.
  inputs_.assign(static_cast<size_t>(rows * count), Tokenizer::kPad);
  targets_.assign(static_cast<size_t>(rows * count), Tokenizer::kPad);
  for (int r = 0; r < rows; ++r) {
    const TokenIds& text = texts[static_cast<size_t>(group.members[static_cast<size_t>(r)])];
    const int end = std::min(begin + count, static_cast<int>(text.size()));
    for (int i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(r * count + i - begin);
      inputs_[at] = i == 0 ? int32_t{Tokenizer::kEos} : text[static_cast<size_t>(i - 1)];
      targets_[at] = text[static_cast<size_t>(i)];
    }
  }
  tape_.BeginInference(rows, count, state);
  const Prediction prediction = model_.Forward(tape_, inputs_.data());
  const CrossEntropyResult loss = CrossEntropy(tape_, prediction.hidden, prediction.head, targets_.data(),
                                               {prediction.softcap, /*entropy_weight=*/0, /*scale=*/1});
  for (int r = 0; r < rows; ++r) {
    std::vector<float>& out = nats[static_cast<size_t>(group.members[static_cast<size_t>(r)])];
    const int end = std::min(begin + count, static_cast<int>(out.size()));
    for (int i = begin; i < end; ++i) out[static_cast<size_t>(i)] = loss.nats[r * count + i - begin];
  }
}

}  // namespace flashlm
