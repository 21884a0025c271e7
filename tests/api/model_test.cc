#include <cmath>

#include "base/json.h"
#include "data/documents.h"
#include "eval/evaluate.h"
#include "infer/generate.h"
#include "tests/api/api_fixture.h"

namespace flashlm {
namespace {

using Kind = api::Error::Kind;

constexpr char kText[] = "Once upon a time there was a little dog.";

std::vector<int32_t> Document(const api::Model& model) {
  std::vector<int32_t> ids = model.tokenizer().Encode(kText);
  ids.push_back(api::Tokenizer::kEos);
  return ids;
}

TEST_F(ApiTest, SaysWhatTheModelIs) {
  const api::Model model = api::Model::Load(folder_);
  EXPECT_EQ(model.architecture(), "cortex-viii");
  EXPECT_EQ(model.parameters(), engine_->bank().ParameterCount());
  EXPECT_EQ(model.vocab(), engine_->vocab());
  EXPECT_EQ(model.folder(), folder_);
  EXPECT_EQ(model.step(), -1);
  EXPECT_EQ(ParseJson(model.config(), "config"), engine_->config());
}

TEST_F(ApiTest, TokenizesAsTheEngineDoes) {
  const api::Tokenizer tokenizer = api::Model::Load(folder_).tokenizer();
  const std::string bytes("a\0\xff dog", 7);
  for (const std::string& text : {std::string(kText), bytes, std::string()}) {
    const std::vector<int32_t> ids = tokenizer.Encode(text);
    const std::vector<uint16_t> expected = TinyTokenizer().Encode(text);
    EXPECT_EQ(ids, std::vector<int32_t>(expected.begin(), expected.end()));
    EXPECT_EQ(tokenizer.Decode(ids), text);
  }
  tokenizer.Save(scratch_ / "tokenizer.json");
  EXPECT_EQ(api::Tokenizer::Load(scratch_ / "tokenizer.json").Encode(kText), tokenizer.Encode(kText));
  EXPECT_EQ(api::Tokenizer::Train(std::vector<std::string_view>{kText, kText}, 270).vocab(), 270);
  for (const int32_t id : {-1, 290, 1 << 20}) {
    ExpectApiError([&] { tokenizer.Decode(std::vector<int32_t>{5, id}); }, Kind::kUsage, "outside the vocabulary");
  }
  ExpectApiError([&] { api::Tokenizer::Train({}, 270); }, Kind::kUsage, "no text");
}

// What is scored is what `flashlm eval` scores, to the bit, and the logits say the same.
TEST_F(ApiTest, ScoresAndLogitsAgreeWithTheEvaluation) {
  const api::Model model = api::Model::Load(folder_);
  const std::vector<int32_t> ids = Document(model);
  const std::vector<float> nats = model.Score(ids, "f32");
  ASSERT_EQ(nats.size(), ids.size());
  double sum = 0;
  for (const float n : nats) sum += n;
  const std::vector<std::string_view> documents = {kText};
  const EvalResult expected = Evaluate(*engine_, DType::kF32, TinyTokenizer(), documents);
  EXPECT_EQ(sum, expected.nats);
  const api::Evaluation evaluation = model.Evaluate(documents, "f32");
  EXPECT_EQ(evaluation.bits_per_byte, expected.bits_per_byte());
  EXPECT_EQ(evaluation.tokens, std::ssize(ids));
  scratch_.Write("text.txt", std::string(kText) + "\n<|endoftext|>\n" + kText + "\n");
  EXPECT_EQ(model.EvaluateFile(scratch_ / "text.txt", "f32").documents, 2);
  EXPECT_EQ(model.EvaluateFile(scratch_ / "text.txt", "f32").bits_per_byte, expected.bits_per_byte());

  std::vector<int32_t> read = {api::Tokenizer::kEos};
  read.insert(read.end(), ids.begin(), ids.end() - 1);
  const std::vector<float> logits = model.Logits(read, "f32");
  const auto vocab = static_cast<size_t>(model.vocab());
  ASSERT_EQ(logits.size(), read.size() * vocab);
  for (size_t t = 0; t < read.size(); ++t) {
    double mass = 0;
    for (size_t v = 0; v < vocab; ++v) mass += std::exp(logits[t * vocab + v]);
    EXPECT_NEAR(mass, 1, 1e-5);
    EXPECT_NEAR(-logits[t * vocab + static_cast<size_t>(ids[t])], nats[t], 1e-5) << "token " << t;
  }
}

// Longer than the pieces in which it is read.
TEST_F(ApiTest, LogitsOfALongTextAreThoseOfItsBeginning) {
  const api::Model model = api::Model::Load(folder_);
  std::vector<int32_t> ids;
  for (int i = 0; i < 600; ++i) ids.push_back(4 + i * 7 % 256);
  const std::vector<float> all = model.Logits(ids, "f32");
  const std::vector<float> begun = model.Logits(std::span(ids).first(40), "f32");
  for (size_t i = 0; i < begun.size(); ++i) ASSERT_NEAR(all[i], begun[i], 1e-4);
  api::Session session(model, "f32");
  const std::span<const float> last = session.Feed(ids);
  EXPECT_EQ(session.position(), 600);
  for (size_t v = 0; v < last.size(); ++v) {
    ASSERT_NEAR(all[599 * last.size() + v], last[v], 1e-4);
  }
}

TEST_F(ApiTest, WritesWhatTheEngineWrites) {
  const api::Model model = api::Model::Load(folder_);
  flashlm::Session engine_session(*engine_, DType::kF32);
  GenerateOptions engine;
  engine.max_tokens = 40;
  engine.sampler = {.temperature = 0.9, .top_k = 50, .top_p = 0.9, .seed = 3};
  const Generation expected = Generate(engine_session, TinyTokenizer(), "The cat", engine, {});

  const api::GenerateOptions options{.max_tokens = 40, .temperature = 0.9, .top_k = 50, .top_p = 0.9, .seed = 3};
  api::Session session(model, "f32");
  std::string streamed;
  const api::Generation all = session.Generate("The cat", options, [&](std::string_view piece) {
    streamed += piece;
    return true;
  });
  EXPECT_EQ(all.tokens, expected.tokens);
  EXPECT_EQ(all.text, expected.text);
  EXPECT_EQ(streamed, all.text);
  EXPECT_EQ(all.prompt_tokens, expected.prompt_tokens);

  std::string pieces;
  api::Generator generator(session, "The cat", options);
  while (generator.Next()) pieces += generator.piece();
  EXPECT_FALSE(generator.Next());
  EXPECT_EQ(pieces, expected.text);
  EXPECT_EQ(generator.generation().tokens, expected.tokens);
}

TEST_F(ApiTest, AGeneratorCanBeEndedByItsCaller) {
  const api::Model model = api::Model::Load(folder_);
  api::Session session(model, "f32");
  int pieces = 0;
  const api::Generation ended =
      session.Generate("The", {.max_tokens = 100}, [&](std::string_view) { return ++pieces < 4; });
  EXPECT_EQ(pieces, 4);
  EXPECT_LT(ended.tokens.size(), 100u);
  EXPECT_EQ(ended.stop_reason, api::StopReason::kRequest);

  api::Generator first(session, "The");
  EXPECT_TRUE(first.Next());
  api::Generator second(session, "Once");
  EXPECT_TRUE(second.Next());
  ExpectApiError([&] { first.Next(); }, Kind::kUsage, "used for something else");
  EXPECT_TRUE(second.Next());
  session.Reset();
  EXPECT_EQ(session.position(), 0);
  ExpectApiError([&] { second.Next(); }, Kind::kUsage, "used for something else");
}

// Handles keep alive what they need.
TEST_F(ApiTest, ASessionOutlivesItsModel) {
  auto model = std::make_unique<api::Model>(api::Model::Load(folder_));
  const api::Tokenizer tokenizer = model->tokenizer();
  auto session = std::make_unique<api::Session>(*model, "f32");
  auto generator = std::make_unique<api::Generator>(*session, "The");
  model.reset();
  session.reset();
  EXPECT_TRUE(generator->Next());
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("dog")), "dog");
}

