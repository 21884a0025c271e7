#include "report/run_log_table.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "base/error.h"

namespace flashlm {
namespace {

constexpr size_t kMostColumns = 256;
constexpr size_t kMostOfOne = 32;  // numbers of an object or list

// Of a line of either kind; none if it lacks its step or tokens.
std::optional<Moment> MomentOf(const Json& line, const char* step_key) {
  const auto step = line.find(step_key), tokens = line.find("tokens"), seconds = line.find("seconds");
  if (step == line.end() || !step->is_number_integer() || tokens == line.end() || !tokens->is_number_integer()) {
    return std::nullopt;
  }
  Moment at{step->get<int64_t>(), tokens->get<int64_t>(), 0};
  if (seconds != line.end() && seconds->is_number()) at.seconds = seconds->get<double>();
  return at;
}

void AddPhase(const Moment& at, const Json& line, std::vector<LoggedPhase>& phases) {
  const auto phase = line.find("phase");
  if (phase == line.end() || !phase->is_number_integer()) return;
  const auto number = phase->get<int64_t>();
  if (phases.empty() || phases.back().number != number) {
    phases.push_back({number, phases.empty() ? at : phases.back().end, at});
  }
  phases.back().end = at;
}

}  // namespace

LogColumn* LogTable::ColumnOf(const std::string& name) {
  if (next_ < columns_.size() && columns_[next_].name == name) return &columns_[next_++];
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].name != name) continue;
    next_ = i + 1;
    return &columns_[i];
  }
  if (columns_.size() == kMostColumns) return nullptr;
  columns_.push_back({name, {}, {}});
  next_ = columns_.size();
  return &columns_.back();
}

void LogTable::AddNumbers(const std::string& name, const Json& value, int depth) {
  if (value.is_number() || value.is_null()) {
    LogColumn* column = ColumnOf(name);
    if (column == nullptr) return;
    column->rows.push_back(static_cast<uint32_t>(moments_.size() - 1));
    column->values.push_back(value.is_null() ? std::nan("") : value.get<double>());
  } else if (value.is_structured() && depth < 2 && value.size() <= kMostOfOne) {
    for (const auto& [key, inner] : value.items()) {
      AddNumbers(name.empty() ? key : name + "." + key, inner, depth + 1);
    }
  }
}

void LogTable::Add(const Moment& at, const Json& line) {
  moments_.push_back(at);
  next_ = 0;
  for (const auto& [key, value] : line.items()) AddNumbers(key, value, 0);
}

const LogColumn* LogTable::Find(std::string_view name) const {
  for (const LogColumn& column : columns_) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

Series LogTable::Of(std::string_view name, size_t owner, const std::string& label) const {
  Series series{owner, label, {}, {}};
  const LogColumn* column = Find(name);
  if (column == nullptr) return series;
  for (const uint32_t row : column->rows) series.at.push_back(moments_[row]);
  series.values = column->values;
  return series;
}

RunLogFile ReadRunLog(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  RunLogFile log;
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object()) {
      if (const auto at = MomentOf(json, "step")) {
        log.steps.Add(*at, json);
        const auto verdict = json.find("verdict");
        log.skipped += verdict != json.end() && verdict->is_string() && *verdict != "applied";
        AddPhase(*at, json, log.phases);
        continue;
      }
      if (const auto at = MomentOf(json, "eval_step")) {
        log.evaluations.Add(*at, json);
        continue;
      }
    }
    if (log.damaged++ == 0) log.first_damaged = number;
  }
  if (file.bad()) throw Error(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  return log;
}

}  // namespace flashlm
