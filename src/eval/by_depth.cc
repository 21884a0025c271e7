#include "eval/by_depth.h"

#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "eval/probe_report.h"

namespace flashlm {
namespace {

// The model is at depths that are set until its own is put back.
class DepthKept {
 public:
  explicit DepthKept(Model& model) : model_(model), depth_(model.Depth()) {}
  ~DepthKept() {
    if (depth_ >= 0) model_.SetDepth(depth_);
  }
  DepthKept(const DepthKept&) = delete;
  DepthKept& operator=(const DepthKept&) = delete;

 private:
  Model& model_;
  int depth_;
};

TextScorer ScoreAndMeasure(Model& model, DType dtype, ReaderCost& cost) {
  return [scorer = std::make_shared<Scorer>(model, dtype), &cost](std::span<const TokenIds> texts) {
    const Stopwatch watch;
    std::vector<std::vector<float>> nats = scorer->Score(texts);
    cost.seconds += watch.Seconds();
    for (const TokenIds& text : texts) cost.tokens += std::ssize(text);
    cost.by_depth = scorer->by_depth();
    return nats;
  };
}

std::string NameOf(int depth) { return depth == 0 ? "adaptive" : fmt::format("{}", depth); }

Json NameInJson(int depth) { return depth == 0 ? Json("adaptive") : Json(depth); }

template <class Result>
const Result& Find(std::span<const Result> depths, int depth) {
  for (const Result& one : depths) {
    if (one.depth == depth) return one;
  }
  throw Error(fmt::format("depth {} was not measured", depth));
}

// (own - low) / (high - low), if that is more than nothing.
Json PartOf(double own, double low, double high) { return high > low ? Json((own - low) / (high - low)) : Json(); }

double AccuracyOf(const DepthProbes& probes, size_t category) { return probes.results[category].all.by_sum.accuracy(); }

double MicrosecondsPerToken(const DepthText& text) {
  return 1e6 * text.result.seconds / static_cast<double>(text.result.tokens);
}

std::string Percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

std::string DescribeShares(const Json& shares) {
  std::string text;
  for (const auto& [depth, share] : shares.items()) {
    text += fmt::format("{}{} at {}", text.empty() ? "" : ", ", Percent(share.get<double>()), depth);
  }
  return text;
}

std::string DescribePart(const Json& part) { return part.is_null() ? "none to keep" : Percent(part.get<double>()); }

}  // namespace

void RefuseByDepth(const Model& model) {
  if (model.Depth() >= 0) return;
  throw UsageError(
      fmt::format("--by-depth: {} has no depth to choose", model.config().value("architecture", "this model")),
      "it is for models with a reasoning engine");
}

std::vector<DepthText> EvaluateByDepth(Model& model, DType dtype, const Tokenizer& tokenizer,
                                       const std::string& text_path, const EvalOptions& options) {
  if (text_path == "-") throw UsageError("--by-depth reads the text again and again", "name a file with --text");
  const DepthKept kept(model);
  std::vector<DepthText> depths;
  for (const int depth : kComparedDepths) {
    model.SetDepth(depth);
    depths.push_back({depth, EvaluateFile(model, dtype, tokenizer, text_path, "", options)});
  }
  return depths;
}

std::vector<DepthProbes> RunProbesByDepth(Model& model, Model& untrained, const TextScorer& bigrams, DType dtype,
                                          const Tokenizer& tokenizer, const ProbeOptions& options) {
  const DepthKept kept(model), kept_untrained(untrained);
  std::vector<DepthProbes> depths;
  for (const int depth : kComparedDepths) {
    model.SetDepth(depth);
    untrained.SetDepth(depth);
    DepthProbes& probes = depths.emplace_back(DepthProbes{depth, {}, {}});
    const ProbeReaders readers{ScoreAndMeasure(model, dtype, probes.cost), ScoreByModel(untrained, dtype), bigrams};
    probes.results = RunProbes(readers, tokenizer, options);
  }
  return depths;
}

Json ToJson(std::span<const DepthText> depths) {
  const DepthText &low = Find(depths, 1), &high = Find(depths, 8);
  Json json = Json::array();
  for (const DepthText& text : depths) {
    const EvalResult& result = text.result;
    json.push_back({{"depth", NameInJson(text.depth)},
                    {"us_per_token", MicrosecondsPerToken(text)},
                    {"tokens_by_depth", SharesByDepth(result.by_depth)},
                    {"nats_by_depth", NatsByDepth(result.by_depth)},
                    {"nats_per_token", result.nats_per_token()},
                    {"bits_per_byte", result.bits_per_byte()},
                    {"stderr_bits_per_byte", result.stderr_bits_per_byte}});
    if (text.depth != 0) continue;
    json.back()["gain_kept"] =
        PartOf(-result.nats_per_token(), -low.result.nats_per_token(), -high.result.nats_per_token());
    json.back()["extra_time"] =
        PartOf(MicrosecondsPerToken(text), MicrosecondsPerToken(low), MicrosecondsPerToken(high));
  }
  return json;
}

std::string Describe(std::span<const DepthText> depths) {
  std::string text = "depth      bits per byte       nats per token   us per token   tokens by depth\n";
  for (const Json& row : ToJson(depths)) {
    const std::string depth = row.at("depth").is_string() ? "adaptive" : row.at("depth").dump();
    text += fmt::format(
        "  {:<9}{:.4f}{:<9}   {:>14.4f}   {:>12.1f}   {}\n", depth, row.at("bits_per_byte").get<double>(),
        FormatError(row.at("stderr_bits_per_byte").get<double>(), 4), row.at("nats_per_token").get<double>(),
        row.at("us_per_token").get<double>(), DescribeShares(row.at("tokens_by_depth")));
    if (!row.contains("gain_kept")) continue;
    text += fmt::format("  of what depth 8 gains over depth 1, adaptive keeps: {}; of its extra time it takes: {}\n",
                        DescribePart(row.at("gain_kept")), DescribePart(row.at("extra_time")));
  }
  return text;
}

Json ToJson(std::span<const DepthProbes> depths) {
  const DepthProbes &low = Find(depths, 1), &high = Find(depths, 8);
  Json json = Json::array();
  for (const DepthProbes& probes : depths) {
    json.push_back({{"depth", NameInJson(probes.depth)},
                    {"us_per_token", probes.cost.MicrosecondsPerToken()},
                    {"tokens_by_depth", SharesByDepth(probes.cost.by_depth)},
                    {"categories", ProbesToJson(probes.results)}});
    if (probes.depth != 0) continue;
    for (size_t c = 0; c < probes.results.size(); ++c) {
      json.back()["gain_kept"][probes.results[c].category] =
          PartOf(AccuracyOf(probes, c), AccuracyOf(low, c), AccuracyOf(high, c));
    }
    json.back()["extra_time"] =
        PartOf(probes.cost.MicrosecondsPerToken(), low.cost.MicrosecondsPerToken(), high.cost.MicrosecondsPerToken());
  }
  return json;
}

std::string Describe(std::span<const DepthProbes> depths) {
  std::string text = fmt::format("{:<14}", "accuracy at");
  for (const DepthProbes& probes : depths) text += fmt::format("{:>18}", "depth " + NameOf(probes.depth));
  text += "\n";
  for (size_t c = 0; c < depths.front().results.size(); ++c) {
    text += fmt::format("  {:<12}", depths.front().results[c].category);
    for (const DepthProbes& probes : depths) {
      const ProbeShare& share = probes.results[c].all.by_sum;
      text +=
          fmt::format("{:>18}", fmt::format("{:.1f} ± {:.1f} %", 100 * share.accuracy(), 100 * share.standard_error()));
    }
    text += "\n";
  }
  text += fmt::format("  {:<12}", "us per token");
  for (const DepthProbes& probes : depths) text += fmt::format("{:>18.1f}", probes.cost.MicrosecondsPerToken());
  const DepthProbes& adaptive = Find(depths, 0);
  return text + fmt::format("\n  adaptive: {} of the tokens\n", DescribeShares(SharesByDepth(adaptive.cost.by_depth)));
}

}  // namespace flashlm
