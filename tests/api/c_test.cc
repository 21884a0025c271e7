#include <flashlm/flashlm.h>

#include <cstring>
#include <thread>

#include "base/json.h"
#include "tests/api/api_fixture.h"

namespace flashlm {
namespace {

// A string of JSON that is the caller's.
Json Take(char* json) {
  Json parsed = ParseJson(json, "C");
  flashlm_free(json);
  return parsed;
}

class CApiTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    ASSERT_EQ(flashlm_model_load(folder_.c_str(), &model_), FLASHLM_OK) << flashlm_error();
    ASSERT_EQ(flashlm_session_new(model_, "f32", &session_), FLASHLM_OK) << flashlm_error();
  }
  void TearDown() override {
    flashlm_session_free(session_);
    flashlm_model_free(model_);
  }
  flashlm_model* model_ = nullptr;
  flashlm_session* session_ = nullptr;
};

TEST_F(CApiTest, GivesWhatTheCppApiGives) {
  const api::Model model = api::Model::Load(folder_);
  EXPECT_STREQ(flashlm_version(), Version());
  EXPECT_EQ(flashlm_model_vocab(model_), model.vocab());
  char* json = nullptr;
  ASSERT_EQ(flashlm_model_describe(model_, &json), FLASHLM_OK);
  const Json described = Take(json);
  EXPECT_EQ(described["parameters"], model.parameters());
  EXPECT_EQ(described["config"], engine_->config());

  flashlm_tokenizer* tokenizer = nullptr;
  ASSERT_EQ(flashlm_model_tokenizer(model_, &tokenizer), FLASHLM_OK);
  EXPECT_EQ(flashlm_tokenizer_vocab(tokenizer), model.vocab());
  const std::string text("The dog\0 was", 12);
  int32_t* ids = nullptr;
  size_t count = 0;
  ASSERT_EQ(flashlm_tokenizer_encode(tokenizer, text.data(), text.size(), &ids, &count), FLASHLM_OK);
  const std::vector<int32_t> encoded(ids, ids + count);
  EXPECT_EQ(encoded, model.tokenizer().Encode(text));
  char* decoded = nullptr;
  size_t size = 0;
  ASSERT_EQ(flashlm_tokenizer_decode(tokenizer, ids, count, &decoded, &size), FLASHLM_OK);
  EXPECT_EQ(std::string(decoded, size), text);
  flashlm_free(decoded);
  flashlm_free(ids);
  flashlm_tokenizer_free(tokenizer);

  std::vector<float> nats(count), logits(count * static_cast<size_t>(model.vocab()));
  ASSERT_EQ(flashlm_model_score(model_, "f32", encoded.data(), count, nats.data()), FLASHLM_OK);
  EXPECT_EQ(nats, model.Score(encoded, "f32"));
  ASSERT_EQ(flashlm_model_logits(model_, nullptr, encoded.data(), count, logits.data()), FLASHLM_OK);
  EXPECT_EQ(logits, model.Logits(encoded));

  std::vector<float> next(static_cast<size_t>(model.vocab()));
  ASSERT_EQ(flashlm_session_feed(session_, encoded.data(), count, next.data()), FLASHLM_OK);
  EXPECT_EQ(flashlm_session_position(session_), static_cast<int64_t>(count));
  api::Session session(model, "f32");
  const std::span<const float> expected = session.Feed(encoded);
  EXPECT_EQ(next, std::vector<float>(expected.begin(), expected.end()));
  ASSERT_EQ(flashlm_session_reset(session_), FLASHLM_OK);
  EXPECT_EQ(flashlm_session_position(session_), 0);

  const char* documents[] = {"The cat was happy."};
  const size_t sizes[] = {std::strlen(documents[0])};
  flashlm_evaluation evaluation;
  ASSERT_EQ(flashlm_model_evaluate(model_, "f32", documents, sizes, 1, &evaluation), FLASHLM_OK);
  EXPECT_EQ(evaluation.bits_per_byte, model.Evaluate(std::vector<std::string_view>{documents[0]}, "f32").bits_per_byte);
}

