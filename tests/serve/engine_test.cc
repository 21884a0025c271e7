// Texts written side by side are what they are alone.
#include "serve/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <functional>
#include <future>
#include <thread>

#include "infer/loaded_model.h"
#include "io/packed_file.h"
#include "kernels/isa.h"
#include "tests/infer/tiny_model.h"
#include "tests/serve/service_fixture.h"

namespace flashlm {
namespace {

using namespace std::chrono_literals;

// What a text came to.
struct Heard {
  std::vector<int32_t> tokens;
  std::vector<float> log_probs;
  ScoredText scored;
  int64_t known = -1;
  StreamEnd end{};
  bool operator==(const Heard& other) const { return tokens == other.tokens && log_probs == other.log_probs; }
};

class Listener final : public StreamListener {
 public:
  std::future<Heard> Result() { return result_.get_future(); }
  bool wanted() const override { return wanted_; }
  void OnScored(ScoredText scored) override { heard_.scored = std::move(scored); }
  void OnStart(int64_t known) override { heard_.known = known; }
  bool OnToken(DrawnToken token) override {
    heard_.tokens.push_back(token.token);
    heard_.log_probs.push_back(token.log_p);
    if (pause > 0ms) std::this_thread::sleep_for(pause);
    if (std::ssize(heard_.tokens) == leave_after) wanted_ = false;
    return std::ssize(heard_.tokens) != enough;
  }
  void OnPause() override { told_ = std::ssize(heard_.tokens); }
  void OnEnd(StreamEnd end) override {
    EXPECT_EQ(told_, std::ssize(heard_.tokens)) << "no pause before the end";
    heard_.end = end;
    if (at_end) at_end();
    result_.set_value(heard_);
  }
  int64_t tokens() const { return std::ssize(heard_.tokens); }
  std::function<void()> at_end;
  int64_t enough = -1, leave_after = -1;
  std::chrono::milliseconds pause{0};

