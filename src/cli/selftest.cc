// flashlm selftest
#include <memory>

#include "base/error.h"
#include "checks/invariants.h"
#include "checks/supernova_claims.h"
#include "cli/verbs.h"
#include "models/presets.h"
#include "models/registry.h"

namespace flashlm::cli {
namespace {

struct Options {
  std::string preset;
  bool json = false;
};

void Run(const Options& options) {
  std::string only;
  if (!options.preset.empty()) {
    only = LoadPreset(options.preset).at("model").at("architecture").get<std::string>();
    FindModel(only);
  }
  Json json = Json::array();
  int failed = 0;
  for (const ModelEntry& entry : RegisteredModels()) {
    if (!only.empty() && entry.name != only) continue;
    Json config = entry.tiny();
    config["architecture"] = entry.name;
    std::vector<CheckResult> checks = CheckModel(config);
    for (CheckResult& check : CheckSupernovaClaims(entry.name, true)) checks.push_back(std::move(check));
    for (const CheckResult& check : checks) {
      failed += !check.passed;
      json.push_back({{"architecture", entry.name},
                      {"check", check.name},
                      {"passed", check.passed},
                      {"detail", check.detail},
                      {"seconds", check.seconds}});
      if (!options.json) {
        Print(fmt::format("{}  {}: {} ({:.1f} s): {}\n", check.passed ? "ok  " : "FAIL", entry.name, check.name,
                          check.seconds, check.detail));
      }
    }
  }
  if (options.json) PrintJson({{"checks", json}, {"failed", failed}});
  if (failed > 0) throw Error(fmt::format("{} checks failed on this machine", failed), "see flashlm doctor");
}

}  // namespace

void AddSelftest(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("selftest", "the invariants of every architecture, on this machine");
  auto options = std::make_shared<Options>();
  verb->add_option("--preset", options->preset, "only the architecture of this preset");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
