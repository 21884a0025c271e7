#include "report/run_record.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/utf8.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostSamples = 12, kMostOfSample = 4000;  // bytes

std::string Beginning(const std::string& text, size_t most) {
  return text.size() <= most ? text : text.substr(0, WholeCharacters(text, most)) + " …";
}

// "== step N", the text, an empty line; the text may hold empty lines.
std::vector<RunSample> SamplesOf(const std::string& content) {
  constexpr std::string_view kHeading = "== step ";
  std::vector<RunSample> samples;
  size_t begin = content.starts_with(kHeading) ? 0 : content.find(fmt::format("\n{}", kHeading));
  if (begin == std::string::npos) return samples;
  if (begin > 0) ++begin;
  while (begin < content.size()) {
    const size_t next = content.find(fmt::format("\n\n{}", kHeading), begin);
    const size_t end = next == std::string::npos ? content.size() : next + 2;
    const size_t text = std::min(content.find('\n', begin), end - 1) + 1;
    RunSample sample{std::strtoll(content.c_str() + begin + kHeading.size(), nullptr, 10), ""};
    std::string whole = content.substr(text, end - text);
    while (whole.ends_with('\n')) whole.pop_back();
    sample.text = Beginning(whole, kMostOfSample);
    samples.push_back(std::move(sample));
    begin = end;
  }
  return samples;
}

// First and last and others at equal distances.
std::vector<RunSample> Some(std::vector<RunSample> all) {
  if (all.size() <= kMostSamples) return all;
  std::vector<RunSample> some;
  for (size_t i = 0; i < kMostSamples; ++i) some.push_back(all[i * (all.size() - 1) / (kMostSamples - 1)]);
  return some;
}

// An object from a file that need not be there; what is wrong with one that is becomes a note.
template <class Read>
Json ObjectFrom(RunRecord& run, const char* file, Read read) {
  const std::string path = run.folder + "/" + file;
  if (!Exists(path)) return Json::object();
  try {
    Json json = read(path);
    if (json.is_object()) return json;
    run.notes.push_back(fmt::format("{} is damaged: no object", file));
  } catch (const Error& e) {
    run.notes.push_back(e.OneLine());
  }
  return Json::object();
}

void ReadLogInto(RunRecord& run) {
  if (!Exists(run.folder + "/log.jsonl")) {
    run.notes.push_back("there is no log.jsonl");
    return;
  }
  try {
    run.log = ReadRunLog(run.folder + "/log.jsonl");
  } catch (const Error& e) {
    run.notes.push_back(e.OneLine());
  }
  if (run.log.damaged > 0) {
    run.notes.push_back(fmt::format("{} line{} of log.jsonl cannot be read (the first is line {}), left out",
                                    run.log.damaged, run.log.damaged == 1 ? "" : "s", run.log.first_damaged));
  }
}

void ReadSamplesInto(RunRecord& run) {
  if (!Exists(run.folder + "/samples.txt")) return;
  try {
    std::vector<RunSample> samples = SamplesOf(ReadFile(run.folder + "/samples.txt"));
    run.samples_left_out = static_cast<int64_t>(samples.size());
    run.samples = Some(std::move(samples));
    run.samples_left_out -= static_cast<int64_t>(run.samples.size());
  } catch (const Error& e) {
    run.notes.push_back(e.OneLine());
  }
}

std::string LastOf(const std::string& folder) {
  fs::path path = fs::path(folder).lexically_normal();
  if (!path.has_filename() || path.filename() == "." || path.filename() == "..") {
    std::error_code code;
    path = fs::canonical(path, code);
  }
  return path.has_filename() ? path.filename().string() : folder;
}

const Json* ValueAt(const Json& json, std::string_view path) {
  const Json* at = &json;
  while (!path.empty()) {
    const std::string key(path.substr(0, path.find('.')));
    path.remove_prefix(std::min(key.size() + 1, path.size()));
    if (!at->is_object() || !at->contains(key)) return nullptr;
    at = &at->at(key);
  }
  return at;
}

}  // namespace

double NumberAt(const Json& json, std::string_view path) {
  const Json* value = ValueAt(json, path);
  return value != nullptr && value->is_number() ? value->get<double>() : std::nan("");
}

std::string TextAt(const Json& json, std::string_view path) {
  const Json* value = ValueAt(json, path);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

RunRecord ReadRun(const std::string& folder) {
  if (!Exists(folder)) throw Error(fmt::format("there is no folder '{}'", folder), "a folder that `train --out` made");
  if (!Exists(folder + "/config.toml") && !Exists(folder + "/log.jsonl")) {
    const bool comparison = Exists(folder + "/comparison.json");
    throw Error(
        fmt::format("'{}' is no run: it has neither config.toml nor log.jsonl", folder),
        comparison ? "a comparison: name the runs in it, as " + folder + "/NAME" : "a folder that `train --out` made");
  }
  RunRecord run;
  run.folder = folder;
  run.name = LastOf(folder);
  if (!Exists(folder + "/config.toml")) run.notes.push_back("there is no config.toml");
  run.config = ObjectFrom(run, "config.toml", [&](const std::string& path) {
    run.config_text = ReadFile(path);
    return ParseToml(run.config_text, path);
  });
  run.results = ObjectFrom(run, "results.json", ReadJsonFile);
  run.probes = ObjectFrom(run, "probe.json", ReadJsonFile);
  ReadLogInto(run);
  ReadSamplesInto(run);
  return run;
}

std::vector<RunRecord> ReadRuns(const std::vector<std::string>& folders) {
  std::vector<RunRecord> runs;
  std::multiset<std::string> names;
  for (const std::string& folder : folders) {
    runs.push_back(ReadRun(folder));
    names.insert(runs.back().name);
  }
  for (RunRecord& run : runs) {
    if (names.count(run.name) > 1) run.name = run.folder;
  }
  return runs;
}

}  // namespace flashlm
