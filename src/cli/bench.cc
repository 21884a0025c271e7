// flashlm bench train | decode | gemm; exchange has a file of its own
#include <array>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "cli/bench_exchange.h"
#include "cli/verbs.h"
#include "infer/decode_speed.h"
#include "infer/loaded_model.h"
#include "kernels/gemm/peak.h"
#include "kernels/gemm/precision.h"
#include "kernels/isa.h"
#include "models/presets.h"
#include "train/throughput.h"
#include "train/trainer.h"

namespace flashlm::cli {
namespace {

struct BenchArguments {
  std::string preset = "flagship-2m", recipe, model, precision = "auto";
  int sequence_length = 0, batch = 0, accumulate = 0, threads = 0, steps = 5, streams = 1, tokens = 500;
  std::optional<int> depth;
  std::vector<std::string> sets;
  bool json = false;
};

// An option of its own that is a setting by another name.
void ApplyOption(const std::string& option, const std::string& key, const std::string& value,
                 const std::vector<std::string>& sets, Json& document) {
  for (const std::string& assignment : sets) {
    if (assignment.starts_with(key + "=")) {
      throw UsageError(fmt::format("{} and --set {} together", option, assignment), "both set " + key);
    }
  }
  ApplyOverride(key + "=" + value, document);
}

RunConfig ConfigOf(const BenchArguments& options) {
  Json document = LoadPreset(options.preset, options.recipe);
  for (const std::string& assignment : options.sets) ApplyOverride(assignment, document);
  const auto apply = [&](const char* option, const char* key, int value) {
    if (value > 0) ApplyOption(option, key, std::to_string(value), options.sets, document);
  };
  apply("--seq-len", "train.sequence_length", options.sequence_length);
  apply("--batch", "train.micro_batch", options.batch);
  apply("--accumulate", "train.accumulate", options.accumulate);
  if (options.precision != "auto") {
    ApplyOption("--precision", "train.precision", options.precision, options.sets, document);
  }
  RunConfig config = RunConfig::FromDocument(document, options.preset);
  RefuseIdleSettings(config, options.sets);
  return config;
}

void Train(const BenchArguments& options) {
  if (options.threads > 0) SetThreadCount(options.threads);
  const RunConfig config = ConfigOf(options);
  ThroughputOptions throughput;
  throughput.steps = options.steps;
  std::string table;
  const Json json = MeasureTraining(config, throughput, &table);
  if (options.json) return PrintJson(json);
  Print(fmt::format(
      "{}: {:.0f} tokens/s ({:.0f} to {:.0f}), {:.0f} % of the GEMM peak of {:.0f} GFLOP/s ({}), {:.0f} MB, {} "
      "threads, "
      "{}\n\none step, profiled:\n{}",
      options.preset, json["tokens_per_s"].get<double>(), json["tokens_per_s_min"].get<double>(),
      json["tokens_per_s_max"].get<double>(), 100 * json["fraction_of_peak"].get<double>(),
      json["gemm_gflops_peak"].get<double>(), json["products"].get<std::string>(), json["peak_rss_mb"].get<double>(),
      json["threads"].get<int>(), json["cpu"].get<std::string>(), table));
}

void Decode(const BenchArguments& options) {
  if (options.threads > 0) SetThreadCount(options.threads);
  DType dtype = DType::kF32;
  std::unique_ptr<Model> model;
  const Stopwatch load;
  if (!options.model.empty()) {
    LoadedModel loaded = LoadModel(options.model);
    dtype = DecodingType(loaded, options.precision);
    model = std::move(loaded.model);
  } else {
    dtype = kernels::ComputeType(options.precision, kernels::Work::kDecoding);
    model = MakeModel(LoadPresetModel(options.preset, options.sets), false);
    model->bank().Initialize(1);
  }
  if (options.depth) model->SetDepth(*options.depth);
  const double load_ms = 1e3 * load.Seconds();
  const DecodeSpeed speed = MeasureDecoding(*model, dtype, options.streams, options.tokens);
  Json json;
  json["model"] = options.model.empty() ? options.preset : options.model;
  json["tokens_per_s"] = speed.tokens_per_s;
  json["ms_per_token"] = speed.ms_per_token;
  json["ms_per_token_first_quarter"] = speed.ms_per_token_first_quarter;
  json["ms_per_token_last_quarter"] = speed.ms_per_token_last_quarter;
  if (!options.model.empty()) json["load_ms"] = load_ms;
  json["first_token_ms"] = speed.first_token_ms;
  json["prefill_tokens_per_s"] = speed.prefill_tokens_per_s;
  json["weight_bytes_per_step"] = speed.weight_bytes_per_step;
  json["share_of_bandwidth"] = speed.share_of_bandwidth;
  json["streams"] = options.streams;
  json["tokens"] = options.tokens;
  json["threads"] = ThreadCount();
  json["isa"] = kernels::NameOf(kernels::ActiveIsa());
  json["precision"] = NameOf(dtype);
  json["cpu"] = kernels::CpuName();
  json["peak_rss_mb"] = PeakRssMb();
  if (options.json) return PrintJson(json);
  Print(
      fmt::format("{} stream{}: {:.0f} tokens/s, {:.3f} ms per token (first quarter {:.3f}, last {:.3f}), {}, {} "
                  "threads, {}\n",
                  options.streams, options.streams > 1 ? "s" : "", speed.tokens_per_s, speed.ms_per_token,
                  speed.ms_per_token_first_quarter, speed.ms_per_token_last_quarter,
                  json["precision"].get<std::string>(), ThreadCount(), kernels::CpuName()));
  Print(fmt::format("{}first token of a 30-token prompt after {:.1f} ms; 512 tokens read at {:.0f} tokens/s\n",
                    options.model.empty() ? "" : fmt::format("loaded in {:.0f} ms; ", load_ms), speed.first_token_ms,
                    speed.prefill_tokens_per_s));
  Print(fmt::format("{:.2f} MB of weights read a step, {:.0f} % of the rate at which this machine reads as much\n",
                    speed.weight_bytes_per_step / 1e6, 100 * speed.share_of_bandwidth));
}

void Gemm(const BenchArguments& options) {
  if (options.threads > 0) SetThreadCount(options.threads);
  Json json;
  json["cpu"] = kernels::CpuName();
  json["threads"] = ThreadCount();
  json["isa"] = kernels::NameOf(kernels::ActiveIsa());
  json["library"] = kernels::GemmLibrary();
  std::string table = fmt::format("{:>6}{:>6}{:>6}{:>8}{:>12}\n", "m", "k", "n", "type", "Gop/s");
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
    if (dtype == DType::kBF16 && !kernels::MultipliesBf16()) continue;
    if (dtype == DType::kI8 && !kernels::HasVnni()) continue;
    for (const auto& [m, k, n] : {std::array<int64_t, 3>{1024, 256, 256},
                                  {1024, 256, 1024},
                                  {1024, 512, 256},
                                  {2048, 256, 1024},
                                  {1024, 256, 4096},
                                  {1, 256, 1024}}) {
      const double rate = kernels::MeasureGemm(m, k, n, dtype, 15);
      table += fmt::format("{:>6}{:>6}{:>6}{:>8}{:>12.0f}\n", m, k, n, NameOf(dtype), rate);
      json["shapes"].push_back({{"m", m}, {"k", k}, {"n", n}, {"type", NameOf(dtype)}, {"gflops", rate}});
    }
    json[fmt::format("gflops_peak_{}", NameOf(dtype))] = kernels::MeasureGemmPeak(dtype).gflops;
  }
  if (options.json) return PrintJson(json);
  Print(fmt::format("{}, {} threads, {}\n{}", kernels::CpuName(), ThreadCount(), kernels::GemmLibrary(), table));
}

}  // namespace

