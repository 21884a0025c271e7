// Who may call what at the same time, as include/flashlm says: models and their sessions on several threads give what
// they give alone; a session on two threads is refused.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "tests/api/api_fixture.h"

namespace flashlm {
namespace {

constexpr int kThreads = 4;

std::string Story(api::Session& session, int64_t seed) {
  return session.Generate("Once upon", {.max_tokens = 60, .temperature = 1, .top_p = 1, .seed = seed}).text;
}

TEST_F(ApiTest, SessionsOfOneModelOnManyThreadsWriteWhatTheyWriteAlone) {
  for (const ModelEntry& entry : RegisteredModels()) {
    SCOPED_TRACE(entry.name);
    Write(entry.name, Json::object());
    const api::Model alone = api::Model::Load(folder_);
    std::vector<std::string> expected(kThreads), got(kThreads);
    std::vector<float> scores;
    const std::vector<int32_t> ids = alone.tokenizer().Encode("The dog was not happy, and the cat was sad.");
    for (int i = 0; i < kThreads; ++i) {
      api::Session session(alone, "f32");
      expected[static_cast<size_t>(i)] = Story(session, i);
    }
    scores = alone.Score(ids, "f32");

    const api::Model shared = api::Model::Load(folder_);  // whose weights nobody has packed yet
    std::vector<std::thread> threads;
    std::atomic<int> wrong_scores = 0;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        api::Session session(shared, "f32");
        got[static_cast<size_t>(i)] = Story(session, i);
        if (shared.Score(ids, "f32") != scores) ++wrong_scores;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(got, expected);
    EXPECT_EQ(wrong_scores, 0);
  }
}

// Two sessions write equally long texts: the part of the tokens, from the second one's first to the first one's last,
// that came behind a token of the other.
double ShareOfTurns(const api::Model& model) {
  constexpr int kTokens = 500;
  std::atomic<int> ready = 0, next = 0;
  std::vector<int> writers(size_t{2} * kTokens);
  const auto write = [&](int me) {
    api::Session session(model, "f32");
    ++ready;
    while (ready < 2) std::this_thread::yield();
    for (int i = 0; i < kTokens; ++i) {
      session.Feed(std::vector<int32_t>{5 + i % 200});
      writers[static_cast<size_t>(next++)] = me;
    }
  };
  std::thread one(write, 0), two(write, 1);
  one.join();
  two.join();
  const auto is_other = [](int of, int writer) { return writer != of; };
  const auto begin = std::find_if(writers.begin(), writers.end(), std::bind_front(is_other, writers.front()));
  const auto end = std::find_if(writers.rbegin(), writers.rend(), std::bind_front(is_other, writers.back())).base();
  if (begin >= end) return 0;
  int turns = 0;
  for (auto at = begin; at != end; ++at) turns += *at != *(at - 1);
  return static_cast<double>(turns) / static_cast<double>(end - begin);
}

// Nobody waits for another's whole text. Whom a busy machine takes its core away falls behind all the same, so it is
// enough if they keep together once.
TEST_F(ApiTest, SessionsTakeTurnsTokenByToken) {
  const api::Model model = api::Model::Load(folder_);
  double most = 0;
  for (int attempt = 0; attempt < 20 && most < 0.5; ++attempt) most = std::max(most, ShareOfTurns(model));
  EXPECT_GE(most, 0.5);
}

// A session reads a long text; a while after it has begun another one asks for a token: the part of the reading that
// was still to be done when it got it.
double ShareLeftToRead(const api::Model& model) {
  using Clock = std::chrono::steady_clock;
  api::Session reading(model, "f32"), waiting(model, "f32");
  const std::vector<int32_t> long_text(40000, 7);
  Clock::time_point begin, end;
  std::thread reader([&] {
    begin = Clock::now();
    reading.Feed(long_text);
    end = Clock::now();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  waiting.Feed(std::vector<int32_t>{5});
  const Clock::time_point got = Clock::now();
  reader.join();
  return std::chrono::duration<double>(end - got) / (end - begin);
}

// While one session reads no other computes with the model. On a busy machine a reader may begin too late to be waited
// for, so it is enough if it is waited for once.
TEST_F(ApiTest, AModelComputesForOneAtATime) {
  const api::Model model = api::Model::Load(folder_);
  double least = 1;
  for (int attempt = 0; attempt < 20 && least > 0.5; ++attempt) least = std::min(least, ShareLeftToRead(model));
  EXPECT_LE(least, 0.5);
}

TEST_F(ApiTest, TwoModelsOnTwoThreadsDoNotMeet) {
  const api::Model a = api::Model::Load(folder_), b = api::Model::Load(folder_);
  api::Session first(a, "f32");
  const std::string expected = Story(first, 5);
  std::vector<std::string> got(2);
  std::thread one([&] {
    for (int i = 0; i < 5; ++i) got[0] = Story(first, 5);
  });
  std::thread two([&] {
    api::Session session(b, "f32");
    for (int i = 0; i < 5; ++i) got[1] = Story(session, 5);
  });
  one.join();
  two.join();
  EXPECT_EQ(got[0], expected);
  EXPECT_EQ(got[1], expected);
}

// As a display of progress does.
TEST_F(ApiTest, AnotherThreadMayLookAtWhatIsBeingWritten) {
  const api::Model model = api::Model::Load(folder_);
  api::Session session(model, "f32");
  api::Generator story(session, "The", {.max_tokens = 400, .temperature = 3, .seed = 3});
  std::atomic<bool> done = false;
  std::thread looker([&] {
    std::string last;
    while (!done) {
      const std::string now = story.generation().text;
      EXPECT_TRUE(now.starts_with(last));
      EXPECT_GE(session.position(), 0);
      last = now;
      std::this_thread::yield();  // or the writer might not get its turn
    }
  });
  EXPECT_NO_THROW({
    while (story.Next()) {
    }
  });
  done = true;
  looker.join();
  EXPECT_EQ(story.generation().text, session.Generate("The", {.max_tokens = 400, .temperature = 3, .seed = 3}).text);
}

TEST_F(ApiTest, ASessionOnTwoThreadsIsRefusedWithWords) {
  const api::Model model = api::Model::Load(folder_);
  api::Session session(model, "f32");
  const std::vector<int32_t> long_text(20000, 7);
  std::atomic<bool> done = false;
  std::thread reader([&] {
    for (bool read = false; !read;) {
      try {
        session.Feed(long_text);
        read = true;
      } catch (const api::Error&) {
        std::this_thread::yield();  // Reset of the other thread came first
      }
    }
    done = true;
  });
  int refused = 0;
  while (!done && refused == 0) {
    try {
      session.Reset();
      std::this_thread::yield();
    } catch (const api::Error& e) {
      ++refused;
      EXPECT_NE(e.OneLine().find("in use, by another thread"), std::string::npos) << e.OneLine();
    }
  }
  reader.join();
  EXPECT_EQ(refused, 1);
  session.Reset();  // afterwards it is as good as before
  EXPECT_FALSE(Story(session, 1).empty());
}

}  // namespace
}  // namespace flashlm
