// Documents of a second source that are mixed among those of a data set.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "data/documents.h"
#include "text/tokenizer.h"

namespace flashlm {

struct MixOptions {
  std::string source;             // what OpenSource (data/sources.h) takes; "": none
  double share = 0;               // of the training tokens
  Json options = Json::object();  // of that source
};
// "probes=0.1". Throws UsageError.
MixOptions ParseMix(const std::string& text);

// One after the other, in the source's order and again from its start at its end, so that wherever one stops about
// `share` of the tokens so far are theirs.
class Mixture {
 public:
  // Throws as OpenSource does.
  explicit Mixture(const MixOptions& options);

  // Leaves out the documents for which it returns true, and counts them.
  void LeaveOut(std::function<bool(std::string_view document)> which) { left_out_by_ = std::move(which); }

  const DocumentSource& source() const { return *source_; }
  Json Identity() const { return {source_->Identity(), options_.share}; }

  struct Document {
    std::vector<uint16_t> ids;  // with <eos>
    int64_t bytes = 0;
  };
  // Calls add(document) for those that are due after so many more tokens of the data set's own. Throws Error if the
  // source holds no text.
  template <class Add>
  void After(int64_t tokens, const Tokenizer& tokenizer, const Add& add) {
    due_ += options_.share / (1 - options_.share) * static_cast<double>(tokens);
    for (;;) {
      if (next_.ids.empty()) next_ = Read(tokenizer);
      if (due_ < static_cast<double>(next_.ids.size())) return;
      due_ -= static_cast<double>(next_.ids.size());
      add(next_);
      next_ = {};
    }
  }

  // For meta.json: {"source", "share" as asked for, documents that were left out, and what the source says of itself}.
  Json Describe() const;

 private:
  Document Read(const Tokenizer& tokenizer);

  MixOptions options_;
  std::unique_ptr<DocumentSource> source_;
  DocumentBatch batch_;
  size_t read_ = 0;  // documents of the batch
  double due_ = 0;   // tokens
  std::function<bool(std::string_view)> left_out_by_;
  int64_t left_out_ = 0;  // documents, each time that they came
  Document next_;         // not added yet
};

// Of what meta.json says of it, one line.
std::string DescribeMix(const Json& mix);

}  // namespace flashlm