void AddBench(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("bench", "speed of training, decoding and matrix products here, and of what is between ranks");
  verb->require_subcommand(1);
  auto options = std::make_shared<BenchArguments>();
  const auto common = [options](CLI::App* sub) {
    sub->add_option("--threads", options->threads, "compute threads; 0: all")->check(CLI::Range(0, 1024));
    sub->add_flag("--json", options->json, "print JSON");
  };
  CLI::App* train = verb->add_subcommand("train", "tokens/s of a preset on random tokens, and where the time goes");
  train->add_option("--preset", options->preset, "preset or .toml file");
  train->add_option("--recipe", options->recipe, "recipe or .toml file instead of the preset's");
  train->add_option("--seq-len", options->sequence_length, "tokens of a sequence; 0: the preset's")
      ->check(CLI::Range(0, 1 << 30));
  train->add_option("--batch", options->batch, "sequences of a micro-batch; 0: the preset's")
      ->check(CLI::Range(0, 1 << 30));
  train->add_option("--accumulate", options->accumulate, "micro-batches of a step; 0: the preset's")
      ->check(CLI::Range(0, 1 << 30));
  train->add_option("--steps", options->steps, "measured steps; the median counts")->check(CLI::Range(1, 1 << 30));
  AddSettings(*train, options->sets, "change a setting, as model.depth=8; repeatable");
  train->add_option("--precision", options->precision, "auto (what is fastest here), f32 or bf16");
  common(train);
  train->callback([options] { Train(*options); });

  CLI::App* decode = verb->add_subcommand("decode", "tokens/s of generation, one or several streams");
  CLI::Option* preset = decode->add_option("--preset", options->preset, "preset, with random parameters");
  CLI::Option* set =
      AddSettings(*decode, options->sets, "change a setting of the preset, as model.n_layers=8; repeatable");
  decode->add_option("--model", options->model, "run folder, model folder or packed file instead of a preset")
      ->excludes(preset)
      ->excludes(set);
  decode->add_option("--depth", options->depth, "passes through the reasoning engine, of models that have one");
  decode->add_option("--streams", options->streams, "streams decoded together")->check(CLI::Range(1, 1 << 30));
  decode->add_option("--tokens", options->tokens, "tokens per stream")->check(CLI::Range(1, 1 << 30));
  decode->add_option("--precision", options->precision, "auto (what is fastest here), f32, bf16 or int8");
  common(decode);
  decode->callback([options] { Decode(*options); });

  CLI::App* gemm = verb->add_subcommand("gemm", "rate of matrix products at the shapes of our models");
  common(gemm);
  gemm->callback([options] { Gemm(*options); });
  AddBenchExchange(*verb);
}

}  // namespace flashlm::cli
