#include "train/phases.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace flashlm {
namespace {

// "rcsm., embed" -> {"rcsm.", "embed"}
std::vector<std::string> Names(const std::string& list) {
  std::vector<std::string> names;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find_first_of(", ", begin), list.size());
    if (end > begin) names.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

// The i-th, for messages.
std::string Label(const Phase& phase, size_t i) {
  return phase.name.empty() ? fmt::format("phase {}", i + 1) : fmt::format("phase '{}'", phase.name);
}

std::vector<FrozenRange> FrozenBy(const Phase& phase, const std::string& label, const ParamBank& bank) {
  std::vector<FrozenRange> ranges;
  for (const std::string& beginning : Names(phase.freeze)) {
    const size_t before = ranges.size();
    for (const ParamInfo& info : bank.infos()) {
      if (info.name.starts_with(beginning)) ranges.push_back({info.offset, info.offset + info.size});
    }
    if (ranges.size() == before) {
      throw UsageError(fmt::format("{}: no parameter's name begins with '{}'", label, beginning),
                       "flashlm inspect --preset NAME lists them");
    }
  }
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  // Named twice, once as part of more: once is enough.
  const auto same = [](const FrozenRange& a, const FrozenRange& b) { return a.begin == b.begin; };
  ranges.erase(std::unique(ranges.begin(), ranges.end(), same), ranges.end());
  return ranges;
}

// [0, 30]
std::array<double, 2> Percentiles(const Json& json, const std::string& where) {
  const auto number = [&](size_t i) { return json[i].is_number() ? json[i].get<double>() : -1; };
  const bool two = json.is_array() && json.size() == 2;
  if (!two || !(number(0) >= 0 && number(0) < number(1) && number(1) <= 100)) {
    throw UsageError(fmt::format("{}: phases.difficulty = {}: must be two percentiles", where, json.dump()),
                     "the easiest 30 % of the stories are difficulty = [0, 30]");
  }
  return {number(0), number(1)};
}

}  // namespace

Phase Phase::FromJson(const Json& json, const std::string& where) {
  if (!json.is_object()) throw UsageError(fmt::format("{}: a phase is a table", where), "[[phases]]");
  Phase phase;
  if (json.contains("train")) phase.losses = json["train"];
  if (json.contains("difficulty")) phase.difficulty = Percentiles(json["difficulty"], where);
  FieldsFromJson(json, where + ": phases", phase, {"difficulty", "train"});
  return phase;
}

Json Phase::ToJson() const {
  Json json = FieldsToJson(*this);
  if (difficulty != Phase{}.difficulty) json["difficulty"] = difficulty;
  if (!losses.empty()) json["train"] = losses;
  return json;
}

std::vector<Phase> PhasesFromJson(const Json& json, const std::string& where) {
  if (!json.is_array()) throw UsageError(fmt::format("{}: phases is no list", where), "[[phases]], one for each");
  std::vector<Phase> phases;
  for (const Json& one : json) {
    phases.push_back(Phase::FromJson(one, fmt::format("{}: phase {}", where, phases.size() + 1)));
  }
  for (size_t i = 0; i < phases.size(); ++i) {
    const bool right = i == 0 ? phases[i].from == 0 : phases[i].from > phases[i - 1].from;
    if (!right) {
      throw UsageError(fmt::format("{}: phase {} is from {} on", where, i + 1, phases[i].from),
                       "the first is from 0 on, each later than the one before");
    }
  }
  return phases;
}

Phases::Phases(std::vector<Phase> phases, const Objective& objective, const Model& model) : phases_(std::move(phases)) {
  std::unique_ptr<Model> trial;  // `model` keeps its depth
  for (const Phase& phase : phases_) {
    const std::string label = Label(phase, objectives_.size());
    objectives_.push_back(objective);
    FieldsFromJson(phase.losses, label + ", train", objectives_.back());
    objectives_.back().Validate(model.config());
    frozen_.push_back(FrozenBy(phase, label, model.bank()));
    if (phase.writes() && model.ngram() != nullptr) {
      throw UsageError(fmt::format("{}: a model with counted n-grams cannot train on its own stories", label),
                       "source = \"data\", or --set model.ngram_order=0");
    }
    if (phase.depth < 0) continue;
    if (trial == nullptr) trial = MakeModel(model.config(), false);
    trial->SetDepth(phase.depth);
  }
}

int Phases::depth() const {
  int depth = -1;
  for (int i = 0; i <= current_; ++i) {
    const int own = phases_[static_cast<size_t>(i)].depth;
    if (own >= 0) depth = own;
  }
  return depth;
}

double Phases::Part(double fraction) const {
  const double from = phase().from, to = current_ + 1 < count() ? phases_[static_cast<size_t>(current_) + 1].from : 1;
  return to > from ? std::clamp((fraction - from) / (to - from), 0.0, 1.0) : 1;
}

bool Phases::Advance(double fraction) {
  const int before = current_;
  while (current_ + 1 < count() && fraction >= phases_[static_cast<size_t>(current_) + 1].from) ++current_;
  return current_ != before;
}

}  // namespace flashlm