TEST_F(ApiTest, WhatIsWrongIsSaid) {
  ExpectApiError([&] { api::Model::Load(scratch_ / "nowhere"); }, Kind::kFailed, "nowhere");
  ExpectApiError([&] { api::Tokenizer::Load(scratch_ / "nothing.json"); }, Kind::kFailed, "nothing.json");
  api::Model model = api::Model::Load(folder_);
  ExpectApiError([&] { model.SetDepth(3); }, Kind::kUsage, "no depth");
  ExpectApiError([&] { model.Score(std::vector<int32_t>{4, 290}); }, Kind::kUsage, "290");
  ExpectApiError([&] { model.Logits(std::vector<int32_t>{4, -1}); }, Kind::kUsage, "-1");
  ExpectApiError([&] { model.Evaluate({}); }, Kind::kUsage, "no document");
  ExpectApiError([&] { model.Evaluate(std::vector<std::string_view>{kText, " \n"}); }, Kind::kUsage, "index 1");
  ExpectApiError([&] { api::Session(model, "f16"); }, Kind::kUsage, "unknown precision");
  api::Session session(model, "f32");
  ExpectApiError([&] { session.Feed({}); }, Kind::kUsage, "no token");
  ExpectApiError([&] { session.Generate("The", {.temperature = -1}); }, Kind::kUsage, "temperature");
  ExpectApiError([&] { session.Generate("The", {.max_tokens = -1}); }, Kind::kUsage, "-1");
}

TEST_F(ApiTest, ADepthThatAModelHasIsTaken) {
  Write("v6-supernova", Json::object());
  api::Model model = api::Model::Load(folder_);
  const std::vector<int32_t> ids = Document(model);
  model.SetDepth(1);
  const std::vector<float> shallow = model.Score(ids, "f32");
  model.SetDepth(8);
  EXPECT_NE(model.Score(ids, "f32"), shallow);
}

}  // namespace
}  // namespace flashlm
