#include "infer/log_probabilities.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "infer/session.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

// Row by row what a session says that reads one token after the other, over the edge of a piece.
TEST(LogProbabilities, AreThoseOfAStreamReadTokenByToken) {
  for (const ModelEntry& entry : RegisteredModels()) {
    SCOPED_TRACE(entry.name);
    const std::unique_ptr<Model> model = TinyModel(entry);
    const int vocab = model->vocab();
    std::vector<int32_t> tokens;
    for (int i = 0; i < 270; ++i) tokens.push_back((i * 31 + i / 7) % vocab);
    std::vector<float> all(tokens.size() * static_cast<size_t>(vocab));
    ReadLogProbabilities(*model, DType::kF32, tokens, all.data());
    Session session(*model, DType::kF32);
    const float* row = all.data();
    for (size_t t = 0; t < tokens.size(); ++t, row += vocab) {
      const float* expected = session.Feed(tokens[t]);
      for (int v = 0; v < vocab; ++v) ASSERT_NEAR(row[v], expected[v], 2e-4) << "token " << t << ", id " << v;
    }
  }
}

TEST(LogProbabilities, RefuseIdsOutsideTheVocabulary) {
  const std::unique_ptr<Model> model = TinyModel(RegisteredModels().front());
  float unused;
  for (const int32_t id : {-1, model->vocab()}) {
    EXPECT_THROW(ReadLogProbabilities(*model, DType::kF32, {{id}}, &unused), Error);
  }
  ReadLogProbabilities(*model, DType::kF32, {}, &unused);
}

}  // namespace
}  // namespace flashlm