 private:
  Heard heard_;
  int64_t told_ = 0;  // tokens before the last pause
  std::atomic<bool> wanted_ = true;
  std::promise<Heard> result_;
};

StreamJob Job(int prompt_tokens, uint64_t seed, int max_tokens) {
  StreamJob job;
  job.prompt = {Tokenizer::kEos};
  for (int i = 1; i < prompt_tokens; ++i) job.prompt.push_back(4 + static_cast<int32_t>((7 * i + seed) % 250));
  job.sampler = {.temperature = 1, .top_p = 0.98, .seed = static_cast<int64_t>(seed)};
  job.max_tokens = max_tokens;
  job.deadline = std::chrono::steady_clock::now() + 600s;
  job.client = "c";
  return job;
}

std::future<Heard> Ask(Engine& engine, StreamJob job) {
  const auto listener = std::make_shared<Listener>();
  job.listener = listener;
  std::future<Heard> result = listener->Result();
  EXPECT_TRUE(engine.Submit({std::move(job)}));
  return result;
}

class EngineOf : public testing::TestWithParam<ModelEntry> {};

class EngineOfTypes : public testing::TestWithParam<std::tuple<ModelEntry, DType>> {};

void ExpectTheSameInAnyCompany(Model& model, DType dtype) {
  const std::vector<ServedModel> served = {{&model, dtype, dtype}};
  constexpr int kTexts = 48;
  const auto job_of = [](int i) { return Job(1 + 13 * i % 90, 10 + static_cast<uint64_t>(i), 5 + 11 * i % 40); };
  std::vector<Heard> alone;
  {
    EngineLimits one;
    one.streams = 1;
    one.cache_bytes = 0;
    Engine engine(served, one);
    for (int i = 0; i < kTexts; ++i) alone.push_back(Ask(engine, job_of(i)).get());
  }
  // Threads have groups of their own as long as many texts are left.
  for (const int threads : {1, 2, 3}) {
    if (dtype != DType::kF32 && threads != 2) continue;  // f32 has shown that
    EngineLimits limits;
    limits.streams = 40;  // some have to wait
    limits.threads = threads;
    Engine engine(served, limits);
    std::vector<std::future<Heard>> together;
    for (int i = 0; i < kTexts; ++i) {
      together.push_back(Ask(engine, job_of(i)));
      if (threads == 1 && i % 10 == 0) std::this_thread::sleep_for(3ms);
    }
    int different = 0;
    for (size_t i = 0; i < together.size(); ++i) {
      const Heard heard = together[i].get();
      EXPECT_EQ(heard, alone[i]) << "text " << i << " with " << threads << " threads";
      different += heard.tokens != alone[0].tokens;
    }
    EXPECT_GT(different, kTexts / 2) << "they repeat each other";
  }
}

TEST_P(EngineOfTypes, ATextIsTheSameInAnyCompany) {
  const auto& [entry, dtype] = GetParam();
  ExpectTheSameInAnyCompany(*TinyModel(entry), dtype);
}

TEST_P(EngineOf, APromptThatIsKnownGivesTheSameBits) {
  const auto model = TinyModel(GetParam());
  const std::vector<ServedModel> served = {{model.get(), DType::kF32, DType::kF32}};
  EngineLimits without;
  without.cache_bytes = 0;
  Engine cold(served, without), warm(served, EngineLimits());
  const Heard expected = Ask(cold, Job(75, 3, 20)).get();
  EXPECT_EQ(expected.known, 0);
  const Heard first = Ask(warm, Job(75, 3, 20)).get(), again = Ask(warm, Job(75, 3, 20)).get();
  EXPECT_EQ(first.known, 0);
  EXPECT_EQ(again.known, 75);
  EXPECT_EQ(first, expected);
  EXPECT_EQ(again, expected);
  // 64 tokens and the rest: of a longer text that begins alike the first cut is known, of one cut elsewhere none.
  const Heard longer = Ask(warm, Job(90, 3, 20)).get(), other = Ask(warm, Job(40, 3, 20)).get();
  EXPECT_EQ(longer.known, 64);
  EXPECT_EQ(other.known, 0);
  EXPECT_EQ(longer, Ask(cold, Job(90, 3, 20)).get());
  EXPECT_EQ(other, Ask(cold, Job(40, 3, 20)).get());
}

std::string Named(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Architectures, EngineOf, testing::ValuesIn(RegisteredModels()),
                         [](const auto& info) { return Named(info.param.name); });

// Those that this CPU multiplies.
std::vector<DType> Types() {
  std::vector<DType> types = {DType::kF32};
  if (kernels::HasNativeBf16()) types.push_back(DType::kBF16);
  if (kernels::HasVnni()) types.push_back(DType::kI8);
  return types;
}

INSTANTIATE_TEST_SUITE_P(Architectures, EngineOfTypes,
                         testing::Combine(testing::ValuesIn(RegisteredModels()), testing::ValuesIn(Types())),
                         [](const auto& info) {
                           return Named(std::get<0>(info.param).name) + "_" + NameOf(std::get<1>(info.param));
                         });

// What is served as a rule: a file of integers or trits that is read where it lies, and the n-grams that were counted.
TEST(PackedModelTest, ATextIsTheSameInAnyCompany) {
  const ServeScratch scratch;
  const std::string counted = WriteNGramModel(scratch, "counted"),
                    trits = WriteTinyModel(scratch, "v6-supernova", "trits");
  for (const std::string& folder : {counted, trits}) {
    const LoadedModel loaded = LoadModel(folder);
    const std::string ngrams = folder == counted ? ReadFile(folder + "/" + kNGramFile) : "";
    const std::string file = folder + ".flm";
    WritePackedFile(file, {loaded.model->config(), Json::object(), TinyTokenizer().ToJson(), ngrams},
                    loaded.model->bank(), Packing::kInt8);
    const LoadedModel packed = LoadModel(file);
    for (const DType dtype : Types()) {
      SCOPED_TRACE(fmt::format("{} in {}", folder, NameOf(dtype)));
      ExpectTheSameInAnyCompany(*packed.model, dtype);
    }
  }
}

class EngineTest : public testing::Test {
 protected:
  std::unique_ptr<Model> model_ = TinyModel(FindModel("cortex-viii"));
  std::vector<ServedModel> served_ = {{model_.get(), DType::kF32, DType::kF32}};
};

// Groups of their own for two threads, fewer and fewer, then one on both.
TEST_F(EngineTest, ManyTextsAtOnceAreWhatTheyAreAlone) {
  const auto job_of = [](int i) { return Job(4, 100 + static_cast<uint64_t>(i), 20 + 2 * i); };
  EngineLimits limits;
  limits.streams = limits.waiting = 80;
  limits.threads = 2;
  Engine engine(served_, limits);
  std::vector<StreamJob> jobs;
  std::vector<std::future<Heard>> results;
  for (int i = 0; i < 80; ++i) {
    const auto listener = std::make_shared<Listener>();
    results.push_back(listener->Result());
    jobs.push_back(job_of(i));
    jobs.back().listener = listener;
  }
  ASSERT_TRUE(engine.Submit(std::move(jobs)));
  std::vector<Heard> together;
  for (auto& result : results) together.push_back(result.get());
  for (int i = 0; i < 80; i += 7) EXPECT_EQ(Ask(engine, job_of(i)).get(), together[static_cast<size_t>(i)]) << i;
}

// Turns of one token each, as on a slow machine: who had none in a step is the first in the next one.
TEST_F(EngineTest, NoTextIsLeftBehind) {
  constexpr int kTexts = 40, kTokens = 40;
  EngineLimits limits;
  limits.streams = limits.waiting = kTexts;
  limits.threads = 2;
  limits.longest_step = 0;
  Engine engine(served_, limits);
  std::vector<StreamJob> jobs;
  std::vector<std::shared_ptr<Listener>> listeners;
  std::vector<std::future<Heard>> results;
  int64_t fewest = kTokens, ended = 0;
  for (int i = 0; i < kTexts; ++i) {
    listeners.push_back(std::make_shared<Listener>());
    listeners.back()->at_end = [&] {
      if (ended++ > 0) return;
      for (const auto& listener : listeners) fewest = std::min(fewest, listener->tokens());
    };
    results.push_back(listeners.back()->Result());
    jobs.push_back(Job(4, 300 + static_cast<uint64_t>(i), kTokens));
    jobs.back().sampler.temperature = 0;  // it does not come to an end by itself
    jobs.back().listener = listeners.back();
  }
  ASSERT_TRUE(engine.Submit(std::move(jobs)));
  for (auto& result : results) EXPECT_EQ(result.get().end, StreamEnd::kLength);
  EXPECT_GT(fewest, kTokens / 2);
}

// By several texts at once, among few texts and among many.
TEST_F(EngineTest, APromptIsReadOnce) {
  constexpr int kPrompt = 20, kTexts = 8;
  for (const int others : {0, 20}) {
    EngineLimits limits;
    limits.threads = 2;
    Engine engine(served_, limits);
    std::vector<std::future<Heard>> results;
    for (int i = 0; i < others; ++i) {
      StreamJob job = Job(4, 400 + static_cast<uint64_t>(i), 300);
      job.sampler.temperature = 0;
      results.push_back(Ask(engine, job));
    }
    while (engine.counts().tokens < others) std::this_thread::sleep_for(1ms);
    const int64_t before = engine.counts().prompt_tokens;
    std::vector<StreamJob> jobs;
    for (int i = 0; i < kTexts; ++i) {
      const auto listener = std::make_shared<Listener>();
      jobs.push_back(Job(kPrompt, 1, 5));
      jobs.back().number = i;
      jobs.back().listener = listener;
      results.push_back(listener->Result());
    }
    ASSERT_TRUE(engine.Submit(std::move(jobs)));
    for (auto& result : results) result.get();
    EXPECT_EQ(engine.counts().prompt_tokens, before + kPrompt) << others;
    EXPECT_EQ(engine.counts().known_tokens, (kTexts - 1) * kPrompt) << others;
  }
}

TEST_F(EngineTest, TheQueueIsBounded) {
  EngineLimits limits;
  limits.streams = 1;
  limits.waiting = 3;
  Engine engine(served_, limits);
  StreamJob slow = Job(5, 1, 1000);
  const auto listener = std::make_shared<Listener>();
  listener->pause = 5ms;
  listener->leave_after = 100;
  slow.sampler.temperature = 0;  // it does not come to an end by itself
  slow.listener = listener;
  ASSERT_TRUE(engine.Submit({slow}));
  while (engine.active() == 0) std::this_thread::sleep_for(1ms);
  std::vector<std::future<Heard>> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(Ask(engine, Job(5, 2, 3)));
  StreamJob refused = Job(5, 2, 3);
  refused.listener = std::make_shared<Listener>();
  EXPECT_FALSE(engine.Submit({refused}));
  EXPECT_EQ(engine.waiting(), 3);
  EXPECT_EQ(listener->Result().get().end, StreamEnd::kGone);
  for (auto& result : waiting) EXPECT_NE(result.get().end, StreamEnd::kGone);
  EXPECT_TRUE(engine.Submit({refused}));
  // All of a request or nothing of it.
  EXPECT_FALSE(engine.Submit({refused, refused, refused, refused}));
}

TEST_F(EngineTest, ClientsTakeTurns) {
  JobQueue queue(100);
  std::vector<StreamJob> many, one, two;
  for (int i = 0; i < 5; ++i) many.push_back(Job(1, 1, 1));
  one.push_back(Job(1, 2, 1));
  one.front().client = "d";
  two.push_back(Job(1, 3, 1));
  two.front().client = "e";
  ASSERT_TRUE(queue.Push(many) && queue.Push(one) && queue.Push(two));
  std::string order;
  while (const auto job = queue.Pop()) order += job->client;
  EXPECT_EQ(order, "cdecccc");
}

TEST_F(EngineTest, TextsEndWhenTheyShould) {
  Engine engine(served_, EngineLimits());
  StreamJob job = Job(5, 1, 100000);
  job.sampler.temperature = 0;  // it does not come to an end by itself
  job.deadline = std::chrono::steady_clock::now() + 200ms;
  EXPECT_EQ(Ask(engine, job).get().end, StreamEnd::kTime);

  const auto ending = [&](int64_t enough, int64_t leave) {
    StreamJob one = Job(5, 4, 1000000);
    const auto listener = std::make_shared<Listener>();
    listener->enough = enough;
    listener->leave_after = leave;
    one.listener = listener;
    auto result = listener->Result();
    EXPECT_TRUE(engine.Submit({one}));
    return result.get();
  };
  EXPECT_EQ(ending(2, -1).end, StreamEnd::kStop);
  EXPECT_EQ(ending(-1, 2).end, StreamEnd::kGone);
  EXPECT_EQ(Ask(engine, Job(5, 1, 1)).get().end, StreamEnd::kLength);
  EXPECT_EQ(Ask(engine, Job(5, 1, 0)).get().end, StreamEnd::kLength);
}

// Of many texts several tokens are drawn before anybody hears of them: nobody hears of those behind an end.
TEST_F(EngineTest, ATextThatEndsInATurnEndsThere) {
  constexpr int kTexts = 40, kEnough = 3, kMost = 30;
  const auto job_of = [](int i) { return Job(4, 200 + static_cast<uint64_t>(i), kMost); };
  const auto stops = [](int i) { return i % 3 == 0; };
  EngineLimits limits;
  limits.streams = limits.waiting = kTexts;
  limits.threads = 2;
  Engine engine(served_, limits);
  std::vector<StreamJob> jobs;
  std::vector<std::future<Heard>> results;
  for (int i = 0; i < kTexts; ++i) {
    const auto listener = std::make_shared<Listener>();
    if (stops(i)) listener->enough = kEnough;
    if (i == 1) listener->leave_after = 2;
    results.push_back(listener->Result());
    jobs.push_back(job_of(i));
    jobs.back().listener = listener;
  }
  ASSERT_TRUE(engine.Submit(std::move(jobs)));
  int64_t heard_tokens = 0;
  std::vector<Heard> together;
  for (auto& result : results) {
    together.push_back(result.get());
    heard_tokens += std::ssize(together.back().tokens);
  }
  EXPECT_EQ(engine.counts().tokens, heard_tokens);
  for (int i = 0; i < kTexts; ++i) {
    if (i == 1) continue;  // it may have gone before or after its end
    SCOPED_TRACE(i);
    Heard alone = Ask(engine, job_of(i)).get();
    const Heard& here = together[static_cast<size_t>(i)];
    if (stops(i) && std::ssize(alone.tokens) >= kEnough) {
      const bool at_its_end = std::ssize(alone.tokens) == kEnough && alone.end == StreamEnd::kEos;
      alone.tokens.resize(kEnough);
      alone.log_probs.resize(kEnough);
      alone.end = at_its_end ? StreamEnd::kEos : StreamEnd::kStop;
    }
    EXPECT_EQ(here, alone);
    EXPECT_EQ(here.end, alone.end);
  }
}

TEST_F(EngineTest, TheEndIsTold) {
  Engine engine(served_, EngineLimits());
  StreamJob job = Job(5, 1, 1 << 30);
  const auto listener = std::make_shared<Listener>();
  listener->pause = 2ms;
  job.listener = listener;
  auto result = listener->Result();
  ASSERT_TRUE(engine.Submit({job}));
  while (engine.active() == 0) std::this_thread::sleep_for(1ms);
  const bool finished = engine.Finish(0.01);
  engine.Stop();
  const StreamEnd end = result.get().end;
  EXPECT_TRUE(end == StreamEnd::kShutdown || (finished && end == StreamEnd::kEos));
  EXPECT_FALSE(engine.Submit({Job(1, 1, 1)}));
}

// By the bit what Scorer gives, whatever else is asked of it; the likeliest are those of a session.
TEST_F(EngineTest, PromptsAreScored) {
  std::vector<StreamJob> jobs;
  std::vector<TokenIds> texts;
  for (int i = 0; i < 12; ++i) {
    StreamJob& job = jobs.emplace_back(Job(2 + 17 * i, 1, 1));
    job.score_prompt = true;
    job.likely = i % 3;
    texts.emplace_back(job.prompt.begin() + 1, job.prompt.end());
  }
  // Before there is an engine: a model computes for one thread at a time.
  const auto nats = Scorer(*model_, DType::kF32).Score(texts);
  Engine engine(served_, EngineLimits());
  std::vector<std::future<Heard>> asked;
  for (StreamJob& job : jobs) asked.push_back(Ask(engine, std::move(job)));
  for (size_t i = 0; i < asked.size(); ++i) {
    const Heard heard = asked[i].get();
    EXPECT_EQ(heard.scored.nats, nats[i]) << i;
    for (size_t t = 0; t < heard.scored.likely.size(); ++t) {
      const auto& likely = heard.scored.likely[t];
      ASSERT_EQ(likely.size(), i % 3);
      if (likely.size() == 2) {
        EXPECT_GE(likely[0].log_p, likely[1].log_p);
        EXPECT_GE(likely[0].log_p + 1e-5, -heard.scored.nats[t]);
      }
    }
  }
}

}  // namespace
}  // namespace flashlm
