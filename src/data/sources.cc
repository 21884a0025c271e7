#include "data/sources.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/paths.h"
#include "data/text_source.h"

namespace flashlm {
namespace {

std::vector<SourceEntry>& Entries() {
  static std::vector<SourceEntry> entries;
  return entries;
}

}  // namespace

void RegisterSource(SourceEntry entry) {
  std::vector<SourceEntry>& entries = Entries();
  const auto after = [&](const SourceEntry& other) { return other.name > entry.name; };
  entries.insert(std::find_if(entries.begin(), entries.end(), after), std::move(entry));
}

const std::vector<SourceEntry>& RegisteredSources() { return Entries(); }

std::unique_ptr<DocumentSource> OpenSource(const std::string& input, const Json& options) {
  for (const SourceEntry& entry : Entries()) {
    if (entry.name == input) return entry.open(input, options);
  }
  for (const SourceEntry& entry : Entries()) {
    if (!entry.ending.empty() && input.ends_with(entry.ending)) return entry.open(input, options);
  }
  if (!options.empty()) {
    throw UsageError(fmt::format("source.{}: text files have no options", options.begin().key()),
                     "sources that have some: flashlm data prepare --help");
  }
  return std::make_unique<TextSource>(input);
}

void RefuseOutputInside(const std::string& option, const std::string& out, const DocumentSource& source) {
  for (const std::string& path : source.paths()) {
    if (!std::filesystem::is_directory(path) || !IsInside(out, path)) continue;
    throw UsageError(fmt::format("{} '{}' lies inside the folder '{}' that is read", option, out, path),
                     "choose another place: what is in that folder counts as input");
  }
}

}  // namespace flashlm
