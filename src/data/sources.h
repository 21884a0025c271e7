// Where documents come from: a registry, as architectures have one (models/registry.h). A source is one file that ends
// with
//
//   FLASHLM_REGISTER_SOURCE("my-source", MySource);
//
// where MySource is a DocumentSource (data/documents.h) with
//
//   static constexpr const char* kAbout = "one line for --help";
//   struct Options { ...; void VisitFields(FieldVisitor& v); };      what --set KEY=VALUE sets
//   MySource(const std::string& input, const Options& options);      `input` is what --input said
//   static constexpr const char* kEnding = ".jsonl";                 may be missing: files it reads, beside its name
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/json.h"
#include "data/documents.h"

namespace flashlm {

struct SourceEntry {
  std::string name, about;
  std::string ending;  // "": none
  // Throws UsageError for unknown options, Error for what cannot be read.
  std::function<std::unique_ptr<DocumentSource>(const std::string& input, const Json& options)> open;
  std::function<std::string()> help;  // the options, one line each
};

void RegisterSource(SourceEntry entry);
const std::vector<SourceEntry>& RegisteredSources();  // by name

// Opens the source that is called `input`, else the one that reads files that end so, else text files
// (data/text_source.h), which have no options.
std::unique_ptr<DocumentSource> OpenSource(const std::string& input, const Json& options = Json::object());

// Throws UsageError if `out`, the value of `option`, lies inside a folder that the source reads: the next time it would
// read what was written there.
void RefuseOutputInside(const std::string& option, const std::string& out, const DocumentSource& source);

template <class S>
bool RegisterSourceType(const char* name) {
  SourceEntry entry;
  entry.name = name;
  entry.about = S::kAbout;
  if constexpr (requires { S::kEnding; }) entry.ending = S::kEnding;
  entry.open = [](const std::string& input, const Json& options) -> std::unique_ptr<DocumentSource> {
    typename S::Options fields;
    FieldsFromJson(options, "source", fields);
    return std::make_unique<S>(input, fields);
  };
  entry.help = [] { return FieldsHelp<typename S::Options>(); };
  RegisterSource(std::move(entry));
  return true;
}

}  // namespace flashlm

#define FLASHLM_REGISTER_SOURCE(name, Type) \
  [[maybe_unused]] static const bool kRegistered##Type = ::flashlm::RegisterSourceType<Type>(name)