TEST_F(CApiTest, WritesTokenByToken) {
  flashlm_generate_options options = flashlm_generate_defaults();
  EXPECT_EQ(options.max_tokens, api::GenerateOptions().max_tokens);
  EXPECT_EQ(options.search_beta, api::GenerateOptions().search_beta);
  options.max_tokens = 20;
  options.seed = 9;
  flashlm_generator* generator = nullptr;
  ASSERT_EQ(flashlm_generator_new(session_, "The", 3, &options, &generator), FLASHLM_OK) << flashlm_error();
  std::string text;
  const char* piece = nullptr;
  size_t size = 0;
  do {
    ASSERT_EQ(flashlm_generator_next(generator, &piece, &size), FLASHLM_OK) << flashlm_error();
    if (piece != nullptr) text.append(piece, size);
  } while (piece != nullptr);
  char* json = nullptr;
  ASSERT_EQ(flashlm_generator_describe(generator, &json), FLASHLM_OK);
  EXPECT_EQ(Take(json)["text"], text);
  flashlm_generator_free(generator);
  api::Session session(api::Model::Load(folder_), "f32");
  EXPECT_EQ(text, session.Generate("The", {.max_tokens = 20, .seed = 9}).text);
}

TEST_F(CApiTest, FailuresAreAStatusAndAMessage) {
  flashlm_model* model = nullptr;
  EXPECT_EQ(flashlm_model_load("/no/model/here", &model), FLASHLM_FAILED);
  EXPECT_EQ(model, nullptr);
  EXPECT_NE(std::string(flashlm_error()).find("/no/model/here"), std::string::npos);
  EXPECT_EQ(flashlm_model_load(nullptr, &model), FLASHLM_USAGE);
  EXPECT_NE(std::string(flashlm_error()).find("NULL"), std::string::npos);
  flashlm_session* session = nullptr;
  EXPECT_EQ(flashlm_session_new(model_, "f16", &session), FLASHLM_USAGE);
  EXPECT_NE(std::string(flashlm_error()).find("hint"), std::string::npos) << flashlm_error();
  const int32_t wrong = 1 << 30;
  EXPECT_EQ(flashlm_session_feed(session_, &wrong, 1, nullptr), FLASHLM_USAGE);
  EXPECT_EQ(flashlm_session_feed(session_, nullptr, 1, nullptr), FLASHLM_USAGE);
  EXPECT_EQ(flashlm_session_feed(nullptr, &wrong, 1, nullptr), FLASHLM_USAGE);
  char* result = nullptr;
  const flashlm_train_config config = {};
  EXPECT_EQ(flashlm_train(&config, nullptr, nullptr, &result), FLASHLM_USAGE);
  const char* settings[] = {nullptr};
  flashlm_train_config hollow = {};
  hollow.set = settings;
  hollow.set_count = 1;
  EXPECT_EQ(flashlm_train(&hollow, nullptr, nullptr, &result), FLASHLM_USAGE);
  EXPECT_EQ(flashlm_tokenizer_vocab(nullptr), 0);
  EXPECT_EQ(flashlm_model_vocab(nullptr), 0);
  EXPECT_EQ(flashlm_session_position(nullptr), -1);
  // A message is the thread's own.
  std::thread([] { EXPECT_STREQ(flashlm_error(), ""); }).join();
  for (void (*free)() : {+[] { flashlm_model_free(nullptr); }, +[] { flashlm_session_free(nullptr); },
                         +[] { flashlm_tokenizer_free(nullptr); }, +[] { flashlm_generator_free(nullptr); },
                         +[] { flashlm_free(nullptr); }}) {
    free();
  }
}

}  // namespace
}  // namespace flashlm
