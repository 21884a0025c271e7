// Clients that mean no good, or are merely broken: each is bounded in what it costs, and others are served meanwhile.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/error.h"
#include "base/progress.h"
#include "serve/heap.h"
#include "tests/serve/service_fixture.h"

namespace flashlm {
namespace {

int64_t ResidentBytes() {
  ::malloc_trim(0);  // what the clients of this process had is not the server's
  int64_t pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * ::sysconf(_SC_PAGESIZE);
}

class AbuseTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { ShareOneHeap(); }  // as `flashlm serve`
  AbuseTest() {
    ServiceOptions options = OptionsOf({WriteTinyModel(scratch_, "cortex-viii", "tiny")});
    options.request.prompt_tokens = 2000;
    HttpLimits limits;
    limits.header_seconds = 1.5;
    limits.body_seconds = 4;  // a busy machine takes two for 30 large bodies
    limits.idle_seconds = 3;
    limits.connections = 200;
    limits.all_bodies = 12 << 20;
    serving_ = std::make_unique<Serving>(options, limits);
    expected_ = Write();
    before_ = ResidentBytes();
  }
  ~AbuseTest() override {
    EXPECT_EQ(Write(), expected_) << "the server goes on as before";
    // A thread that has just answered may still be letting go of what the answer was made of.
    const Stopwatch watch;
    while (ResidentBytes() - before_ >= 40 << 20 && watch.Seconds() < 5) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_LT(ResidentBytes() - before_, 40 << 20) << "memory that abuse left behind";
  }

  int port() const { return serving_->port(); }
  Answer Ask() const {
    return Post(port(), "/v1/completions", {{"prompt", "The cat"}, {"max_tokens", 10}, {"seed", 1}});
  }
  std::string Write() const {
    const Answer answer = Ask();
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.status == 200 ? answer.json().at("choices").at(0).at("text").get<std::string>() : "";
  }
  // That somebody else gets an answer soon.
  void ExpectServed() const {
    const Stopwatch watch;
    EXPECT_EQ(Write(), expected_);
    EXPECT_LT(watch.Seconds(), 5);
  }
  void ExpectRefused(const Answer& answer, int status) const {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_TRUE(answer.json().contains("error")) << answer.body;
    ExpectServed();
  }

  ServeScratch scratch_;
  std::unique_ptr<Serving> serving_;
  std::string expected_;
  int64_t before_ = 0;
};

TEST_F(AbuseTest, IdleConnections) {
  std::vector<Wire> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.emplace_back(port());
    if (i % 100 == 0) ExpectServed();
  }
  ExpectServed();
  EXPECT_LT(serving_->http.connections(), 240) << "more than there may be";
  EXPECT_TRUE(idle.back().Closes(8)) << "nothing was said for long";
}

TEST_F(AbuseTest, SlowHeaders) {
  Wire wire(port());
  const Stopwatch watch;
  bool open = wire.Send("GET /health HTTP/1.1\r\n");
  for (int i = 0; open && watch.Seconds() < 15; ++i) {
    open = wire.Send(fmt::format("X-{}: a\r\n", i)) && !wire.Closes(0.2);
    if (i == 3) ExpectServed();
  }
  EXPECT_FALSE(open);
  EXPECT_LT(watch.Seconds(), 10);
}

