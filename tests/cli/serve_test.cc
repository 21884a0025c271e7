// `flashlm serve` and `train --dashboard` as a person starts and ends them.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/json.h"
#include "tests/cli/train_fixture.h"
#include "tests/serve/http_client.h"

namespace flashlm {
namespace {

class ServeTest : public TrainTest {
 protected:
  static void SetUpTestSuite() {
    TrainTest::SetUpTestSuite();
    run_ = *shared_ / "served";
    ASSERT_EQ(RunCommand(Train(run_, {"--steps", "4"}), *shared_).exit_code, 0);
  }

  // What the newest command of a folder has said so far, to "out" or "err".
  static std::string Said(const Scratch& scratch, const std::string& where) {
    int newest = -1;
    for (const auto& entry : std::filesystem::directory_iterator(scratch / "")) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(where)) newest = std::max(newest, std::atoi(name.c_str() + where.size()));
    }
    return newest < 0 ? "" : ReadFile(scratch / (where + std::to_string(newest)));
  }
  // The port that a command has said, 0 if it has ended or not said one in time.
  static int PortOf(Command& command, const Scratch& scratch) {
    for (int i = 0; i < 3000 && !command.WaitFor(0.01); ++i) {
      const Json said = Json::parse(Said(scratch, "out"), nullptr, false);
      if (said.is_object()) return said.value("port", 0);
    }
    return 0;
  }

  Scratch scratch_;
  static std::string run_;
};
std::string ServeTest::run_;

TEST_F(ServeTest, WritesWhatGenerateWritesAndEndsWhenAsked) {
  const CommandResult alone = RunCommand(
      {"generate", "--model", run_, "-p", "Once", "-n", "30", "--temp", "1", "--top-p", "1", "--seed", "5", "--json"},
      scratch_);
  Command server({"serve", "--model", run_, "--run", run_, "--port", "0", "--json"}, scratch_);
  const int port = PortOf(server, scratch_);
  ASSERT_GT(port, 0) << Said(scratch_, "err");
  EXPECT_EQ(Fetch(port, "GET", "/health").status, 200);
  const Answer answer = Post(port, "/v1/completions", {{"prompt", "Once"}, {"max_tokens", 30}, {"seed", 5}});
  EXPECT_EQ(answer.json().at("choices").at(0).at("text"), Json::parse(alone.out).at("text"));
  EXPECT_NE(Fetch(port, "GET", "/").body.find("<textarea"), std::string::npos);
  EXPECT_NE(Fetch(port, "GET", "/run").body.find("Bits per byte"), std::string::npos);
  EXPECT_TRUE(Fetch(port, "GET", "/run/data").json().contains("charts"));

  // What was begun is finished.
  Wire stream(port);
  stream.Send(RequestText("POST", "/v1/completions",
                          Json({{"prompt", "The"}, {"max_tokens", 300}, {"stream", true}, {"seed", 1}}).dump()));
  ASSERT_TRUE(stream.Await("data: "));
  server.Kill(SIGTERM);
  while (stream.Receive(20)) {
  }
  EXPECT_EQ(ParseAnswer(stream.read()).Events().back(), "[DONE]");
  EXPECT_EQ(stream.read().find("\"error\""), std::string::npos) << stream.read();
  const CommandResult ended = server.Wait();
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_FALSE(Wire(port).connected()) << "nobody listens any more";
}

TEST_F(ServeTest, WhatCannotBeFinishedIsTold) {
  Command server({"serve", "--model", run_, "--port", "0", "--json", "--grace", "0", "--max-tokens", "1000000"},
                 scratch_);
  const int port = PortOf(server, scratch_);
  ASSERT_GT(port, 0) << Said(scratch_, "err");
  std::vector<Wire> streams;
  for (int i = 0; i < 8; ++i) {
    streams.emplace_back(port);
    streams.back().Send(
        RequestText("POST", "/v1/completions",
                    Json({{"prompt", "The"}, {"max_tokens", 1000000}, {"stream", true}, {"seed", i}}).dump()));
  }
  for (Wire& stream : streams) ASSERT_TRUE(stream.Await("data: "));
  server.Kill(SIGINT);
  int told = 0;
  for (Wire& stream : streams) {
    while (stream.Receive(20)) {
    }
    told += stream.read().find("the server is shutting down") != std::string::npos;
    EXPECT_EQ(ParseAnswer(stream.read()).Events().back(), "[DONE]");
  }
  EXPECT_GT(told, 0) << "all of them ended by themselves";
  EXPECT_EQ(server.Wait().exit_code, 0);
}

