// The HTTP interface as OpenAI's clients use it.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/utf8.h"
#include "serve/written_text.h"
#include "tests/serve/service_fixture.h"

namespace flashlm {
namespace {

constexpr char kPrompt[] = "Once upon a time";

class ApiTest : public TinyServerTest {
 protected:
  static Json Ask(Json body, const std::string& path = "/v1/completions") {
    const Answer answer = Post(serving_->port(), path, body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json();
  }
  static std::string TextOf(const Json& answer, size_t choice = 0) {
    return answer.at("choices").at(choice).at("text").get<std::string>();
  }
  static Json ErrorOf(const Answer& answer, int status) {
    EXPECT_EQ(answer.status, status) << answer.body;
    const Json error = answer.json().value("error", Json());
    for (const char* field : {"message", "type", "param", "code"}) EXPECT_TRUE(error.contains(field)) << answer.body;
    return error;
  }
  // The choices of a stream's events joined, and that it is one.
  static Json Joined(const Answer& answer, const char* piece) {
    EXPECT_EQ(answer.status, 200);
    EXPECT_NE(answer.head.find("text/event-stream"), std::string::npos) << answer.head;
    const std::vector<std::string> events = answer.Events();
    EXPECT_FALSE(events.empty());
    if (events.empty() || events.back() != "[DONE]") ADD_FAILURE() << answer.body;
    Json joined = {{"texts", Json::array()}, {"usages", 0}, {"reasons", Json::array()}};
    for (size_t e = 0; e + 1 < events.size(); ++e) {
      const Json event = Json::parse(events[e]);
      joined["usages"] = joined["usages"].get<int>() + (event.contains("usage") && !event["usage"].is_null());
      if (event.at("choices").empty()) joined["last_usage"] = event.value("usage", Json());
      for (const Json& choice : event.at("choices")) {
        const size_t index = choice.at("index");
        while (joined["texts"].size() <= index) joined["texts"].push_back("");
        const Json text =
            piece == std::string("delta") ? choice.at("delta").value("content", Json("")) : choice.at(piece);
        joined["texts"][index] = joined["texts"][index].get<std::string>() + text.get<std::string>();
        if (!choice.at("finish_reason").is_null()) joined["reasons"].push_back(choice["finish_reason"]);
      }
    }
    return joined;
  }
};

TEST_F(ApiTest, WritesWhatGenerateWrites) {
  for (const int64_t seed : {1, 2, 3}) {
    SamplerConfig sampler{.temperature = 0.9, .top_k = 40, .top_p = 0.9, .frequency_penalty = 0.3, .seed = seed};
    const Generation alone = Alone(folder_, kPrompt, sampler, 30);
    const Json answer = Ask({{"model", "tiny"},
                             {"prompt", kPrompt},
                             {"max_tokens", 30},
                             {"temperature", 0.9},
                             {"top_k", 40},
                             {"top_p", 0.9},
                             {"frequency_penalty", 0.3},
                             {"seed", seed}});
    EXPECT_EQ(TextOf(answer), alone.text);
    EXPECT_EQ(answer.at("object"), "text_completion");
    EXPECT_EQ(answer.at("model"), "tiny");
    EXPECT_TRUE(answer.at("id").get<std::string>().starts_with("cmpl-"));
    EXPECT_GT(answer.at("created"), 1'700'000'000);
    EXPECT_EQ(answer.at("seed"), seed);
    const Json& choice = answer.at("choices").at(0);
    EXPECT_EQ(choice.at("finish_reason"), alone.stop_reason == StopReason::kEos ? "stop" : "length");
    EXPECT_TRUE(choice.at("logprobs").is_null());
    EXPECT_EQ(answer.at("usage").at("prompt_tokens"), alone.prompt_tokens);
    EXPECT_EQ(answer.at("usage").at("completion_tokens"), alone.tokens.size());
    EXPECT_EQ(answer.at("usage").at("total_tokens"), alone.prompt_tokens + alone.tokens.size());
  }
}

TEST_F(ApiTest, PromptsAreTextsOrIdsOneOrMany) {
  const std::vector<uint16_t> ids = TinyTokenizer().Encode(kPrompt);
  const Json common = {{"max_tokens", 12}, {"seed", 5}, {"temperature", 1}};
  const auto ask = [&](const Json& prompt) {
    Json body = common;
    body["prompt"] = prompt;
    return Ask(body);
  };
  const std::string expected = TextOf(ask(kPrompt)), other = TextOf(ask("The cat"));
  EXPECT_NE(expected, other);
  EXPECT_EQ(TextOf(ask(ids)), expected);
  Json opened = ids;
  opened.insert(opened.begin(), 3);
  EXPECT_EQ(TextOf(ask(opened)), expected) << "the <eos> of the beginning may be given or not";
  const Json many = ask({kPrompt, "The cat", kPrompt});
  ASSERT_EQ(many.at("choices").size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(many.at("choices").at(i).at("index"), i);
    EXPECT_EQ(TextOf(many, i), i == 1 ? other : expected);
  }
  EXPECT_EQ(TextOf(ask(Json::array({ids, opened})), 1), expected);
  EXPECT_NE(TextOf(Ask(common)), "") << "no prompt: a new document";
}

TEST_F(ApiTest, SeveralTextsOfOnePrompt) {
  Json body = {{"prompt", {kPrompt, "The cat"}}, {"max_tokens", 15}, {"seed", 8}, {"n", 3}};
  const Json answer = Ask(body);
  ASSERT_EQ(answer.at("choices").size(), 6u);
  std::set<std::string> texts;
  for (size_t i = 0; i < 6; ++i) texts.insert(TextOf(answer, i));
  EXPECT_EQ(texts.size(), 6u) << "they repeat each other";
  body["n"] = 1;
  const Json one = Ask(body);
  EXPECT_EQ(TextOf(one, 0), TextOf(answer, 0)) << "the first is what is written alone";
  EXPECT_EQ(TextOf(one, 1), TextOf(answer, 3));
}

TEST_F(ApiTest, StreamsGiveTheSameTexts) {
  Json body = {{"prompt", kPrompt}, {"max_tokens", 25}, {"seed", 3}, {"n", 2}};
  const Json whole = Ask(body);
  body["stream"] = true;
  Json joined = Joined(Post(serving_->port(), "/v1/completions", body), "text");
  ASSERT_EQ(joined["texts"].size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(joined["texts"][i], TextOf(whole, i));
  EXPECT_EQ(joined["reasons"].size(), 2u);
  EXPECT_EQ(joined["usages"], 0) << "usage is for those who ask for it";
  EXPECT_FALSE(joined.contains("last_usage"));

  body["stream_options"] = {{"include_usage", true}};
  joined = Joined(Post(serving_->port(), "/v1/completions", body), "text");
  EXPECT_EQ(joined["usages"], 1);
  EXPECT_EQ(joined["last_usage"]["completion_tokens"], whole.at("usage").at("completion_tokens"));
  body["stream_options"]["include_usage"] = false;
  joined = Joined(Post(serving_->port(), "/v1/completions", body), "text");
  EXPECT_EQ(joined["usages"], 0);
}

TEST_F(ApiTest, ChatsContinueTheirMessages) {
  Json body = {{"messages",
                {{{"role", "system"}, {"content", "A story."}},
                 {{"role", "user"}, {"content", {{{"type", "text"}, {"text", kPrompt}}}}}}},
               {"max_tokens", 20},
               {"seed", 4}};
  const Json answer = Ask(body, "/v1/chat/completions");
  const Json plain = Ask({{"prompt", std::string("A story.\n") + kPrompt}, {"max_tokens", 20}, {"seed", 4}});
  EXPECT_EQ(answer.at("object"), "chat.completion");
  const Json& message = answer.at("choices").at(0).at("message");
  EXPECT_EQ(message.at("role"), "assistant");
  EXPECT_EQ(message.at("content"), TextOf(plain));
  EXPECT_TRUE(message.contains("refusal"));

  body["stream"] = true;
  body["logprobs"] = true;
  body["top_logprobs"] = 2;
  const Answer stream = Post(serving_->port(), "/v1/chat/completions", body);
  EXPECT_EQ(Joined(stream, "delta")["texts"][0], TextOf(plain));
  const Json first = Json::parse(stream.Events().front()), second = Json::parse(stream.Events().at(1));
  EXPECT_EQ(first.at("object"), "chat.completion.chunk");
  EXPECT_EQ(first.at("choices").at(0).at("delta").at("role"), "assistant");
  EXPECT_EQ(second.at("choices").at(0).at("logprobs").at("content").at(0).at("top_logprobs").size(), 2u);
}

TEST_F(ApiTest, StopsAtAStop) {
  Json body = {{"prompt", kPrompt}, {"max_tokens", 60}, {"seed", 11}, {"logprobs", 0}};
  const std::string whole = TextOf(Ask(body));
  ASSERT_GT(whole.size(), 30u);
  // Whole characters, of which an untrained model writes some that are longer than a byte.
  const size_t begin = WholeCharacters(whole, 20), end = WholeCharacters(whole, 27);
  const std::string stop = whole.substr(begin, end - begin);
  body["stop"] = stop;
  const Json answer = Ask(body);
  EXPECT_EQ(TextOf(answer), whole.substr(0, whole.find(stop)));
  EXPECT_EQ(answer.at("choices").at(0).at("finish_reason"), "stop");
  int64_t characters = 0;
  for (const Json& token : answer.at("choices").at(0).at("logprobs").at("text_offset")) characters = token;
  EXPECT_LT(characters, WrittenText::Characters(TextOf(answer)));
  body["stop"] = {"never this", stop};
  body["stream"] = true;
  EXPECT_EQ(Joined(Post(serving_->port(), "/v1/completions", body), "text")["texts"][0], TextOf(answer));
}

TEST_F(ApiTest, TokenizerRoutes) {
  const int port = serving_->port();
  const Json ids = TinyTokenizer().Encode("The cat was happy.");
  for (const char* name : {"prompt", "content", "text"}) {
    EXPECT_EQ(Ask({{name, "The cat was happy."}}, "/tokenize").at("tokens"), ids);
  }
  EXPECT_EQ(Ask({{"prompt", "a"}, {"add_special_tokens", true}}, "/tokenize").at("tokens").at(0), 3);
  EXPECT_EQ(Ask({{"tokens", ids}}, "/detokenize").at("prompt"), "The cat was happy.");
  EXPECT_EQ(Ask({{"tokens", Json::array()}}, "/detokenize").at("prompt"), "");
  const Json info = Fetch(port, "GET", "/tokenizer_info").json();
  for (const char* name : {"eos_token", "bos_token"}) EXPECT_EQ(info.at(name), "<eos>");
  EXPECT_TRUE(info.contains("pad_token") && info.contains("chat_template"));
  // Clients look up the id of <eos> by its name, and send texts that begin with it.
  EXPECT_EQ(Ask({{"prompt", "<eos>"}}, "/tokenize").at("tokens"), Json::array({3}));
  EXPECT_EQ(Ask({{"tokens", {3, ids[0]}}}, "/detokenize").at("prompt"), "<eos>The");
  EXPECT_EQ(Ask({{"prompt", "The<eos>"}}, "/tokenize").at("tokens"), Json(TinyTokenizer().Encode("The<eos>")));
  const Json named =
      Ask({{"prompt", "The cat"}, {"return_token_strs", true}, {"nobody_knows_this", nullptr}}, "/tokenize");
  EXPECT_EQ(named.at("token_strs").size(), named.at("count"));
  EXPECT_EQ(named.at("token_strs")[0].get<std::string>() + named.at("token_strs")[1].get<std::string>(), "The cat");
  EXPECT_EQ(named.at("max_model_len"), Fetch(port, "GET", "/v1/models").json().at("data")[0].at("max_model_len"));
  ErrorOf(Post(port, "/detokenize", {{"tokens", {100000}}}), 400);
  ErrorOf(Post(port, "/detokenize", {{"tokens", "a"}}), 400);
  ErrorOf(Post(port, "/tokenize", {{"prompt", 5}}), 400);
}

// Whoever counts or cuts tokens with another model's tokenizer would get wrong figures without a word.
TEST(Api, OfTwoTokenizersOneIsNamed) {
  const ServeScratch scratch;
  const std::vector<std::string_view> texts = {
      "The sun was warm and the moon was cold. The sun was bright and the moon was pale. The sun was warm.",
      "A hen sat on the red barn. A hen sat under the old barn. Another hen ran round the red barn and the barn was "
      "old."};
  const Tokenizer other = Tokenizer::Train(texts, TinyTokenizer().vocab_size());
  const auto model = TinyModel(FindModel("gpt"));
  WriteModelFolder(scratch / "other", model->config(), model->bank(), other.ToJson());
  const Serving serving(OptionsOf({WriteTinyModel(scratch, "gpt", "one"), scratch / "other"}));
  const int port = serving.port();
  for (const auto& [name, tokenizer] : {std::pair{"one", &TinyTokenizer()}, std::pair{"other", &other}}) {
    const Answer tokens = Post(port, "/tokenize", {{"prompt", "The sun was warm."}, {"model", name}});
    EXPECT_EQ(tokens.json().at("tokens"), Json(tokenizer->Encode("The sun was warm.")));
    EXPECT_EQ(Fetch(port, "GET", "/tokenizer_info?model=" + std::string(name)).status, 200);
  }
  EXPECT_EQ(Post(port, "/tokenize", {{"prompt", "The sun"}}).status, 400);
  EXPECT_EQ(Post(port, "/detokenize", {{"tokens", {5}}}).status, 400);
  const Answer unnamed = Fetch(port, "GET", "/tokenizer_info");
  EXPECT_EQ(unnamed.status, 400);
  EXPECT_NE(unnamed.body.find("one, other"), std::string::npos) << unnamed.body;
}

TEST_F(ApiTest, OtherRoutes) {
  const int port = serving_->port();
  EXPECT_EQ(Fetch(port, "GET", "/health").json(), Json({{"status", "ok"}}));
  EXPECT_EQ(Fetch(port, "HEAD", "/health").status, 200);
  const Json models = Fetch(port, "GET", "/v1/models").json();
  EXPECT_EQ(models.at("object"), "list");
  EXPECT_EQ(models.at("data").at(0).at("id"), "tiny");
  EXPECT_EQ(Fetch(port, "GET", "/v1/models/tiny").json().at("id"), "tiny");
  EXPECT_EQ(ErrorOf(Fetch(port, "GET", "/v1/models/other"), 404).at("code"), "model_not_found");
  const std::string metrics = Fetch(port, "GET", "/metrics").body;
  for (const char* name : {"flashlm_requests_total", "flashlm_tokens_total", "flashlm_texts_waiting"}) {
    EXPECT_NE(metrics.find(std::string("\n") + name + " "), std::string::npos) << metrics;
  }
  EXPECT_EQ(ErrorOf(Fetch(port, "GET", "/nothing"), 404).at("code"), "not_found");
  EXPECT_EQ(ErrorOf(Fetch(port, "GET", "/v1/completions"), 405).at("code"), "method_not_allowed");
  EXPECT_EQ(ErrorOf(Fetch(port, "GET", "/run"), 404).at("code"), "not_found");
}

TEST_F(ApiTest, WrongRequestsAreToldWhatIsWrong) {
  const Json right = {{"prompt", "a"}, {"max_tokens", 1}};
  const std::pair<const char*, Json> wrong[] = {{"max_tokens", -1},
                                                {"max_tokens", 4294967297},
                                                {"max_tokens", 2.5},
                                                {"max_tokens", "1"},
                                                {"temperature", -0.1},
                                                {"temperature", "hot"},
                                                {"top_p", 1.5},
                                                {"min_p", -1},
                                                {"top_k", 1.5},
                                                {"n", 0},
                                                {"n", 1000000},
                                                {"seed", -1},
                                                {"logprobs", 21},
                                                {"logprobs", true},
                                                {"echo", 1},
                                                {"stream", "yes"},
                                                {"stop", ""},
                                                {"stop", 5},
                                                {"stop", {1}},
                                                {"prompt", 5},
                                                {"prompt", {{{"a", 1}}}},
                                                {"prompt", {-1}},
                                                {"prompt", {100000}},
                                                {"prompt", {1.5}},
                                                {"best_of", 3},
                                                {"presence_penalty", 1},
                                                {"logit_bias", {{"5", 100}}},
                                                {"suffix", "end"},
                                                {"model", 5},
                                                {"stream_options", {{"include_usage", true}}}};
  for (const auto& [name, value] : wrong) {
    Json body = right;
    body[name] = value;
    const Json error = ErrorOf(Post(serving_->port(), "/v1/completions", body), 400);
    EXPECT_EQ(error.at("type"), "invalid_request_error");
    EXPECT_EQ(error.at("param"), name) << error;
  }
  Json unknown = right;
  unknown["max_token"] = 5;
  EXPECT_NE(ErrorOf(Post(serving_->port(), "/v1/completions", unknown), 400)
                .at("message")
                .get<std::string>()
                .find("did you mean 'max_tokens'"),
            std::string::npos);
  Json neutral = right;
  neutral.update({{"best_of", 1},
                  {"presence_penalty", 0},
                  {"logit_bias", Json::object()},
                  {"suffix", nullptr},
                  {"user", "me"},
                  {"stop", nullptr},
                  {"top_k", -1}});
  EXPECT_EQ(Post(serving_->port(), "/v1/completions", neutral).status, 200);
  for (const Json& messages :
       {Json(), Json::array(), Json("hi"), Json({{{"role", "user"}}}), Json({{{"content", "x"}}}),
        Json({{{"role", "user"}, {"content", {{{"type", "image_url"}}}}}})}) {
    ErrorOf(Post(serving_->port(), "/v1/chat/completions", {{"messages", messages}}), 400);
  }
}

// `curl -d` says that what it sends is a form, however long it is.
TEST_F(ApiTest, TheBodyIsJsonWhateverItIsCalled) {
  Json body = {{"prompt", std::string(12'000, 'a')}, {"max_tokens", 1}};
  for (const char* type : {"Content-Type: application/x-www-form-urlencoded\r\n", "", "Content-Type: text/plain\r\n"}) {
    EXPECT_EQ(Fetch(serving_->port(), "POST", "/v1/completions", body.dump(), type).status, 200);
  }
}

TEST_F(ApiTest, TokensThatAreNoTextByThemselves) {
  // Limits inside a character: what is shown is valid, and what is told of tokens is, too.
  for (int seed = 0; seed < 6; ++seed) {
    const Json answer = Ask(
        {{"prompt", "é€🐈"}, {"max_tokens", 7}, {"seed", seed}, {"temperature", 3}, {"logprobs", 3}, {"echo", true}});
    EXPECT_TRUE(TextOf(answer).starts_with("é€🐈"));
    const Json& logprobs = answer.at("choices").at(0).at("logprobs");
    EXPECT_EQ(logprobs.at("tokens").at(0), "bytes:\\xc3");
  }
}

TEST(AuthTest, KeysAndOrigins) {
  const ServeScratch scratch;
  ServiceOptions options = OptionsOf({WriteTinyModel(scratch, "gpt", "tiny")});
  WriteFileAtomic(scratch / "keys", "# who\nsecret-one\n\n  \n\t secret-two  \n");
  options.api_keys = ReadApiKeys(scratch / "keys");
  ASSERT_EQ(options.api_keys, (std::vector<std::string>{"secret-one", "secret-two"}));
  options.cors_origin = "https://example.org";
  options.frame_origin = "https://frames.example";
  Serving serving(options);
  const int port = serving.port();
  const auto status = [&](const std::string& headers, const std::string& path = "/v1/models") {
    return Fetch(port, "GET", path, "", headers).status;
  };
  EXPECT_EQ(status(""), 401);
  EXPECT_EQ(status("Authorization: Bearer secret\r\n"), 401);
  EXPECT_EQ(status("Authorization: secret-one\r\n"), 401);
  EXPECT_EQ(status("Authorization: Bearer secret-one\r\n"), 200);
  EXPECT_EQ(status("Authorization: Bearer secret-two\r\n"), 200);
  EXPECT_EQ(status("Authorization: bearer secret-two\r\n"), 200);
  EXPECT_EQ(status("", "/health"), 200);
  EXPECT_EQ(status("", "/metrics"), 401);
  EXPECT_EQ(Fetch(port, "GET", "/v1/models").json().at("error").at("code"), "invalid_api_key");

  const std::string key = "Authorization: Bearer secret-one\r\n";
  EXPECT_EQ(status(key + "Origin: http://localhost\r\n"), 200);
  EXPECT_EQ(status(key + "Origin: https://evil.example\r\n"), 403);
  EXPECT_EQ(Fetch(port, "GET", "/v1/models", "", key, "evil.example").status, 403) << "a name bound to this machine";
  const Answer allowed = Fetch(port, "GET", "/v1/models", "", key + "Origin: https://example.org\r\n");
  EXPECT_EQ(allowed.status, 200);
  EXPECT_NE(allowed.head.find("Access-Control-Allow-Origin: https://example.org"), std::string::npos);
  const auto preflight = [&](const char* path, const std::string& headers) {
    return Fetch(port, "OPTIONS", path, "", "Origin: https://example.org\r\n" + headers);
  };
  EXPECT_EQ(preflight("/v1/models", "").status, 204);
  EXPECT_EQ(preflight("/nothing", "").status, 404);
  EXPECT_NE(preflight("/v1/models", "Access-Control-Request-Headers: authorization,x-stainless-lang\r\n")
                .head.find("Access-Control-Allow-Headers: authorization,x-stainless-lang\r\n"),
            std::string::npos);
  EXPECT_NE(Fetch(port, "GET", "/").head.find("frame-ancestors 'self' https://frames.example\r\n"), std::string::npos);
  EXPECT_EQ(allowed.head.find("Access-Control-Allow-Origin: *"), std::string::npos);

  WriteFileAtomic(scratch / "none", "# nothing\n");
  EXPECT_THROW(ReadApiKeys(scratch / "none"), Error);
}

// Whoever has a domain may give a host of it any name, and let it mean this machine.
TEST(AuthTest, OnlyNamesOfThisMachineAndOfAProxyBeforeIt) {
  const ServeScratch scratch;
  ServiceOptions options = OptionsOf({WriteTinyModel(scratch, "gpt", "tiny")});
  options.public_origin = "https://stories.example:444";
  const Serving serving(options);
  const auto status = [&](const std::string& host, const std::string& origin = "") {
    const std::string headers = origin.empty() ? "" : "Origin: " + origin + "\r\n";
    return Fetch(serving.port(), "GET", "/v1/models", "", headers, host).status;
  };
  for (const char* host : {"localhost", "LOCALHOST:80", "localhost.", "127.0.0.1:9", "127.9.9.9", "[::1]:80",
                           "stories.example", "stories.example:444"}) {
    EXPECT_EQ(status(host), 200) << host;
  }
  for (const char* host : {"evil.com", "127.evil.com", "127.0.0.1.evil.com", "localhost.evil.com", "128.0.0.1",
                           "my.stories.example", "[::2]"}) {
    EXPECT_EQ(status(host), 403) << host;
  }
  EXPECT_EQ(status("127.0.0.1", "https://stories.example:444"), 200) << "as a proxy passes it on";
  EXPECT_EQ(status("127.0.0.1", "https://evil.com"), 403);
  EXPECT_EQ(status("127.evil.com", "http://127.evil.com"), 403);
}

TEST_F(ApiTest, SaysWhatAnAddressTakes) {
  const auto allow = [&](const char* method, const char* path) {
    const Answer answer = Fetch(serving_->port(), method, path);
    EXPECT_EQ(answer.status, 405);
    const size_t at = answer.head.find("\r\nAllow: ");
    return at == std::string::npos ? "" : answer.head.substr(at + 9, answer.head.find("\r\n", at + 2) - at - 9);
  };
  EXPECT_EQ(allow("PUT", "/v1/models"), "GET, HEAD");
  EXPECT_EQ(allow("GET", "/v1/completions"), "POST");
  EXPECT_EQ(Fetch(serving_->port(), "GET", "/health%00").status, 404);
  EXPECT_EQ(Fetch(serving_->port(), "GET", "/health%00/../../etc/passwd").status, 404);
}

TEST_F(ApiTest, EqualPromptsAreEqualTextsOnlyWithASeed) {
  Json body = {{"prompt", Json::array_t(3, kPrompt)}, {"max_tokens", 30}, {"temperature", 2}};
  const auto texts = [&] {
    std::set<std::string> different;
    const Json answer = Ask(body);
    for (const Json& choice : answer.at("choices")) different.insert(choice.at("text").get<std::string>());
    return different.size();
  };
  EXPECT_EQ(texts(), 3u);
  body["seed"] = 5;
  EXPECT_EQ(texts(), 1u);
}

// Where the text of a token begins, for whatever text: parts of characters, and reserved tokens of a prompt.
TEST_F(ApiTest, OffsetsAreThoseOfTheText) {
  const auto check = [&](Json body) {
    body.update({{"logprobs", 0}, {"echo", true}, {"max_tokens", 30}, {"temperature", 4}});
    const Json choice = Ask(body).at("choices").at(0);
    const std::string text = choice.at("text");
    std::vector<size_t> begins;  // bytes, by character
    for (size_t i = 0; i < text.size(); ++i) {
      if ((static_cast<uint8_t>(text[i]) & 0xC0) != 0x80) begins.push_back(i);
    }
    begins.push_back(text.size());
    int64_t last = 0;
    const Json& logprobs = choice.at("logprobs");
    for (size_t i = 0; i < logprobs.at("tokens").size(); ++i) {
      const std::string name = logprobs.at("tokens")[i];
      const int64_t at = logprobs.at("text_offset")[i];
      ASSERT_LE(last, at) << choice;
      ASSERT_LT(static_cast<size_t>(at), begins.size()) << choice;
      last = at;
      if (name.starts_with("bytes:") || (name == "<eos>" && i + 1 == logprobs.at("tokens").size())) continue;
      ASSERT_EQ(text.substr(begins[static_cast<size_t>(at)], name.size()), name) << i << choice;
    }
  };
  for (int seed = 0; seed < 40; ++seed) check({{"prompt", "Once"}, {"seed", seed}});
  check({{"prompt", {5, 3, 6}}, {"seed", 1}});
  check({{"prompt", {0, 1, 2, 3, 70}}, {"seed", 1}});
  check({{"prompt", {106, 176, 257, 250, 226, 91}}, {"seed", 1}});
  EXPECT_TRUE(TextOf(Ask({{"prompt", {5, 3, 6}}, {"echo", true}, {"max_tokens", 0}})).find("<eos>") !=
              std::string::npos);
}

TEST(LimitsTest, NoRequestIsToldToTryAgainForEver) {
  const ServeScratch scratch;
  ServiceOptions options = OptionsOf({WriteTinyModel(scratch, "gpt", "tiny")});
  options.engine.waiting = 4;
  const Serving serving(options);
  const auto status = [&](int n) {
    return Post(serving.port(), "/v1/completions", {{"n", n}, {"max_tokens", 1}}).status;
  };
  EXPECT_EQ(status(4), 200);
  EXPECT_EQ(status(5), 400);
}

TEST(TwoModelsTest, EachAnswersToItsName) {
  const ServeScratch scratch;
  const std::string first = WriteTinyModel(scratch, "gpt", "one"),
                    second = WriteTinyModel(scratch, "cortex-viii", "two");
  Serving serving(OptionsOf({first, second}));
  const auto text = [&](const char* model) {
    Json body = {{"prompt", kPrompt}, {"max_tokens", 20}, {"seed", 1}};
    if (model != nullptr) body["model"] = model;
    return Post(serving.port(), "/v1/completions", body);
  };
  const SamplerConfig sampler{.temperature = 1, .top_p = 1, .seed = 1};
  EXPECT_EQ(text("one").json().at("choices").at(0).at("text"), Alone(first, kPrompt, sampler, 20).text);
  EXPECT_EQ(text("two").json().at("choices").at(0).at("text"), Alone(second, kPrompt, sampler, 20).text);
  EXPECT_EQ(text(nullptr).json().at("model"), "one");
  EXPECT_EQ(text("three").json().at("error").at("code"), "model_not_found");
}

// What a model says of each token beside its probability, null where it has no such part.
TEST(DetailsTest, AreThoseOfTheModel) {
  const ServeScratch scratch;
  Serving serving(OptionsOf({WriteTinyModel(scratch, "v6-supernova", "deep"),
                             WriteTinyModel(scratch, "cortex-viii", "valued"), WriteNGramModel(scratch, "counted")}));
  const auto details = [&](const char* model) {
    const Json body = {{"model", model}, {"prompt", kPrompt}, {"max_tokens", 40}, {"seed", 1}, {"details", true}};
    return Post(serving.port(), "/v1/completions", body).json().at("choices").at(0).at("details");
  };
  const Json deep = details("deep"), valued = details("valued");
  std::set<int> depths;
  for (const Json& token : deep) depths.insert(token.at("depth").get<int>());
  EXPECT_GT(depths.size(), 1u) << deep;
  for (const int depth : depths) EXPECT_TRUE(depth == 1 || depth == 3 || depth == 8) << depth;
  for (const Json& token : valued) {
    EXPECT_TRUE(token.at("depth").is_null() && token.at("ngram_gate").is_null()) << token;
    EXPECT_TRUE(token.at("value").is_number() && token.at("id").is_number()) << token;
  }
  std::set<double> gates;
  for (const Json& token : details("counted")) gates.insert(token.at("ngram_gate").get<double>());
  EXPECT_GT(gates.size(), 1u);
  EXPECT_GT(*gates.begin(), 0);
  EXPECT_LT(*gates.rbegin(), 1);
  EXPECT_EQ(details("deep"), deep) << "also where the prompt was read before";
}

}  // namespace
}  // namespace flashlm