TEST_F(AbuseTest, SlowBodies) {
  Wire wire(port());
  const Stopwatch watch;
  bool open = wire.Send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{");
  for (int i = 0; open && watch.Seconds() < 15; ++i) {
    open = wire.Send(" ") && !wire.Closes(0.2);
    if (i == 3) ExpectServed();
  }
  EXPECT_FALSE(open);
  EXPECT_LT(watch.Seconds(), 10);
}

TEST_F(AbuseTest, LargeBodies) {
  Wire announced(port());
  announced.Send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n");
  EXPECT_TRUE(announced.Await(" 413 "));
  ExpectServed();
  Wire absurd(port());
  absurd.Send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n");
  absurd.Await("\r\n\r\n", 5);
  EXPECT_TRUE(absurd.read().empty() || absurd.read().find(" 4") != std::string::npos) << absurd.read();
  ExpectServed();
}

TEST_F(AbuseTest, ManyLargeBodiesAtOnce) {
  std::vector<Wire> sending;
  const std::string most(4'000'000, ' ');
  for (int i = 0; i < 30; ++i) {
    sending.emplace_back(port());
    sending.back().Send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000010\r\n\r\n");
    sending.back().Send(most);
  }
  EXPECT_LT(ResidentBytes() - before_, 40 << 20);
  ExpectServed();
  int busy = 0;
  for (Wire& wire : sending) {
    wire.Send("          ");
    if (!wire.Await("\r\n\r\n", 5) || wire.read().find(" 503 ") == std::string::npos) continue;
    ++busy;
    EXPECT_NE(wire.read().find("\r\nRetry-After: 1\r\n"), std::string::npos) << wire.read();
  }
  EXPECT_GT(busy, 20) << "three of them fit";
}

TEST_F(AbuseTest, ChunkedBodiesOf60Megabytes) {
  Wire wire(port());
  bool open = wire.Send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "100000\r\n" + std::string(1 << 20, 'a') + "\r\n";
  for (int i = 0; open && i < 60; ++i) {
    open = wire.Send(chunk);
    if (i == 30) {
      EXPECT_LT(ResidentBytes() - before_, 40 << 20);
      ExpectServed();
    }
  }
  if (open && wire.Send("0\r\n\r\n")) {
    EXPECT_TRUE(wire.Await(" 413 ", 5)) << wire.read();
  }
}

TEST_F(AbuseTest, HeaderOf60Megabytes) {
  Wire wire(port());
  bool open = wire.Send("GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: ");
  const std::string piece(1 << 20, 'a');
  for (int i = 0; open && i < 60; ++i) open = wire.Send(piece);
  EXPECT_FALSE(open);
  ExpectServed();
}

TEST_F(AbuseTest, TwoHundredThousandHeaders) {
  Wire wire(port());
  bool open = wire.Send("GET /health HTTP/1.1\r\nHost: localhost\r\n");
  for (int i = 0; open && i < 200; ++i) {
    std::string headers;
    for (int h = 0; h < 1000; ++h) headers += fmt::format("X-{}: {}\r\n", i, h);
    open = wire.Send(headers);
  }
  EXPECT_FALSE(open);
  ExpectServed();
}

TEST_F(AbuseTest, HalfRequestsAndNonsense) {
  std::string noise;
  for (int i = 0; i < 5000; ++i) noise += static_cast<char>(i * 7919 >> 3);
  const std::string nul("GET /\0health HTTP/1.1\r\n\r\n", 25);
  for (const std::string& bytes :
       {std::string("GET"), std::string("POST /v1/completions HTTP/1.1\r\nContent-Length: 50\r\n\r\n{\"prompt\""),
        noise, nul, std::string("GET /health HTTP/9.9\r\n\r\n"), std::string("\r\n\r\n\r\n"),
        std::string("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n"),
        std::string(
            "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n"),
        std::string("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                    "chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n")}) {
    Wire wire(port());
    wire.Send(bytes);
  }
  ExpectServed();
}

TEST_F(AbuseTest, ClientsThatVanish) {
  const std::string request = RequestText(
      "POST", "/v1/completions", Json({{"prompt", "The"}, {"max_tokens", 4000}, {"stream", true}, {"seed", 2}}).dump());
  const std::string whole = RequestText("POST", "/v1/completions",
                                        Json({{"prompt", "The"}, {"max_tokens", 4000}, {"n", 4}, {"seed", 2}}).dump());
  for (int i = 0; i < 40; ++i) {
    Wire wire(port());
    wire.Send(i % 2 == 0 ? request : whole);
    if (i % 4 == 0) wire.Await("data: ", 5);
  }
  const Stopwatch watch;
  const auto active = [&] {
    const std::string metrics = Fetch(port(), "GET", "/metrics").body;
    const size_t at = metrics.find("\nflashlm_texts_active ") + 22;
    return std::atoi(metrics.c_str() + at) + std::atoi(metrics.c_str() + metrics.find("\nflashlm_texts_waiting ") + 23);
  };
  while (active() > 0 && watch.Seconds() < 20) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(active(), 0) << "nobody listens to what is written";
}

TEST_F(AbuseTest, PromptsThatAreTooLongOrOdd) {
  Json ten = {{"prompt", std::string(10 << 20, 'a')}};
  EXPECT_EQ(Post(port(), "/v1/completions", ten).status % 413, 0) << "refused, or the connection closed";
  ExpectServed();
  const std::string kinds[] = {"a", " ", "\n", "猫", "e\xcc\x81"};
  for (const std::string& kind : kinds) {
    std::string text;
    while (text.size() < (1 << 20)) text += kind;
    const Answer answer = Post(port(), "/v1/completions", {{"prompt", text}, {"max_tokens", 1}});
    EXPECT_EQ(answer.json().at("error").at("code"), "context_length_exceeded") << answer.body.substr(0, 200);
    EXPECT_EQ(Post(port(), "/tokenize", {{"prompt", text}}).status, 200);
    ExpectServed();
  }
}

// What takes long to answer is not answered by the thread of the connections: others are answered before. On a busy
// machine this test's own thread may come too late to see it, so it is enough to see it once.
TEST_F(AbuseTest, LongTextsToTokenize) {
  const std::string request = RequestText("POST", "/tokenize", Json({{"prompt", std::string(3'900'000, 'a')}}).dump());
  bool before = false;
  for (int attempt = 0; attempt < 5 && !before; ++attempt) {
    std::vector<Wire> asking;
    for (int i = 0; i < 3; ++i) {
      asking.emplace_back(port());
      asking.back().Send(request);
    }
    ExpectServed();
    EXPECT_EQ(Fetch(port(), "GET", "/health").status, 200);
    before = !asking.back().Receive(0);
    EXPECT_TRUE(Wire::AwaitAll(asking, "\"max_model_len\""));
  }
  EXPECT_TRUE(before);
}

TEST_F(AbuseTest, BodiesThatAreNoGoodJson) {
  const auto post = [&](const std::string& body) { return Fetch(port(), "POST", "/v1/completions", body); };
  ExpectRefused(post("{\"prompt\": \"\xff\xfe\"}"), 400);
  ExpectRefused(post(R"({"prompt": "a", "max_tokens": NaN})"), 400);
  ExpectRefused(post(R"({"prompt": "a", "temperature": 1e999})"), 400);
  ExpectRefused(post(R"({"prompt": "a", "max_tokens": -1})"), 400);
  ExpectRefused(post(R"({"prompt": "a", "max_tokens": 4294967297})"), 400);
  ExpectRefused(post(R"({"prompt": "a", "prompt": "b"})"), 400);
  ExpectRefused(post(std::string(100'000, '[')), 400);
  ExpectRefused(post(R"({"prompt": )" + std::string(100'000, '[') + std::string(100'000, ']') + "}"), 400);
  ExpectRefused(post(""), 400);
  ExpectRefused(Post(port(), "/v1/completions", {{"prompt", Json::array_t(1000, "a")}}), 400);
}

TEST_F(AbuseTest, MoreThanTheQueueHolds) {
  std::vector<Wire> asking;
  int refused = 0, sent = 0;
  const std::string many =
      RequestText("POST", "/v1/completions", Json({{"prompt", "The"}, {"max_tokens", 3000}, {"n", 128}}).dump());
  for (; sent < 6; ++sent) {
    asking.emplace_back(port());
    asking.back().Send(many);
  }
  for (Wire& wire : asking) {
    if (!wire.Await("\r\n\r\n", refused < 3 ? 2 : 0.5) || wire.read().find(" 429 ") == std::string::npos) continue;
    ++refused;
    EXPECT_NE(wire.read().find("\r\nRetry-After: 1\r\n"), std::string::npos) << wire.read();
  }
  EXPECT_GE(refused, 3) << "64 at work and 256 waiting are two and a half of them";
  EXPECT_LT(refused, sent);
  EXPECT_NE(Ask().status, 500);
  asking.clear();
  const Stopwatch watch;
  while (Ask().status != 200 && watch.Seconds() < 20) std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

TEST_F(AbuseTest, ManyQuickRequests) {
  const Stopwatch watch;
  std::vector<std::thread> threads;
  std::atomic<int> answered = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      Wire wire(port());
      const std::string one = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
      for (int i = 0; i < 2500; ++i) {
        const size_t at = wire.read().size();
        wire.Send(one);
        while (wire.read().find("{\"status\":\"ok\"}", at) == std::string::npos && wire.Receive(5)) {
        }
        answered += wire.read().find("{\"status\":\"ok\"}", at) != std::string::npos;
      }
    });
  }
  ExpectServed();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, 10'000);
}

}  // namespace
}  // namespace flashlm
