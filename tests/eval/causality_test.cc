#include "eval/causality.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/isa.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

class CausalModel : public testing::TestWithParam<ModelEntry> {};

TEST_P(CausalModel, IsCausal) {
  const auto model = TinyModel(GetParam());
  const CausalityReport report = CheckCausality(*model, DType::kF32);
  EXPECT_TRUE(report.passed()) << ToJson(report).dump();
  EXPECT_EQ(report.positions, CausalityOptions().length);
}

TEST_P(CausalModel, IsCausalInBf16) {
  if (!kernels::HasNativeBf16()) GTEST_SKIP() << "no native bf16";
  const auto model = TinyModel(GetParam());
  const CausalityReport report = CheckCausality(*model, DType::kBF16);
  EXPECT_TRUE(report.passed()) << ToJson(report).dump();
}

INSTANTIATE_TEST_SUITE_P(Architectures, CausalModel, testing::ValuesIn(RegisteredModels()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

// Bad on purpose: a token's hidden vector is an embedding chosen by the token and one more, by which one it
// errs.
class FaultyModel final : public Model {
 public:
  struct Config {
    int vocab = 20;
    std::string reads = "next";
    void VisitFields(FieldVisitor& v) {
      v.Int("vocab", vocab, 2, 1000, "");
      v.Text("reads", reads, {"next", "far", "neighbour", "nothing", "previous without state"}, "");
    }
    void Validate() const {}
  };
  static Config Tiny() { return {}; }

  explicit FaultyModel(const Config& config) : c_(config) {
    table_ = bank().Add({"embed.weight", {c_.vocab, 8}, Role::kEmbedding, Init::Normal(0.5f)});
  }

  Prediction Forward(Tape& tape, const int32_t* tokens) override {
    int32_t* mixed = tape.Keep<int32_t>(int64_t{tape.rows()});
    for (int n = 0; n < tape.rows(); ++n) mixed[n] = (tokens[n] + 3 * Other(tape, tokens, n)) % c_.vocab;
    if (c_.reads == "nothing") std::fill_n(mixed, tape.rows(), 1);
    Prediction prediction;
    prediction.hidden = Embedding(tape, mixed, table_);
    prediction.head = table_;
    return prediction;
  }

 private:
  int32_t Other(const Tape& tape, const int32_t* tokens, int n) const {
    const int t = n % tape.length();
    if (c_.reads == "next") return t + 1 < tape.length() ? tokens[n + 1] : 0;
    if (c_.reads == "far") return t + 40 < tape.length() ? tokens[n + 40] : 0;
    if (c_.reads == "neighbour") return tokens[(n + tape.length()) % tape.rows()];
    if (c_.reads == "previous without state") return t > 0 ? tokens[n - 1] : 0;
    return 0;
  }

  Config c_;
  Param table_;
};

CausalityReport ReportOn(const char* reads, const CausalityOptions& options = {}) {
  // Registered only once the tests of all real architectures have been listed.
  [[maybe_unused]] static const bool registered = RegisterModelType<FaultyModel>("faulty");
  const auto model = MakeModel({{"architecture", "faulty"}, {"reads", reads}}, false);
  model->bank().Initialize(1);
  return CheckCausality(*model, DType::kF32, options);
}

TEST(CheckCausality, FindsAModelThatSeesTheFuture) {
  const CausalityReport report = ReportOn("next");
  EXPECT_GT(report.leak, 0.1);
  EXPECT_FALSE(report.passed());
  EXPECT_EQ(ToJson(report)["passed"], false);
}

// A leak that begins behind a window shows only in a sequence that is longer, and then a few changed tokens are enough.
TEST(CheckCausality, FindsALeakFromFarWithFewChanges) {
  EXPECT_EQ(ReportOn("far", {.length = 24}).leak, 0);
  const CausalityReport report = ReportOn("far", {.length = 200, .changes = 8});
  EXPECT_EQ(report.positions, 8);
  EXPECT_GT(report.leak, 0.1);
  EXPECT_EQ(ReportOn("far", {.length = 30, .changes = 100}).positions, 30);
}

TEST(CheckCausality, FindsAModelThatMixesRows) {
  const CausalityReport report = ReportOn("neighbour");
  EXPECT_GT(report.neighbour_change, 0.1);
  EXPECT_FALSE(report.passed());
}

TEST(CheckCausality, FindsAModelThatDoesNotReadItsInput) {
  const CausalityReport report = ReportOn("nothing");
  EXPECT_EQ(report.without_effect, report.positions);
  EXPECT_FALSE(report.passed());
}

TEST(CheckCausality, FindsAModelThatForgetsBetweenPieces) {
  const CausalityReport report = ReportOn("previous without state");
  EXPECT_EQ(report.leak, 0);
  EXPECT_GT(report.split_difference, 0.1);
  EXPECT_FALSE(report.passed());
}

}  // namespace
}  // namespace flashlm
