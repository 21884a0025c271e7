#include "serve/http_server.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/progress.h"
#include "tests/serve/http_client.h"

namespace flashlm {
namespace {

// One that answers every request with a stream and leaves the writing to the test.
class StreamingServer : public testing::Test {
 protected:
  std::shared_ptr<HttpReply> Begin(Wire& wire) {
    EXPECT_TRUE(wire.Send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    EXPECT_TRUE(wire.Await("200 OK"));
    const std::lock_guard lock(mutex_);
    return reply_;
  }

  std::mutex mutex_;
  std::shared_ptr<HttpReply> reply_;
  std::unique_ptr<HttpServer> server_ =
      std::make_unique<HttpServer>("127.0.0.1", 0, HttpLimits(), [this](HttpRequest, std::shared_ptr<HttpReply> reply) {
        reply->BeginStream("text/plain");
        const std::lock_guard lock(mutex_);
        reply_ = std::move(reply);
      });
};

TEST_F(StreamingServer, NothingThatWasWrittenWaitsForWhatComesNext) {
  Wire wire(server_->port());
  const std::shared_ptr<HttpReply> reply = Begin(wire);
  for (int round = 0; round < 5; ++round) {
    // The last ones fall into the burst that the first has begun, and nothing follows.
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(reply->Write("<" + std::to_string(100 * round + i) + ">"));
    EXPECT_TRUE(wire.Await("<" + std::to_string(100 * round + 19) + ">")) << wire.read();
  }
  reply->EndStream();
  EXPECT_TRUE(wire.Await("\r\n0\r\n"));
}

TEST_F(StreamingServer, WhatIsWrittenFastGoesOutTogether) {
  Wire wire(server_->port());
  const std::shared_ptr<HttpReply> reply = Begin(wire);
  const Stopwatch watch;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(reply->Write("0123456789"));
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  reply->EndStream();
  EXPECT_TRUE(wire.Await("\r\n0\r\n"));
  const std::string& all = wire.read();
  size_t chunks = 0;
  for (size_t at = all.find("\r\n0123"); at != std::string::npos; at = all.find("\r\n0123", at + 1)) ++chunks;
  EXPECT_GT(chunks, 2u);
  EXPECT_LT(static_cast<double>(chunks), 10 + watch.Seconds() / 0.005) << "more than one in 5 ms";
}

TEST_F(StreamingServer, AReplyMayOutliveTheServer) {
  Wire wire(server_->port());
  const std::shared_ptr<HttpReply> reply = Begin(wire);
  EXPECT_TRUE(reply->Write("a"));
  EXPECT_TRUE(reply->Write("b"));
  server_.reset();
  EXPECT_FALSE(reply->Write("c"));
  EXPECT_TRUE(reply->gone());
  reply->EndStream();
}

// Fair turns and logs go by it.
TEST(HttpServerTest, NoHeaderSetsTheClientsAddress) {
  const HttpServer server("127.0.0.1", 0, HttpLimits(),
                          [](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
                            reply->Send(200, "text/plain", request.peer);
                          });
  const Answer answer = Fetch(server.port(), "GET", "/", "",
                              "REMOTE_ADDR: 6.6.6.6\r\nRemote-Addr: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\n"
                              "X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n");
  EXPECT_EQ(answer.body, "127.0.0.1");
}

}  // namespace
}  // namespace flashlm
