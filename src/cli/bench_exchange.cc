// flashlm bench exchange
#include "cli/bench_exchange.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "cli/verbs.h"
#include "cluster/launch.h"
#include "cluster/network.h"
#include "kernels/isa.h"
#include "models/presets.h"
#include "train/agreement.h"
#include "train/throughput.h"

namespace flashlm::cli {
namespace {

constexpr int kMachines[] = {1, 2, 4, 8, 16, 32, 64};

struct BenchExchangeArguments {
  std::string preset = "v8.4-lean", recipe;
  std::vector<std::string> sets;
  double bandwidth = 0, latency = 0.1;
  int every = 16, steps = 7, threads = 0;
  bool json = false;
};

Json Predictions(const SharedStep& step, const Link& link, int every) {
  Json rows = Json::array();
  const double alone = StepSeconds(step.cost, link, 1);
  for (const int machines : kMachines) {
    const double seconds = StepSeconds(step.cost, link, machines);
    StepCost int8 = step.cost;
    int8.difference_bytes = 1;
    const double local = LocalStepSeconds(int8, link, machines, every);
    rows.push_back({{"machines", machines},
                    {"idle_machines", std::max<int64_t>(0, machines - step.cost.sequences)},
                    {"step_ms", 1e3 * seconds},
                    {"tokens_per_s", static_cast<double>(step.tokens) / seconds},
                    {"efficiency", alone / (machines * seconds)},
                    {"hidden_ms", 1e3 * HiddenSeconds(step.cost, link, machines)},
                    {"local_step_ms", 1e3 * local},
                    {"local_tokens_per_s", static_cast<double>(step.tokens) / local},
                    {"local_efficiency", alone / (machines * local)}});
  }
  return rows;
}

std::string Table(const Json& json, int every) {
  std::string text = fmt::format(
      "{}: {} parameters, {} tokens a step; passes {:.1f} ms, update {:.1f} ms on one machine of {} threads, {}\n"
      "link: {:.1f} MB/s each way, {:.0f} us\n",
      json["preset"].get<std::string>(), json["parameters"].get<int64_t>(), json["tokens_per_step"].get<int64_t>(),
      json["passes_ms"].get<double>(), json["update_ms"].get<double>(), json["threads"].get<int>(),
      json["cpu"].get<std::string>(), json["bandwidth_mb_per_s"].get<double>(), json["latency_us"].get<double>());
  if (json.contains("step_ms_measured")) {
    text += fmt::format("measured on {} ranks: {:.1f} ms a step, of which exchange {:.1f} ms; predicted {:.1f} ms\n",
                        json["ranks"].get<int>(), json["step_ms_measured"].get<double>(),
                        json["exchange_ms_measured"].get<double>(), json["step_ms_predicted"].get<double>());
  }
  text += fmt::format("\n{:>8}{:>12}{:>12}{:>12}{:>12}{:>24}{:>12}\n", "machines", "ms a step", "hidden ms", "tokens/s",
                      "efficiency", fmt::format("sync_every={}: ms", every), "efficiency");
  for (const Json& row : json["predicted"]) {
    text += fmt::format("{:>8}{:>12.1f}{:>12.1f}{:>12.0f}{:>12.2f}{:>24.1f}{:>12.2f}\n", row["machines"].get<int>(),
                        row["step_ms"].get<double>(), row["hidden_ms"].get<double>(), row["tokens_per_s"].get<double>(),
                        row["efficiency"].get<double>(), row["local_step_ms"].get<double>(),
                        row["local_efficiency"].get<double>());
  }
  if (json["predicted"].back()["idle_machines"] > 0) {
    text += fmt::format(
        "A step has {} sequences: train refuses more machines than that. "
        "More micro-batches a step (--set train.accumulate=) give work to them.\n",
        json["sequences"].get<int64_t>());
  }
  return text;
}

Json Measure(const BenchExchangeArguments& options) {
  Ranks* const ranks = CurrentRanks();
  Json document;
  Together(ranks, [&] {
    if (ranks == nullptr && options.bandwidth == 0) {
      throw UsageError(
          "bench exchange measures what is between ranks, and this process is alone",
          "start it with: mpirun -n 2 flashlm bench exchange; or state a link: --bandwidth 125 --latency 0.2");
    }
    document = LoadPreset(options.preset, options.recipe);
    for (const std::string& assignment : options.sets) ApplyOverride(assignment, document);
  });
  if (ranks != nullptr) {
    RequireSameRequest(*ranks, {{"verb", "bench exchange"}, {"steps", options.steps}, {"settings", document}});
  }
  const SharedStep step = MeasureSharedStep(RunConfig::FromDocument(document, options.preset), options.steps, ranks);
  Link link{1e-3 * options.latency, 1e6 * options.bandwidth};
  if (ranks != nullptr) link = MeasureLink(*ranks);
  Json json;
  json["preset"] = options.preset;
  json["parameters"] = step.cost.parameters;
  json["tokens_per_step"] = step.tokens;
  json["sequences"] = step.cost.sequences;
  json["ranks"] = ranks == nullptr ? 1 : ranks->size();
  json["hosts"] = ranks == nullptr ? 1 : ranks->HostCount();
  json["bandwidth_mb_per_s"] = 1e-6 * link.bandwidth;
  json["latency_us"] = 1e6 * link.latency;
  json["passes_ms"] = 1e3 * step.cost.passes;
  json["update_ms"] = 1e3 * step.cost.optimizer;
  if (ranks != nullptr) {
    json["step_ms_measured"] = 1e3 * step.seconds;
    json["exchange_ms_measured"] = 1e3 * step.exchange_seconds;
    json["step_ms_predicted"] = 1e3 * StepSeconds(step.cost, link, ranks->size());
  }
  json["sync_every"] = options.every;
  json["threads"] = ThreadCount();
  json["cpu"] = kernels::CpuName();
  json["predicted"] = Predictions(step, link, options.every);
  return json;
}

void Run(const BenchExchangeArguments& options) {
  if (options.threads > 0) SetThreadCount(options.threads);
  Membership membership;
  membership.Run([&] {
    const Json json = Measure(options);
    if (CurrentRanks() != nullptr && !CurrentRanks()->first()) return;
    if (options.json) {
      PrintJson(json);
    } else {
      Print(Table(json, options.every));
    }
  });
}

}  // namespace

void AddBenchExchange(CLI::App& bench) {
  CLI::App* verb =
      bench.add_subcommand("exchange", "the network between ranks, and steps on 1 to 64 machines (mpirun)");
  auto options = std::make_shared<BenchExchangeArguments>();
  verb->add_option("--preset", options->preset, "preset or .toml file whose step is measured");
  verb->add_option("--recipe", options->recipe, "recipe or .toml file instead of the preset's");
  AddSettings(*verb, options->sets, "change a setting, as train.exchange=bf16; repeatable");
  verb->add_option("--bandwidth", options->bandwidth, "without mpirun: MB/s each way between machines; 125 is 1 Gbit/s")
      ->check(CLI::Range(0.0, 1e6));
  verb->add_option("--latency", options->latency, "without mpirun: milliseconds from one to another")
      ->check(CLI::Range(0.0, 1e5));
  verb->add_option("--sync-every", options->every, "steps between exchanges of weights, in int8, where steps are local")
      ->check(CLI::Range(2, 1 << 20));
  verb->add_option("--steps", options->steps, "measured steps; the median counts")->check(CLI::Range(1, 1 << 20));
  verb->add_option("--threads", options->threads, "compute threads of each rank; 0: all")->check(CLI::Range(0, 1024));
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
