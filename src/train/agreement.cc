#include "train/agreement.h"

#include <flashlm/version.h>

#include <algorithm>
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
    {"tensors", "type of tensors", "name train.precision = f32, which every CPU has"},
    {"updates", "products of updates", "name train.update_products = f32, which every CPU has"},
};

// Without what is each machine's own business: where the data lies.
Json SettingsOf(const RunConfig& config) {
  Json settings = config.ToJson();
  settings.erase("data");
  settings.erase("data_fingerprint");
  return settings;
}

// The path of the first value in which two settings differ, as /model/d_model; "" if they are alike.
std::string FirstDifference(const Json& a, const Json& b) {
  const auto missing_or_other = [](const Json& from, const Json& in) -> std::string {
    for (const auto& [path, value] : from.items()) {
      if (!in.contains(path) || in[path] != value) return path;
    }
    return "";
  };
  const std::string path = missing_or_other(a, b);
  return path.empty() ? missing_or_other(b, a) : path;
}

// All facts lie before every rank afterwards, so all come to the same verdict: one speaks for them. facts: some of
// kFacts; settings: of any form.
void RequireSame(Ranks& ranks, const Json& facts, const Json& settings) {
  const std::vector<std::string> texts = ranks.Gather(ToText({{"facts", facts}, {"settings", settings.flatten()}}));
  const Json first = ParseJson(texts[0], ranks.NameOf(0));
  ranks.Together([&] {
    for (int rank = 1; rank < ranks.size(); ++rank) {
      const Json own = ParseJson(texts[static_cast<size_t>(rank)], ranks.NameOf(rank));
      for (const Compared& fact : kFacts) {
        const std::string here = own.at("facts").value(fact.key, ""), there = first.at("facts").value(fact.key, "");
        if (here == there) continue;
        throw UsageError(
            fmt::format("{} has another {} than rank 0: {} instead of {}", ranks.NameOf(rank), fact.name, here, there),
            fact.hint);
      }
      const std::string path = FirstDifference(first.at("settings"), own.at("settings"));
      if (path.empty()) continue;
      const auto value_of = [&](const Json& in) {
        return in.at("settings").contains(path) ? in.at("settings")[path].dump() : std::string("none");
      };
      std::string name = path.substr(1);
      std::replace(name.begin(), name.end(), '/', '.');
      throw UsageError(fmt::format("{} has other settings than rank 0: {} = {} instead of {}", ranks.NameOf(rank), name,
                                   value_of(own), value_of(first)),
                       "start all ranks with the same arguments");
    }
  });
}

}  // namespace

void RequireSameRequest(Ranks& ranks, const Json& asked) {
  Json facts;
  ranks.Together([&] {
    facts = {{"version", fmt::format("{} {}", Version(), Revision())},
             {"program", Sha256OfFile("/proc/self/exe").substr(0, 16)}};
  });
  RequireSame(ranks, facts, asked);
}

void ShareChoices(Ranks& ranks, const TrainConfig& measured_by_first, TrainConfig& train) {
  const Json own{measured_by_first.precision, measured_by_first.products, measured_by_first.update_products};
  const Json chosen = ParseJson(ranks.Broadcast(own.dump()), "rank 0");
  // What a rank was told to use stays, and is refused if others use something else.
  if (train.precision == "auto") train.precision = chosen[0];
  if (train.products == "auto") train.products = chosen[1];
  if (train.update_products == "auto") train.update_products = chosen[2];
}

void RequireAgreement(Ranks& ranks, const RunConfig& config) {
  Json facts;
  ranks.Together([&] {
    facts = {{"data", config.data_fingerprint.substr(0, 16)},
             {"isa", kernels::NameOf(kernels::ActiveIsa())},
             {"products", SessionInt8(config.train) ? "int8" : NameOf(SessionType(config.train.precision))},
             {"tensors", NameOf(SessionType(config.train.precision))},
             {"updates", NameOf(SessionUpdates(config.train, SessionType(config.train.precision)))}};
  });
  RequireSame(ranks, facts, SettingsOf(config));
}

}  // namespace flashlm
