#include "data/mixture.h"

#include <charconv>

#include "base/error.h"
#include "data/sources.h"

namespace flashlm {
namespace {

// Nine times as much as the text: more of a source is better prepared as a data set of its own.
constexpr double kMostMixed = 0.9;

}  // namespace

MixOptions ParseMix(const std::string& text) {
  const size_t equals = text.rfind('=');
  const std::string share = equals == std::string::npos ? "" : text.substr(equals + 1);
  MixOptions options{text.substr(0, equals), 0};
  const auto [end, error] = std::from_chars(share.data(), share.data() + share.size(), options.share);
  if (options.source.empty() || share.empty() || error != std::errc() || end != share.data() + share.size()) {
    throw UsageError(fmt::format("--mix '{}': not SOURCE=SHARE", text), "as --mix probes=0.1");
  }
  if (!(options.share > 0 && options.share <= kMostMixed)) {
    throw UsageError(fmt::format("--mix '{}': the share of the tokens must lie between 0 and {}", text, kMostMixed),
                     "as --mix probes=0.1");
  }
  return options;
}

Mixture::Mixture(const MixOptions& options) : options_(options), source_(OpenSource(options.source, options.options)) {}

Mixture::Document Mixture::Read(const Tokenizer& tokenizer) {
  for (bool rewound = false;;) {
    while (read_ == batch_.documents.size()) {
      read_ = 0;
      if (source_->Next(batch_)) continue;
      if (rewound) {
        throw Error(fmt::format("'{}' holds no text to mix in{}", options_.source,
                                left_out_ > 0 ? " that is not validation text as well" : ""));
      }
      source_->Rewind();
      rewound = true;
    }
    const std::string_view text = batch_.documents[read_++];
    if (left_out_by_ && left_out_by_(text)) {
      ++left_out_;
      continue;
    }
    Document document{tokenizer.Encode(text), std::ssize(text)};
    document.ids.push_back(Tokenizer::kEos);
    return document;
  }
}

Json Mixture::Describe() const {
  Json json = {
      {"source", options_.source}, {"share", options_.share}, {"dropped_documents_also_in_validation", left_out_}};
  json.update(source_->Describe());
  return json;
}

std::string DescribeMix(const Json& mix) {
  const auto dropped = mix.value("dropped_documents_also_in_validation", int64_t{0});
  return fmt::format("mixed in: {} documents of '{}', {} tokens ({:.1f} % of train){}",
                     mix.at("documents").get<int64_t>(), mix.at("source").get<std::string>(),
                     mix.at("tokens").get<int64_t>(), 100 * mix.at("share_of_tokens").get<double>(),
                     dropped > 0 ? fmt::format("; {} that stand in the validation text left out", dropped) : "");
}

}  // namespace flashlm
