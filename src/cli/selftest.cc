// flashlm selftest
#include <memory>

#include "base/error.h"
#include "checks/invariants.h"
#include "checks/supernova_claims.h"
#include "checks/trained_model.h"
#include "cli/verbs.h"
#include "models/presets.h"
#include "models/registry.h"

namespace flashlm::cli {
namespace {

struct SelftestArguments {
  std::string preset, model;
  bool json = false;
};

// Prints checks as they come, and counts.
class Report {
 public:
  explicit Report(bool as_json) : as_json_(as_json) {}

  // kind: "architecture" or "model", of which `name` is one.
  void Add(const char* kind, const std::string& name, const std::vector<CheckResult>& checks) {
    for (const CheckResult& check : checks) {
      failed_ += !check.passed;
      json_.push_back({{kind, name},
                       {"check", check.name},
                       {"passed", check.passed},
                       {"detail", check.detail},
                       {"seconds", check.seconds}});
      if (as_json_) continue;
      Print(fmt::format("{}  {}: {} ({:.1f} s): {}\n", check.passed ? "ok  " : "FAIL", name, check.name, check.seconds,
                        check.detail));
    }
  }
  // Throws Error if a check has failed: `where`, and what to look at.
  void End(const std::string& where, const std::string& hint) const {
    if (as_json_) PrintJson({{"checks", json_}, {"failed", failed_}});
    if (failed_ > 0) throw Error(fmt::format("{} checks failed{}", failed_, where), hint);
  }

 private:
  bool as_json_;
  Json json_ = Json::array();
  int failed_ = 0;
};

void CheckArchitectures(const std::string& preset, Report& report) {
  std::string only;
  if (!preset.empty()) {
    only = LoadPresetModel(preset, {}).value("architecture", "");
    FindModel(only);
  }
  for (const ModelEntry& entry : RegisteredModels()) {
    if (!only.empty() && entry.name != only) continue;
    Json config = entry.tiny();
    config["architecture"] = entry.name;
    report.Add("architecture", entry.name, CheckModel(config));
    report.Add("architecture", entry.name, CheckSupernovaClaims(entry.name, true));
    const Json with_ngrams = TinyWithNGrams();
    if (with_ngrams.at("architecture") != entry.name) continue;
    report.Add("architecture", entry.name + " with n-grams", CheckModel(with_ngrams));
  }
}

void Run(const SelftestArguments& options) {
  Report report(options.json);
  if (options.model.empty()) {
    CheckArchitectures(options.preset, report);
    report.End(" on this machine", "see flashlm doctor");
  } else {
    report.Add("model", options.model, CheckTrainedModel(options.model, true));
    report.End(fmt::format(" of '{}'", options.model), "the lines that begin with FAIL say why");
  }
}

}  // namespace

void AddSelftest(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("selftest", "the invariants of every architecture or of a trained model, on this machine");
  auto options = std::make_shared<SelftestArguments>();
  CLI::Option* preset = verb->add_option("--preset", options->preset, "only the architecture of this preset");
  verb->add_option("--model", options->model,
                   "a trained model instead: run folder, checkpoint, model folder or packed file")
      ->excludes(preset);
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
