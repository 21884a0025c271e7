#include "eval/causality.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "models/predict.h"

namespace flashlm {
namespace {

using Tokens = std::vector<int32_t>;
using Values = std::vector<float>;

// f32: docs/architecture.md. bf16: pieces of different lengths are multiplied by different kernels, whose
// sums differ in the last bit and are then rounded to 8 bits.
constexpr double kToleranceF32 = 1e-4, kToleranceBF16 = 0.1;

Tokens RandomTokens(Rng& rng, int count, int vocab) {
  Tokens tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(vocab)));
  return tokens;
}

// Infinite for a NaN, which no comparison would find.
double Difference(float a, float b) {
  const double difference = std::abs(static_cast<double>(a) - b);
  return std::isnan(difference) ? INFINITY : difference;
}

double LargestDifference(std::span<const float> a, std::span<const float> b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, Difference(a[i], b[i]));
  return largest;
}

double LargestRelativeDifference(std::span<const float> a, std::span<const float> b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, Difference(a[i], b[i]) / std::max(1.0, std::abs(static_cast<double>(a[i]))));
  }
  return largest;
}

class Reader {
 public:
  Reader(Model& model, DType dtype) : model_(model), tape_(model.bank(), model.packs(), dtype) {}

  // Log-probabilities [rows * T, V] of tokens [rows, T]; state may be null.
  Values Read(std::span<const int32_t> tokens, int rows, State* state) {
    const int length = static_cast<int>(tokens.size()) / rows;
    tape_.BeginInference(rows, length, state);
    const Prediction prediction = model_.Predict(tape_, tokens.data());
    if (state != nullptr) state->Advance(length);
    const Tensor result = LogProbabilities(tape_, prediction);
    return {result.f32(), result.f32() + tokens.size() * static_cast<size_t>(result.cols)};
  }

  Values ReadInPieces(std::span<const int32_t> tokens, std::span<const int> lengths) {
    State state(1);
    Values all;
    size_t begin = 0;
    for (size_t i = 0; begin < tokens.size(); ++i) {
      const size_t count = std::min(static_cast<size_t>(lengths[i % lengths.size()]), tokens.size() - begin);
      const Values piece = Read(tokens.subspan(begin, count), 1, &state);
      all.insert(all.end(), piece.begin(), piece.end());
      begin += count;
    }
    return all;
  }

 private:
  Model& model_;
  Tape tape_;
};

// One in each of `changes` equal stretches, and the last of all.
std::vector<size_t> Positions(size_t length, int changes, Rng& rng) {
  const size_t count = changes > 0 ? std::min(static_cast<size_t>(changes), length) : length;
  std::vector<size_t> positions;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * length / count, end = (i + 1) * length / count;
    positions.push_back(i + 1 == count || end == begin + 1 ? end - 1 : begin + rng.Below(end - begin));
  }
  return positions;
}

void CheckFuture(Reader& reader, const Tokens& tokens, int changes, int vocab, Rng& rng, CausalityReport& report) {
  const Values before = reader.Read(tokens, 1, nullptr);
  const std::span<const float> all = before;
  for (const size_t p : Positions(tokens.size(), changes, rng)) {
    Tokens changed = tokens;
    // Any other token.
    const auto step = 1 + static_cast<int32_t>(rng.Below(static_cast<uint64_t>(vocab) - 1));
    changed[p] = (changed[p] + step) % vocab;
    const Values after = reader.Read(changed, 1, nullptr);
    const std::span<const float> now = after;
    const size_t past = p * static_cast<size_t>(vocab);
    report.leak = std::max(report.leak, LargestDifference(all.first(past), now.first(past)));
    if (LargestDifference(all.subspan(past), now.subspan(past)) == 0) ++report.without_effect;
    ++report.positions;
  }
}

void CheckSplits(Reader& reader, const Tokens& tokens, CausalityReport& report) {
  const Values whole = reader.Read(tokens, 1, nullptr);
  const std::vector<std::vector<int>> splits = {{static_cast<int>(tokens.size())}, {1}, {7}, {20, 1, 3}, {1, 30}};
  for (const std::vector<int>& lengths : splits) {
    const Values pieces = reader.ReadInPieces(tokens, lengths);
    report.split_difference = std::max(report.split_difference, LargestRelativeDifference(whole, pieces));
  }
}

void CheckNeighbours(Reader& reader, const Tokens& tokens, int vocab, Rng& rng, CausalityReport& report) {
  constexpr int kRows = 3, kMiddle = 1;
  const int length = static_cast<int>(tokens.size());
  const auto read_middle = [&](State* state) {
    Tokens batch = RandomTokens(rng, kRows * length, vocab);
    std::copy(tokens.begin(), tokens.end(), batch.begin() + int64_t{kMiddle} * length);
    const Values all = reader.Read(batch, kRows, state);
    const auto row = static_cast<std::ptrdiff_t>(all.size() / kRows);
    return Values(all.begin() + kMiddle * row, all.begin() + (kMiddle + 1) * row);
  };
  const Values first = read_middle(nullptr), second = read_middle(nullptr);
  State one(kRows), other(kRows);
  const Values third = read_middle(&one), fourth = read_middle(&other);
  report.neighbour_change = std::max(LargestDifference(first, second), LargestDifference(third, fourth));
}

}  // namespace

Json ToJson(const CausalityReport& report) {
  return {{"passed", report.passed()},
          {"positions", report.positions},
          {"leak", report.leak},
          {"without_effect", report.without_effect},
          {"split_difference", report.split_difference},
          {"split_tolerance", report.split_tolerance},
          {"neighbour_change", report.neighbour_change}};
}

CausalityReport CheckCausality(Model& model, DType dtype, const CausalityOptions& options) {
  const int vocab = model.vocab();
  FLASHLM_CHECK(options.length > 0 && vocab > 1, "{} tokens of a vocabulary of {}", options.length, vocab);
  Rng rng(options.seed, Purpose::kTest);
  const Tokens tokens = RandomTokens(rng, options.length, vocab);
  Reader reader(model, dtype);
  CausalityReport report;
  report.split_tolerance = dtype == DType::kF32 ? kToleranceF32 : kToleranceBF16;
  CheckFuture(reader, tokens, options.changes, vocab, rng, report);
  CheckSplits(reader, tokens, report);
  CheckNeighbours(reader, tokens, vocab, rng, report);
  return report;
}

}  // namespace flashlm
