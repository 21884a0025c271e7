#include "eval/evaluate.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/paths.h"
#include "base/progress.h"
#include "data/documents.h"
#include "eval/scorer.h"

namespace flashlm {
namespace {

// Documents that are sorted by length together; more would only take memory.
constexpr size_t kWindow = 1024;
// The first documents of an evaluation that is bounded in time tell how fast it is.
constexpr size_t kFirstWindow = 4;

int64_t CountCodePoints(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
}

double BitsPer(double nats, int64_t units) { return nats / std::numbers::ln2 / static_cast<double>(units); }

// The last position of a bucket of EvalResult::by_position.
int64_t LastOf(size_t bucket) { return int64_t{1} << (2 * bucket); }

// Sums up documents, in order.
class Tally {
 public:
  void Add(std::string_view text, std::span<const float> nats) {
    double sum = 0;
    size_t bucket = 0;
    for (int64_t i = 0; i < std::ssize(nats); ++i) {
      const double n = nats[static_cast<size_t>(i)];
      sum += n;
      if (i + 1 > LastOf(bucket)) ++bucket;
      if (bucket == result_.by_position.size()) result_.by_position.emplace_back();
      ++result_.by_position[bucket].tokens;
      result_.by_position[bucket].nats += n;
    }
    result_.nats += sum;
    result_.eos_nats += nats.back();
    result_.bytes += std::ssize(text);
    result_.chars += CountCodePoints(text);
    result_.tokens += std::ssize(nats);
    ++result_.documents;
    units_.push_back({sum, static_cast<double>(text.size())});
  }

  EvalResult Result(double seconds) const {
    EvalResult result = result_;
    result.seconds = seconds;
    const auto n = static_cast<double>(units_.size());
    double squares = 0;
    for (const auto& [nats, bytes] : units_) {
      const double residual = nats / std::numbers::ln2 - result.bits_per_byte() * bytes;
      squares += residual * residual;
    }
    if (n > 1) result.stderr_bits_per_byte = std::sqrt(n / (n - 1) * squares) / static_cast<double>(result.bytes);
    return result;
  }

 private:
  struct Unit {
    double nats, bytes;
  };
  EvalResult result_;
  std::vector<Unit> units_;
};

// The progress of an interactive evaluation, in bytes of text.
class Progress {
 public:
  Progress(bool on, int64_t total_bytes) : on_(on), total_(static_cast<double>(total_bytes)) {}

  void Add(double bytes) {
    if (!on_) return;
    if (Interrupted()) throw Error("evaluation interrupted");
    done_ += bytes;
    const double seconds = watch_.Seconds();
    if (seconds - shown_ < kSecondsBetween) return;
    shown_ = seconds;
    const double fraction = std::min(1.0, done_ / total_);
    ShowStatus(fmt::format("evaluating: {:.0f} %, {}B/s, {} left", 100 * fraction, FormatCount(done_ / seconds),
                           FormatDuration(seconds * (1 - fraction) / fraction)));
  }

 private:
  static constexpr double kSecondsBetween = 0.5;
  bool on_;
  double total_, done_ = 0, shown_ = 0;
  Stopwatch watch_;
};

// The --tokens file.
class TokenLines {
 public:
  TokenLines(const std::string& path, const Tokenizer& tokenizer) : file_(path), tokenizer_(tokenizer) {}

  void Add(const DocumentScore& score) {
    lines_.clear();
    for (size_t i = 0; i < score.ids.size(); ++i) {
      fmt::format_to(std::back_inserter(lines_),
                     "{{\"document\":{},\"position\":{},\"id\":{},\"bytes\":{},\"nats\":{}}}\n", score.document, i,
                     score.ids[i], tokenizer_.Bytes(score.ids[i]).size(), score.nats[i]);
    }
    file_.Append(std::string_view(lines_.data(), lines_.size()));
  }
  void Commit() { file_.Commit(); }

