#include "audit/audit_reading.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/progress.h"
#include "eval/causality.h"
#include "infer/sampler.h"
#include "models/predict.h"

namespace flashlm {
namespace {

constexpr int kRows = 16;  // sequences that are read side by side

// Sums by sequence, and what they come to.
class Scores {
 public:
  explicit Scores(const AuditText& text) : text_(text), nats_(static_cast<size_t>(text.count)), bytes_(nats_.size()) {}

  void Add(int sequence, int32_t target, double nats) {
    nats_[static_cast<size_t>(sequence)] += nats;
    bytes_[static_cast<size_t>(sequence)] += text_.bytes_per_token[static_cast<size_t>(target)];
  }

  Reading Result() const {
    Reading result;
    double nats = 0, squares = 0;
    for (const double one : nats_) nats += one;
    for (const double one : bytes_) result.bytes += static_cast<int64_t>(one);
    result.tokens = int64_t{text_.count} * text_.length;
    const auto bytes = static_cast<double>(result.bytes);
    result.nats_per_token = nats / static_cast<double>(result.tokens);
    result.bits_per_byte = nats / std::log(2.0) / bytes;
    for (size_t i = 0; i < nats_.size(); ++i) {
      const double residual = nats_[i] / std::log(2.0) - result.bits_per_byte * bytes_[i];
      squares += residual * residual;
    }
    const auto count = static_cast<double>(text_.count);
    if (text_.count > 1) result.stderr_bits_per_byte = std::sqrt(count / (count - 1) * squares) / bytes;
    return result;
  }

 private:
  const AuditText& text_;
  std::vector<double> nats_, bytes_;
};

// The first `length` tokens of sequences begin, begin + 1, ... side by side.
std::vector<int32_t> Beginnings(const AuditText& text, int begin, int rows, int length) {
  std::vector<int32_t> tokens;
  for (int r = begin; r < begin + rows; ++r) {
    tokens.insert(tokens.end(), text.Sequence(r), text.Sequence(r) + length);
  }
  return tokens;
}

}  // namespace

AuditText::AuditText(const TokenData& data, const Tokenizer& tokenizer, int wanted, int length)
    : count(static_cast<int>(std::min<int64_t>(wanted, (data.size() - 2) / length))), length(length) {
  if (count < 1) {
    throw Error(fmt::format("the validation text has {} tokens, fewer than a sequence of {}", data.size(), length + 2),
                "prepare data with more text");
  }
  tokens.resize(static_cast<size_t>(count) * (length + 2));
  for (int i = 0; i < count; ++i) {
    data.Copy(int64_t{i} * length, length + 2, tokens.data() + static_cast<size_t>(i) * (length + 2));
  }
  for (int id = 0; id < tokenizer.vocab_size(); ++id) {
    bytes_per_token.push_back(static_cast<int32_t>(tokenizer.Bytes(id).size()));
  }
}

std::optional<Reading> ReadAtOnce(Model& model, const AuditText& text, int offset) {
  Tape tape(model.bank(), model.packs(), DType::kF32);
  Scores scores(text);
  for (int begin = 0; begin < text.count; begin += kRows) {
    if (Interrupted()) return std::nullopt;
    const int rows = std::min(kRows, text.count - begin);
    const std::vector<int32_t> inputs = Beginnings(text, begin, rows, text.length);
    std::vector<int32_t> targets;
    for (int r = begin; r < begin + rows; ++r) {
      const int32_t* from = text.Sequence(r) + offset;
      targets.insert(targets.end(), from, from + text.length);
    }
    tape.BeginInference(rows, text.length, nullptr, kernels::RowGroups::kBlocks);
    const CrossEntropyResult loss = NextTokenLoss(tape, model.Predict(tape, inputs.data()), targets.data(), {});
    for (int i = 0; i < rows * text.length; ++i) {
      scores.Add(begin + i / text.length, targets[static_cast<size_t>(i)], loss.nats[i]);
    }
  }
  return scores.Result();
}

std::optional<Reading> ReadByPrefix(Model& model, const AuditText& text, const std::string& place) {
  Tape tape(model.bank(), model.packs(), DType::kF32);
  Scores scores(text);
  for (int begin = 0; begin < text.count; begin += kRows) {
    ShowStatus(fmt::format("{} read prefix by prefix: {} of {} sequences", place, begin, text.count));
    const int rows = std::min(kRows, text.count - begin);
    for (int length = 1; length <= text.length; ++length) {
      if (Interrupted()) return std::nullopt;
      const std::vector<int32_t> inputs = Beginnings(text, begin, rows, length);
      tape.BeginInference(rows, length, nullptr, kernels::RowGroups::kBlocks);
      const Tensor log_probs = LastLogProbabilities(tape, model.Predict(tape, inputs.data()));  // [rows, V]
      for (int r = 0; r < rows; ++r) {
        const int32_t target = text.Sequence(begin + r)[length];
        scores.Add(begin + r, target, -log_probs.matrix().Row<float>(r)[target]);
      }
    }
  }
  return scores.Result();
}

double TokensToRead(int length) { return 0.5 * length * (length + 1); }

const float* PrefixReader::Read(std::span<const int32_t> tokens) {
  const std::span<const int32_t> seen = tokens.last(std::min(tokens.size(), static_cast<size_t>(window_)));
  tape_.BeginInference(1, static_cast<int>(seen.size()), nullptr, kernels::RowGroups::kBlocks);
  return LastLogProbabilities(tape_, model_.Predict(tape_, seen.data())).f32();
}

std::string WriteSample(Model& model, const Tokenizer& tokenizer, const std::string& prompt, int window, int tokens) {
  std::vector<int32_t> history = {Tokenizer::kEos};
  for (const uint16_t id : tokenizer.Encode(prompt)) history.push_back(id);
  PrefixReader reader(model, window);
  Sampler sampler{SamplerConfig{}};
  std::vector<uint16_t> written;
  for (int i = 0; i < tokens; ++i) {
    const std::span<const float> log_probs(reader.Read(history), static_cast<size_t>(model.vocab()));
    const int32_t next = sampler.Sample(log_probs, history, std::ssize(history));
    if (next == Tokenizer::kEos) break;
    history.push_back(next);
    written.push_back(static_cast<uint16_t>(next));
  }
  // Half a character, as bytes that are drawn may be, becomes U+FFFD.
  return Json::parse(ToText(Json(tokenizer.Decode(written)))).get<std::string>();
}

double LeakOf(Model& model, int length) {
  return CheckCausality(model, DType::kF32, {.length = length, .changes = 16}).leak;
}

double SecondsPerReadToken(const AuditedSizes& sizes, const Defects& defects) {
  constexpr int kLength = 64, kPasses = 5;
  const std::unique_ptr<Model> model = MakeAuditedModel(sizes, defects, false);
  model->bank().Initialize(1);
  Tape tape(model->bank(), model->packs(), DType::kF32);
  const std::vector<int32_t> inputs(size_t{kRows} * kLength, 0);
  double best = HUGE_VAL;  // the first makes the products' code
  for (int i = 0; i < kPasses; ++i) {
    const Stopwatch watch;
    tape.BeginInference(kRows, kLength, nullptr, kernels::RowGroups::kBlocks);
    LastLogProbabilities(tape, model->Predict(tape, inputs.data()));
    best = std::min(best, watch.Seconds());
  }
  return best / static_cast<double>(inputs.size());
}

}  // namespace flashlm