TEST_F(ServeTest, WrongCommandsAreRefused) {
  const auto refused = [&](const std::vector<std::string>& more, int code, const char* why) {
    std::vector<std::string> arguments = {"serve", "--port", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = RunCommand(arguments, scratch_);
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_NE(result.err.find(why), std::string::npos) << result.err;
    EXPECT_EQ(result.ErrorLines(), 1) << result.err;
  };
  refused({}, 2, "--model");
  refused({"--model", scratch_ / "none"}, 1, "none");
  refused({"--model", run_, "--host", "0.0.0.0"}, 2, "--api-key-file");
  refused({"--model", run_, "--frame-origin", "https://a.example; script-src *"}, 2, "--frame-origin");
  refused({"--model", run_, "--public-origin", "stories.example"}, 2, "--public-origin");
  refused({"--model", run_, "--cors-origin", "https://a.example/path"}, 2, "--cors-origin");
  refused({"--model", run_, "--host", "no.such.host.invalid"}, 1, "no.such.host.invalid");
  refused({"--model", run_, "--api-key-file", scratch_ / "none"}, 1, "none");
  refused({"--model", run_, "--model", run_, "--model", run_}, 2, "twice");
  Command server({"serve", "--model", run_, "--port", "0", "--json"}, scratch_);
  const int port = PortOf(server, scratch_);
  ASSERT_GT(port, 0);
  const CommandResult second = RunCommand({"serve", "--model", run_, "--port", std::to_string(port)}, scratch_);
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_NE(second.err.find("another program has this port"), std::string::npos) << second.err;
  server.Kill(SIGTERM);
  EXPECT_EQ(server.Wait().exit_code, 0);
}

// The run is not changed by being looked at.
TEST_F(ServeTest, ADashboardShowsARunThatTrains) {
  Command train(Train(scratch_ / "run", {"--steps", "100000000", "--dashboard", "0"}), scratch_);
  int port = 0;
  for (int i = 0; i < 3000 && port == 0 && !train.WaitFor(0.01); ++i) {
    const std::string said = Said(scratch_, "err");
    const size_t at = said.find("dashboard: http://127.0.0.1:");
    if (at != std::string::npos) port = std::atoi(said.c_str() + at + 28);
  }
  ASSERT_GT(port, 0) << Said(scratch_, "err");
  Json data;
  for (int i = 0; i < 500; ++i) {
    data = Fetch(port, "GET", "/run/data").json();
    if (data.is_object() && !data.at("charts").at("series").empty()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ASSERT_TRUE(data.is_object());
  EXPECT_FALSE(data.at("charts").at("series").empty());
  EXPECT_NE(data.at("body").get<std::string>().find("<progress"), std::string::npos);
  EXPECT_NE(Fetch(port, "GET", "/").body.find("connect-src 'self'"), std::string::npos);
  EXPECT_EQ(Fetch(port, "GET", "/", "", "", "evil.example").status, 403);
  EXPECT_EQ(Fetch(port, "GET", "/v1/completions").status, 404);
  train.Kill(SIGINT);
  EXPECT_EQ(train.Wait().exit_code, 1);

  ASSERT_EQ(RunCommand(Train(scratch_ / "watched", {"--steps", "6", "--dashboard", "0"}), scratch_).exit_code, 0);
  ASSERT_EQ(RunCommand(Train(scratch_ / "alone", {"--steps", "6"}), scratch_).exit_code, 0);
  EXPECT_EQ(ModelOf(scratch_ / "watched"), ModelOf(scratch_ / "alone"));
}

}  // namespace
}  // namespace flashlm
