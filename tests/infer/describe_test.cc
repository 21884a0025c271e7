#include "infer/describe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "base/fields.h"
#include "nn/linear.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

// One ternary map of each common kind and a float one.
class Mixed final : public Model {
 public:
  struct Config {
    int vocab = 290;
    void VisitFields(FieldVisitor& v) { v.Int("vocab", vocab, 2, 65536, "tokens in the vocabulary"); }
    void Validate() const {}
  };
  static Config Tiny() { return {}; }
  explicit Mixed(const Config& c) {
    bank().Add({"embed.weight", {c.vocab, 8}, Role::kEmbedding, Init::Normal(1)});
    row_ = AddLinear(bank(), {{"row", 6, Init::Normal(1)}}, 8, {kernels::Ternary::kRow, false});
    AddLinear(bank(), {{"mean", 5, Init::Constant(0)}}, 8, {kernels::Ternary::kMean, false});
  }
  Prediction Forward(Tape&, const int32_t*) override { return {}; }
  Param row_;
};

TEST(Describe, CountsTritsAndBytes) {
  Mixed model({.vocab = 290});
  model.bank().Allocate(false);
  float* row = model.bank().Value(model.row_);
  for (int i = 0; i < 48; ++i) row[i] = i % 8 < 2 ? -1.0f : i % 8 < 5 ? 0.1f : 1.0f;  // 2 / 3 / 3 of every 8
  const Json json = DescribeModel(model, 0);
  EXPECT_EQ(json.at("parameters"), 290 * 8 + 48 + 40);
  EXPECT_EQ(json.at("ternary_parameters"), 88);
  const Json& tensors = json.at("tensors");
  EXPECT_FALSE(tensors[0].contains("ternary"));
  EXPECT_EQ(tensors[0].at("packed_bytes"), tensors[0].at("bytes"));
  EXPECT_EQ(tensors[1].at("ternary"), "row");
  EXPECT_EQ(tensors[1].at("ternary_fractions"), Json({0.25, 0.375, 0.375}));
  EXPECT_EQ(tensors[1].at("packed_bytes"), 48 / 4 + 6 * 4);
  EXPECT_EQ(tensors[2].at("ternary_fractions"), Json({0.0, 1.0, 0.0}));
  EXPECT_EQ(tensors[2].at("packed_bytes"), 40 / 4 + 4);
  EXPECT_EQ(json.at("packed_bytes"), 290 * 8 * 4 + 36 + 14);
  EXPECT_EQ(TernaryFractions(model.bank()), json.at("ternary_fractions"));
  EXPECT_EQ(TernaryFractions(model.bank()), Json({12 / 88.0, (18 + 40) / 88.0, 18 / 88.0}));

  const std::string table = DescriptionTable(json);
  EXPECT_NE(table.find("25.0 / 37.5 / 37.5"), std::string::npos) << table;
  EXPECT_NE(table.find("88 of them ternary"), std::string::npos) << table;
}

// A token table and a sparse one.
class WithTable final : public Model {
 public:
  WithTable() {
    bank().Add({"embed.weight", {10, 8}, Role::kEmbedding, Init::Normal(1)});
    bank().AddTable("bigrams", 1 << 18, 4, Init::Zero());
    bank().Allocate(false);
  }
  Prediction Forward(Tape&, const int32_t*) override { return {}; }
};

TEST(Describe, TablesAreParametersWhoseGradientsTakeNoRoom) {
  const Json json = DescribeModel(WithTable(), 0);
  EXPECT_EQ(json.at("parameters"), 80 + (1 << 20));
  EXPECT_EQ(json.at("table_parameters"), 1 << 20);
  const Json& tensor = json.at("tensors").at(1);
  EXPECT_EQ(tensor.at("name"), "bigrams");
  EXPECT_EQ(tensor.at("shape"), Json({1 << 18, 4}));
  EXPECT_EQ(tensor.at("role"), "table");
  const Json& memory = json.at("memory_mb");
  EXPECT_EQ(memory.at("tables"), 4.0);
  EXPECT_NEAR(memory.at("parameters").get<double>(), 4, 0.01);
  EXPECT_NEAR(memory.at("training").get<double>(), 4 + 1, 0.01);  // one integer a row finds its gradient
  EXPECT_EQ(json.at("training_flops_per_token"), 6.0 * 80);
}

TEST(Describe, WithoutTernaryWeightsNothingIsSaidOfThem) {
  const auto model = TinyModel(FindModel("cortex-viii"));
  const Json json = DescribeModel(*model, 3 << 20);
  const double floats = static_cast<double>(model->bank().size());
  EXPECT_DOUBLE_EQ(json.at("memory_mb").at("training").get<double>(), 2 * floats * 4 / 1048576 + 12);
  EXPECT_EQ(json.at("ternary_share"), 0.0);
  EXPECT_TRUE(json.at("ternary_fractions").is_null());
  EXPECT_EQ(json.at("bytes"), json.at("packed_bytes"));
  const std::string table = DescriptionTable(json);
  EXPECT_EQ(table.find("ternary"), std::string::npos);
  // Aligned: a line's shape ends where the heading's does.
  std::istringstream lines(table);
  std::string heading, line;
  std::getline(lines, heading);
  std::getline(lines, line);
  EXPECT_EQ(line.find("32  "), heading.find("shape") + 3);
}

}  // namespace
}  // namespace flashlm
