#include "checks/trained_model.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/rng.h"
#include "checks/trained_supernova.h"
#include "eval/causality.h"
#include "infer/loaded_model.h"
#include "infer/session.h"
#include "io/checkpoint.h"
#include "io/run_folder.h"

namespace flashlm {
namespace {

CheckResult CheckFiles(const std::string& folder, std::optional<LoadedModel>& loaded) {
  return TimedCheck("files as recorded", [&](CheckResult& result) {
    const std::vector<StepFolder> steps = ListStepFolders(folder);
    for (const StepFolder& step : steps) OpenCheckpoint(step.path, OpenFor::kResume);  // throws for a damaged file
    loaded.emplace(LoadModel(folder));
    result.passed = true;
    result.detail = fmt::format("{} checkpoints, {} loaded: {}, {} parameters", steps.size(), loaded->folder,
                                loaded->model->architecture(), loaded->model->bank().ParameterCount());
  });
}

CheckResult CheckReading(Model& model, DType dtype) {
  return TimedCheck("causal, any split, any batch", [&](CheckResult& result) {
    const CausalityReport report = CheckCausality(model, dtype);
    result.passed = report.passed();
    result.detail = fmt::format("in {}: leak {}, without effect {}, split difference {:.1e} of {:.1e}, neighbours {}",
                                NameOf(dtype), report.leak, report.without_effect, report.split_difference,
                                report.split_tolerance, report.neighbour_change);
  });
}

CheckResult CheckRepeats(Model& model, DType dtype) {
  return TimedCheck("the same bits again", [&](CheckResult& result) {
    constexpr int kPrompt = 48, kSingle = 16;
    Rng rng(1, Purpose::kTest);
    std::vector<int32_t> tokens(kPrompt + kSingle);
    for (int32_t& token : tokens) token = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model.vocab())));
    const auto read = [&] {
      Session session(model, dtype);
      std::vector<float> log_probs;
      const auto keep = [&](const float* row) { log_probs.insert(log_probs.end(), row, row + model.vocab()); };
      keep(session.Feed({tokens.data(), kPrompt}));
      for (int t = kPrompt; t < kPrompt + kSingle; ++t) keep(session.Feed(tokens[static_cast<size_t>(t)]));
      return log_probs;
    };
    const std::vector<float> first = read(), second = read();
    result.passed = first == second;  // false for NaN as well
    result.detail = fmt::format("a prompt of {} tokens and {} single ones, read twice: {}", kPrompt, kSingle,
                                result.passed ? "equal" : "different");
  });
}

}  // namespace

std::vector<CheckResult> CheckTrainedModel(const std::string& folder, bool assert_speed) {
  std::optional<LoadedModel> loaded;
  std::vector<CheckResult> results = {CheckFiles(folder, loaded)};
  if (!loaded) return results;
  const DType dtype = ScoringType(*loaded, "auto");
  results.push_back(CheckReading(*loaded->model, dtype));
  results.push_back(CheckRepeats(*loaded->model, dtype));
  if (!IsSupernova(*loaded->model)) return results;
  std::vector<CheckResult> claims = CheckTrainedSupernova(*loaded, dtype, assert_speed);
  std::move(claims.begin(), claims.end(), std::back_inserter(results));
  return results;
}

}  // namespace flashlm
