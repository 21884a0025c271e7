#include "serve/body_fields.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace flashlm {
namespace {

// What a body is refused for; "" if it is not.
std::string Refused(const std::string& body) {
  try {
    ParseBody(body);
  } catch (const ApiError& e) {
    EXPECT_EQ(e.status(), 400);
    EXPECT_EQ(e.ToJson().at("error").at("type"), "invalid_request_error");
    return e.what();
  }
  return "";
}

template <class Read>
std::string RefusedField(const Json& body, const Read& read) {
  BodyFields fields(body);
  try {
    read(fields);
  } catch (const ApiError& e) {
    EXPECT_NE(std::string(e.what()).find(e.ToJson().at("error").at("param").get<std::string>()), std::string::npos);
    return e.what();
  }
  return "";
}

TEST(ParseBody, TakesObjectsAlone) {
  EXPECT_EQ(Refused(R"({"a": [1, {"b": null}]})"), "");
  for (const char* wrong :
       {"", "[]", "1", "null", "\"text\"", "{", "{\"a\": NaN}", "{\"a\": 1,}", "{'a': 1}", "a=1&b=2"}) {
    EXPECT_NE(Refused(wrong), "") << wrong;
  }
}

TEST(ParseBody, DepthIsBounded) {
  const auto nested = [](size_t depth) {
    return R"({"a": )" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(Refused(nested(10)), "");
  for (const size_t depth : {20u, 100'000u, 1'000'000u}) {
    EXPECT_EQ(Refused(nested(depth)), "the body is nested deeper than 16") << depth;
    EXPECT_NE(Refused(R"({"a": )" + std::string(depth, '[')), "") << depth;
  }
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  EXPECT_EQ(Refused(objects), "the body is nested deeper than 16");
}

TEST(ParseBody, NamesStandOnce) {
  EXPECT_NE(Refused(R"({"n": 1, "n": 2})").find("'n' twice"), std::string::npos);
  EXPECT_NE(Refused(R"({"a": {"b": 1, "\u0062": 2}})").find("'b' twice"), std::string::npos);
  EXPECT_EQ(Refused(R"({"a": {"n": 1}, "n": [{"n": 1}, {"n": 2}]})"), "");
  // What is repeated of a name is bounded, and cut between characters.
  std::string name;
  for (int i = 0; i < 50'000; ++i) name += "é";
  EXPECT_LT(Refused(R"({")" + name + R"(": 1, ")" + name + R"(": 2})").size(), 120u);
}

TEST(ParseBody, TextIsUtf8) {
  EXPECT_EQ(Refused("{\"a\": \"\xc3\xa9 \xf0\x9f\x90\x88\"}"), "");
  for (const char* wrong : {"\xff", "\xc3", "\xed\xa0\x80", "\xc0\xaf", "\xf5\x80\x80\x80"}) {
    EXPECT_NE(Refused(std::string("{\"a\": \"") + wrong + "\"}"), "") << wrong;
  }
  EXPECT_NE(Refused(R"({"a": "\ud800"})"), "");
}

TEST(BodyFields, NumbersAreWhatTheyAre) {
  const auto whole = [](const char* json) {
    return RefusedField(Json::parse(json), [](BodyFields& f) { f.Whole("n", 1, 1, 128); });
  };
  EXPECT_EQ(whole(R"({"n": 128})"), "");
  EXPECT_EQ(whole(R"({"n": null})"), "");
  for (const char* wrong : {"0", "-1", "129", "4294967297", "18446744073709551617", "18446744073709551615",
                            "9223372036854775808", "2.9", "2.0", "1e2", "\"1\"", "true", "[1]", "{}"}) {
    EXPECT_EQ(whole(fmt::format(R"({{"n": {}}})", wrong).c_str()), "'n' must be a whole number from 1 to 128") << wrong;
  }
  const auto real = [](const char* json) {
    return RefusedField(Json::parse(json), [](BodyFields& f) { f.Real("top_p", 1, 0, 1); });
  };
  EXPECT_EQ(real(R"({"top_p": 1})"), "");
  EXPECT_EQ(real(R"({"top_p": 0.5})"), "");
  for (const char* wrong : {"-0.1", "1.0001", "1e300", "\"0.5\"", "[]", "false"}) {
    EXPECT_EQ(real(fmt::format(R"({{"top_p": {}}})", wrong).c_str()), "'top_p' must be a number from 0 to 1") << wrong;
  }
  EXPECT_NE(Refused(R"({"top_p": 1e999})"), "");
}

TEST(BodyFields, WhatNobodyAsksForIsRefused) {
  const Json body = {{"max_token", 5}};
  const std::string refused = RefusedField(body, [](BodyFields& fields) {
    fields.Whole("max_tokens", 1, 0, 10);
    fields.RefuseOthers();
  });
  EXPECT_NE(refused.find("did you mean 'max_tokens'?"), std::string::npos) << refused;
  EXPECT_NE(RefusedField({{"logit_bias", {{"5", 1}}}},
                         [](BodyFields& f) { f.Only("logit_bias", Json::object(), "is not supported"); }),
            "");
  EXPECT_EQ(RefusedField({{"logit_bias", Json::object()}},
                         [](BodyFields& f) { f.Only("logit_bias", Json::object(), "is not supported"); }),
            "");
}

}  // namespace
}  // namespace flashlm
