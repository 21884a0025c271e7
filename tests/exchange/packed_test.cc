// What is in a packed file, as the report has it, and that its tokenizer is read as others are.
#include <memory>

#include "exchange/packed_export.h"
#include "ngram/ngram_counts.h"
#include "tests/exchange/exchange_testing.h"

namespace flashlm {
namespace {

TEST(PackedExport, NGramsAreNamed) {
  const Scratch scratch;
  const LoadedModel loaded = TinyLoaded("gpt", {{"ngram_order", 3}});
  NGramOptions options;
  options.order = 3;
  options.vocab = loaded.model->vocab();
  options.eos = Tokenizer::kEos;
  std::vector<uint16_t> tokens = TinyTokenizer().Encode("Once upon a time there was a little cat.");
  tokens.push_back(Tokenizer::kEos);
  const NGramModel counted = NGramCounts(tokens, options).Pack();
  loaded.model->SetNGrams(std::make_shared<NGramModel>(counted));
  const PackedReport report = ExportPacked(loaded, scratch / "model.flm", {});
  EXPECT_EQ(report.ngram_bytes, counted.Serialize().size());
  EXPECT_EQ(report.bytes, report.ternary_bytes + report.float_bytes + report.ngram_bytes + report.other_bytes);
  EXPECT_EQ(ToJson(report).at("ngram_bytes"), report.ngram_bytes);
  ExpectContains(Describe(report), " MB n-grams, ");
}

TEST(PackedExport, WithoutNGramsNoneAreNamed) {
  const Scratch scratch;
  const PackedReport report = ExportPacked(TinyLoaded("v5-thunderbolt"), scratch / "model.flm", {});
  EXPECT_EQ(report.ngram_bytes, 0u);
  EXPECT_EQ(report.bytes, report.ternary_bytes + report.float_bytes + report.other_bytes);
  EXPECT_EQ(Describe(report).find("n-grams"), std::string::npos);
}

TEST(PackedExport, ItsTokenizerIsReadAsOthersAre) {
  const Scratch scratch;
  const std::string path = scratch / "model.flm";
  ExportPacked(TinyLoaded("gpt"), path, {});
  EXPECT_EQ(LoadTokenizer(path).Hash(), TinyTokenizer().Hash());
  const std::string bytes = ReadFile(path);
  Overwrite(path, bytes.substr(0, bytes.size() / 2));
  ExpectContains(ErrorOf([&] { LoadTokenizer(path); }), "is not a sound packed model: it is truncated");
}

}  // namespace
}  // namespace flashlm
