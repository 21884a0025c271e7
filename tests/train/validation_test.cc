#include "train/validation.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"

namespace flashlm {
namespace {

class ValidationTest : public testing::Test {
 protected:
  ValidationTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_valid_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ValidationTest() override { std::filesystem::remove_all(folder_); }
  void Write(const std::string& text) { WriteFileAtomic(folder_ + "/valid.txt", text); }

  std::string folder_;
};

TEST_F(ValidationTest, NoDocumentIsInBothParts) {
  Write("a\n<|endoftext|>\nb\n<|endoftext|>\nc\n<|endoftext|>\nd\n<|endoftext|>\ne\n");
  const Validation validation(folder_);
  EXPECT_EQ(std::vector(validation.dev().begin(), validation.dev().end()),
            (std::vector<std::string_view>{"a", "c", "e"}));
  EXPECT_EQ(std::vector(validation.test().begin(), validation.test().end()), (std::vector<std::string_view>{"b", "d"}));
  EXPECT_EQ(validation.test_name(), "test");
}

TEST_F(ValidationTest, OneDocumentIsBothAndSaysSo) {
  Write("only one\n");
  const Validation validation(folder_);
  EXPECT_EQ(validation.dev().size(), 1u);
  EXPECT_EQ(validation.test().size(), 1u);
  EXPECT_EQ(validation.test_name(), "all");
}

TEST_F(ValidationTest, NoneIsRefused) {
  Write("\n<|endoftext|>\n \n");
  EXPECT_THROW(Validation{folder_}, Error);
}

TEST(EvaluationTime, IsAShareOfTheTraining) {
  const EvaluationTime time(0.1, 600);
  EXPECT_DOUBLE_EQ(time.OnTheWay(), 30);
  EXPECT_DOUBLE_EQ(time.Reported(), 30);
  EXPECT_DOUBLE_EQ(time.Each(8), 30.0 / 8);
  EXPECT_DOUBLE_EQ(EvaluationTime(0.1, 1).OnTheWay(), 2) << "a short try can spare that";
}

TEST(EvaluationTime, SlowEvaluationsBecomeFewer) {
  const EvaluationTime time(0.1, 600);
  int done = 0;
  double spent = 0;
  for (int i = 1; i <= 8; ++i) {
    if (!time.Allows(i / 8.0, 8, spent, 10)) continue;
    spent += 10;
    ++done;
  }
  EXPECT_EQ(done, 3);
  EXPECT_TRUE(time.Allows(1 / 8.0, 8, 0, 0)) << "the first one, whose cost nobody knows";
}

}  // namespace
}  // namespace flashlm