 private:
  AtomicFile file_;
  const Tokenizer& tokenizer_;
  fmt::memory_buffer lines_;
};

// Documents of the next window after `done` ones; 0: the time is used up.
size_t NextWindow(const EvalOptions& options, size_t done, size_t total, double elapsed) {
  const size_t left = total - done;
  if (options.seconds <= 0) return std::min(kWindow, left);
  if (done == 0) return std::min(kFirstWindow, left);
  const double affordable = (options.seconds - elapsed) * static_cast<double>(done) / elapsed;
  const size_t least = options.least_documents > done ? options.least_documents - done : 0;
  // Not more than there were: the first ones also prepare matrix products, and so look slow.
  const auto count = static_cast<size_t>(std::clamp(affordable, 0.0, static_cast<double>(std::min(done, kWindow))));
  return std::min(std::max(count, least), left);
}

int64_t BytesOf(std::span<const std::string_view> texts) {
  int64_t bytes = 0;
  for (const std::string_view text : texts) bytes += std::ssize(text);
  return bytes;
}

}  // namespace

double EvalResult::bits_per_byte() const { return BitsPer(nats, bytes); }
double EvalResult::bits_per_char() const { return BitsPer(nats, chars); }

Json ToJson(const EvalResult& result) {
  Json json = {{"nats_per_token", result.nats_per_token()},
               {"bits_per_byte", result.bits_per_byte()},
               {"bits_per_char", result.bits_per_char()},
               {"stderr_bits_per_byte", result.stderr_bits_per_byte},
               {"bytes", result.bytes},
               {"tokens", result.tokens},
               {"documents", result.documents},
               {"chars", result.chars},
               {"nats_per_token_without_eos", result.nats_per_token_without_eos()},
               {"perplexity", std::exp(result.nats_per_token())},
               {"seconds", result.seconds},
               {"tokens_per_s", static_cast<double>(result.tokens) / result.seconds}};
  const auto reasoned = [](const Scorer::ByDepth& depth) { return depth.tokens > 0; };
  if (std::any_of(result.by_depth.begin(), result.by_depth.end(), reasoned)) {
    json["tokens_by_depth"] = SharesByDepth(result.by_depth);
    json["nats_by_depth"] = NatsByDepth(result.by_depth);
  }
  if (!result.value_correlation.empty()) json["value_correlation"] = result.value_correlation;
  return json;
}

std::string DescribeValueHeads(const EvalResult& result) {
  if (result.value_correlation.empty()) return "";
  std::string line =
      fmt::format("value heads: correlation with the mean nats of the next {} tokens, by layer:", kValueHorizon);
  for (const double correlation : result.value_correlation) line += fmt::format(" {:.3f}", correlation);
  return line + "\n";
}

Json SharesByDepth(std::span<const Scorer::ByDepth> by_depth) {
  int64_t all = 0;
  for (const Scorer::ByDepth& depth : by_depth) all += depth.tokens;
  Json json = Json::object();
  for (size_t d = 0; all > 0 && d < by_depth.size(); ++d) {
    json[std::to_string(kernels::kReasoningDepths[d])] =
        static_cast<double>(by_depth[d].tokens) / static_cast<double>(all);
  }
  return json;
}

Json NatsByDepth(std::span<const Scorer::ByDepth> by_depth) {
  Json json = Json::object();
  for (size_t d = 0; d < by_depth.size(); ++d) {
    const auto& [tokens, nats] = by_depth[d];
    json[std::to_string(kernels::kReasoningDepths[d])] = tokens > 0 ? Json(nats / static_cast<double>(tokens)) : Json();
  }
  return json;
}

Json NatsByPosition(const EvalResult& result) {
  Json buckets = Json::array();
  for (size_t b = 0; b < result.by_position.size(); ++b) {
    const EvalResult::Bucket& bucket = result.by_position[b];
    buckets.push_back({{"from", b == 0 ? 1 : LastOf(b - 1) + 1},
                       {"to", LastOf(b)},
                       {"tokens", bucket.tokens},
                       {"nats_per_token", bucket.nats / static_cast<double>(bucket.tokens)}});
  }
  return buckets;
}

std::string DescribeNatsByPosition(const EvalResult& result) {
  std::string text = "position in the story    tokens  nats per token\n";
  for (const Json& bucket : NatsByPosition(result)) {
    const auto from = bucket.at("from").get<int64_t>(), to = bucket.at("to").get<int64_t>();
    text +=
        fmt::format("  {:<18} {:>10}  {:.4f}\n", from == to ? fmt::format("{}", to) : fmt::format("{}-{}", from, to),
                    bucket.at("tokens").get<int64_t>(), bucket.at("nats_per_token").get<double>());
  }
  return text;
}

EvalResult Evaluate(Model& model, DType dtype, const Tokenizer& tokenizer, std::span<const std::string_view> documents,
                    const EvalOptions& options) {
  FLASHLM_CHECK(!documents.empty(), "nothing to evaluate");
  FLASHLM_CHECK(tokenizer.vocab_size() <= model.vocab(), "a tokenizer of {} entries for a model of {}",
                tokenizer.vocab_size(), model.vocab());
  const Stopwatch watch;
  Progress progress(options.interactive, BytesOf(documents));
  Scorer scorer(model, dtype);
  Tally tally;
  for (size_t begin = 0, count; begin < documents.size(); begin += count) {
    count = NextWindow(options, begin, documents.size(), watch.Seconds());
    if (count == 0) break;
    const auto window = documents.subspan(begin, count);
    std::vector<TokenIds> texts(window.size());
    int64_t tokens = 0;
    for (size_t i = 0; i < window.size(); ++i) {
      tokenizer.Encode(window[i], texts[i]);
      texts[i].push_back(Tokenizer::kEos);
      tokens += std::ssize(texts[i]);
    }
    const double bytes_per_token = static_cast<double>(BytesOf(window)) / static_cast<double>(tokens);
    const auto nats =
        scorer.Score(texts, [&](int64_t scored) { progress.Add(static_cast<double>(scored) * bytes_per_token); });
    for (size_t i = 0; i < window.size(); ++i) {
      tally.Add(window[i], nats[i]);
      if (options.on_document) options.on_document({static_cast<int64_t>(begin + i), texts[i], nats[i]});
    }
  }
  EvalResult result = tally.Result(watch.Seconds());
  result.by_depth = scorer.by_depth();
  for (const Scorer::Foresight& layer : scorer.by_layer()) result.value_correlation.push_back(layer.Correlation());
  return result;
}

EvalResult EvaluateFile(Model& model, DType dtype, const Tokenizer& tokenizer, const std::string& text_path,
                        const std::string& tokens_path, const EvalOptions& options) {
  if (!tokens_path.empty()) RefuseOverwriting("--tokens", tokens_path, {{text_path}});
  const DocumentFile file(text_path);
  const auto& documents = file.documents();
  if (options.interactive && !file.note().empty()) Say(file.note());
  if (tokens_path.empty()) return Evaluate(model, dtype, tokenizer, documents, options);

  TokenLines lines(tokens_path, tokenizer);
  EvalOptions with_lines = options;
  with_lines.on_document = [&](const DocumentScore& score) {
    lines.Add(score);
    if (options.on_document) options.on_document(score);
  };
  EvalResult result = Evaluate(model, dtype, tokenizer, documents, with_lines);
  lines.Commit();
  return result;
}

}  // namespace flashlm
