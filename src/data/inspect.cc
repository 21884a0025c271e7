#include "data/inspect.h"

#include "base/error.h"
#include "base/progress.h"
#include "data/documents.h"
#include "data/shards.h"

namespace flashlm {

Json InspectData(const std::string& folder) {
  const Json meta = ReadDataMeta(folder);
  Json report = {
      {"folder", folder}, {"source", meta.value("source", "")}, {"validation", meta.value("validation", "")}};
  report["fingerprint"] = DataFingerprint(folder, meta);
  Json splits;
  int64_t documents = 0, tokens = 0, bytes = 0;
  for (const char* split : {"train", "valid"}) {
    const TokenData data(folder, split);
    report["vocab_size"] = data.vocab_size();
    const Json& part = meta.at(split);
    splits[split] = {{"documents", part.value("documents", int64_t{0})},
                     {"tokens", data.size()},
                     {"bytes", part.value("bytes", int64_t{0})}};
    if (part.contains("subset_tokens")) splits[split]["subset_tokens"] = part["subset_tokens"];
    documents += splits[split]["documents"].get<int64_t>();
    tokens += data.size();
    bytes += splits[split]["bytes"].get<int64_t>();
  }
  [[maybe_unused]] const DocumentFile readable(folder + "/valid.txt");
  report.update({{"documents", documents}, {"tokens", tokens}, {"bytes", bytes}});
  report.update(splits);
  return report;
}

std::string DescribeData(const Json& report) {
  std::string text =
      fmt::format("{}: {} tokens of {} documents, vocabulary {}, from {}\n", report.at("folder").get<std::string>(),
                  report.at("tokens").get<int64_t>(), report.at("documents").get<int64_t>(),
                  report.at("vocab_size").get<int>(), report.at("source").get<std::string>());
  for (const char* split : {"train", "valid"}) {
    const Json& part = report.at(split);
    text += fmt::format("{}: {} documents, {} tokens, {} bytes{}\n", split, part.at("documents").get<int64_t>(),
                        part.at("tokens").get<int64_t>(), part.at("bytes").get<int64_t>(),
                        part.contains("subset_tokens") ? ", the first tokens of a longer text" : "");
  }
  return text + fmt::format("fingerprint: {}\n", report.at("fingerprint").get<std::string>());
}

}  // namespace flashlm
