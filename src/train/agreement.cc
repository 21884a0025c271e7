#include "train/agreement.h"

#include <flashlm/version.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "kernels/isa.h"
#include "train/run_machine.h"

namespace flashlm {
namespace {

// A fact that ranks are compared by, and what to do where it differs.
struct Compared {
  const char *key, *name, *hint;
};
constexpr Compared kFacts[] = {
    {"version", "version of FlashLM", "install the same one on all machines"},
    {"program", "program", "copy the same binary to all machines: others may round otherwise"},
    {"data", "data set", "copy the same data folder to all machines"},
    {"isa", "instruction set", "FLASHLM_ISA=avx2, say, makes all use what all have"},
    {"products", "matrix products", "name train.precision = f32, which every CPU has"},
};

Json FactsOf(const RunConfig& config) {
  Json settings = config.ToJson();
  settings.erase("data");  // where it lies is each machine's own business
  settings.erase("data_fingerprint");
  return {{"version", fmt::format("{} {}", Version(), Revision())},
          {"program", Sha256OfFile("/proc/self/exe").substr(0, 16)},
          {"data", config.data_fingerprint.substr(0, 16)},
          {"isa", kernels::NameOf(kernels::ActiveIsa())},
          {"products", SessionInt8(config.train) ? "int8" : NameOf(SessionType(config.train.precision))},
          {"settings", settings}};
}

// The path of the first value in which two settings differ, as model.d_model.
std::string FirstDifference(const Json& a, const Json& b) {
  std::string path = Json::diff(a, b).at(0).at("path");
  path.erase(0, 1);
  for (char& c : path) c = c == '/' ? '.' : c;
  return path;
}

std::string ValueAt(const Json& settings, std::string path) {
  for (char& c : path) c = c == '.' ? '/' : c;
  const Json::json_pointer pointer("/" + path);
  return settings.contains(pointer) ? settings[pointer].dump() : "none";
}

}  // namespace

void ShareChoices(Ranks& ranks, const TrainConfig& measured_by_first, TrainConfig& train) {
  const Json own{measured_by_first.precision, measured_by_first.products};
  const Json chosen = ParseJson(ranks.Broadcast(own.dump()), "rank 0");
  // What a rank was told to use stays, and is refused if others use something else.
  if (train.precision == "auto") train.precision = chosen[0];
  if (train.products == "auto") train.products = chosen[1];
}

void RequireAgreement(Ranks& ranks, const RunConfig& config) {
  std::string own;
  ranks.Together([&] { own = FactsOf(config).dump(); });
  const std::vector<std::string> texts = ranks.Gather(own);
  const Json first = ParseJson(texts[0], ranks.NameOf(0));
  // The facts of all lie before every rank, so all come to the same verdict: one speaks for them.
  ranks.Together([&] {
    for (int rank = 1; rank < ranks.size(); ++rank) {
      const Json facts = ParseJson(texts[static_cast<size_t>(rank)], ranks.NameOf(rank));
      for (const Compared& fact : kFacts) {
        if (facts.at(fact.key) == first.at(fact.key)) continue;
        throw UsageError(fmt::format("{} has another {} than rank 0: {} instead of {}", ranks.NameOf(rank), fact.name,
                                     facts.at(fact.key).get<std::string>(), first.at(fact.key).get<std::string>()),
                         fact.hint);
      }
      if (facts.at("settings") == first.at("settings")) continue;
      const std::string path = FirstDifference(first.at("settings"), facts.at("settings"));
      throw UsageError(fmt::format("{} has other settings than rank 0: {} = {} instead of {}", ranks.NameOf(rank), path,
                                   ValueAt(facts.at("settings"), path), ValueAt(first.at("settings"), path)),
                       "start all ranks with the same arguments");
    }
  });
}

}  // namespace flashlm
