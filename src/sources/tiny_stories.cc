// --input tinystories: TinyStoriesV2-GPT4 with its own validation text, downloaded once.
#include "data/sources.h"
#include "data/text_source.h"
#include "sources/download.h"

namespace flashlm {
namespace {

std::string Fetch(const RemoteFile& file) { return Download(file, TinyStoriesUrl(), CacheFolder() + "/tinystories"); }

class TinyStoriesSource final : public TextSource {
 public:
  static constexpr const char* kAbout = "TinyStoriesV2-GPT4, 2.2 GB from the Hugging Face hub";
  struct Options {
    void VisitFields(FieldVisitor&) {}
  };

  TinyStoriesSource(const std::string&, const Options&) : TextSource(Fetch(kTinyStoriesTrain)) {}

  std::unique_ptr<DocumentSource> Validation() const override {
    return std::make_unique<TextSource>(Fetch(kTinyStoriesValid));
  }
};

FLASHLM_REGISTER_SOURCE("tinystories", TinyStoriesSource);

}  // namespace
}  // namespace flashlm
