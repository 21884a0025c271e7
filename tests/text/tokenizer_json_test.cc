// Files that are damaged, hostile or of another kind: one clear line each, and nothing worse.
#include "text/tokenizer_json.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

const Json& Good() {
  static const Json document = [] {
    const std::string_view text = "the cat and the hat and the bat and the cat";
    return ParseJson(Tokenizer::Train(std::span(&text, 1), 268).ToJson(), "test");
  }();
  return document;
}

// The error for a good file changed by `edit`, or "" if it is accepted.
std::string ErrorAfter(const std::function<void(Json&)>& edit) {
  Json document = Good();
  edit(document);
  try {
    Tokenizer::FromJson(document.dump(), "some.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.OneLine().find('\n'), std::string::npos) << error.OneLine();
    EXPECT_EQ(error.OneLine().rfind("some.json: ", 0), 0u) << error.OneLine();
    EXPECT_FALSE(error.hint().empty()) << error.what();
    return error.what();
  }
  return "";
}

void ExpectRefused(const std::string& part_of_message, const std::function<void(Json&)>& edit) {
  const std::string message = ErrorAfter(edit);
  EXPECT_NE(message.find(part_of_message), std::string::npos) << "got: " << message;
}

Json AddedToken(const char* content, int id, bool special = true) {
  return {{"id", id}, {"content", content}, {"special", special}};
}

TEST(TokenizerJson, AcceptsItsOwn) {
  EXPECT_EQ(ErrorAfter([](Json&) {}), "");
  const Tokenizer tokenizer = Tokenizer::FromJson(Good().dump(), "test");
  EXPECT_EQ(ParseJson(tokenizer.ToJson(), "test"), Good());
}

TEST(TokenizerJson, RefusesEveryTruncation) {
  const std::string json = Good().dump();
  for (size_t bytes = 0; bytes < json.size(); bytes += 1 + bytes / 50) {
    EXPECT_THROW(Tokenizer::FromJson(json.substr(0, bytes), "cut"), Error) << bytes;
  }
}

TEST(TokenizerJson, RefusesOtherJson) {
  for (const char* json : {"", "null", "[]", "{}", "7", "\"x\"", "{\"model\":7}", "{\"model\":{}}", "\xFF"}) {
    EXPECT_THROW(Tokenizer::FromJson(json, "other"), Error) << json;
  }
  EXPECT_THROW(Tokenizer::FromJson(std::string(1'000'000, '['), "deep"), Error);
  EXPECT_THROW(Tokenizer::FromJson(std::string(kMaxTokenizerJsonBytes + 1, ' '), "large"), Error);
  EXPECT_THROW(Tokenizer::Load("/nonexistent/tokenizer.json"), Error);
}

// A wrong type at any place of the document must end in an Error, never in another exception.
TEST(TokenizerJson, WrongTypesAnywhere) {
  const Json wrong[] = {Json(), Json(true), Json(-1), Json(1.5), Json("x"), Json::array({1}), Json{{"x", 1}}};
  const auto flat = Good().flatten();
  for (const auto& [path, value] : flat.items()) {
    for (const Json& replacement : wrong) {
      Json document = Good();
      document[Json::json_pointer(path)] = replacement;
      try {
        Tokenizer::FromJson(document.dump(), "wrong");
      } catch (const Error&) {
      }
    }
  }
  for (const char* path :
       {"/model", "/model/vocab", "/model/merges", "/model/merges/0", "/pre_tokenizer", "/decoder", "/added_tokens"}) {
    for (const Json& replacement : wrong) {
      Json document = Good();
      document[Json::json_pointer(path)] = replacement;
      try {
        Tokenizer::FromJson(document.dump(), "wrong");
      } catch (const Error&) {
      }
    }
  }
}

TEST(TokenizerJson, RefusesOtherPipelinesByName) {
  ExpectRefused("model type \"WordPiece\"", [](Json& j) { j["model"]["type"] = "WordPiece"; });
  ExpectRefused("\"normalizer\"", [](Json& j) { j["normalizer"] = {{"type", "NFC"}}; });
  ExpectRefused("\"truncation\"", [](Json& j) { j["truncation"] = {{"max_length", 5}}; });
  ExpectRefused("\"padding\"", [](Json& j) { j["padding"] = {{"pad_id", 0}}; });
  ExpectRefused("add_prefix_space", [](Json& j) { j["pre_tokenizer"]["add_prefix_space"] = true; });
  ExpectRefused("use_regex", [](Json& j) { j["pre_tokenizer"]["use_regex"] = false; });
  ExpectRefused("pre_tokenizer \"Whitespace\"", [](Json& j) { j["pre_tokenizer"]["type"] = "Whitespace"; });
  ExpectRefused("pre_tokenizer \"\"", [](Json& j) { j["pre_tokenizer"] = nullptr; });
  ExpectRefused("decoder \"Metaspace\"", [](Json& j) { j["decoder"]["type"] = "Metaspace"; });
  ExpectRefused("post_processor \"TemplateProcessing\"", [](Json& j) {
    j["post_processor"] = {{"type", "TemplateProcessing"}};
  });
  ExpectRefused("\"continuing_subword_prefix\"", [](Json& j) { j["model"]["continuing_subword_prefix"] = "##"; });
  ExpectRefused("\"end_of_word_suffix\"", [](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; });
  ExpectRefused("\"ignore_merges\"", [](Json& j) { j["model"]["ignore_merges"] = true; });
  ExpectRefused("\"byte_fallback\"", [](Json& j) { j["model"]["byte_fallback"] = true; });
  ExpectRefused("\"dropout\"", [](Json& j) { j["model"]["dropout"] = 0.1; });
}

TEST(TokenizerJson, RefusesANameThatStandsTwice) {
  std::string json = Good().dump();
  json.insert(json.find("\"vocab\":{") + 9, "\"a\":7,");
  try {
    Tokenizer::FromJson(json, "double");
    FAIL() << "taken";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("\"a\" stands twice"), std::string::npos) << e.what();
  }
}

TEST(TokenizerJson, RefusesBrokenVocabularies) {
  const auto vocab = [](Json& j) -> Json& { return j["model"]["vocab"]; };
  ExpectRefused("no object \"model.vocab\"", [](Json& j) { j["model"].erase("vocab"); });
  ExpectRefused("no entry has id 268", [&](Json& j) { vocab(j)["hole"] = 269; });
  ExpectRefused("not a number from 0 to 65535", [&](Json& j) { vocab(j)["far"] = 65536; });
  ExpectRefused("not a number from 0 to 65535", [&](Json& j) { vocab(j)["far"] = 4'000'000'000'000; });
  ExpectRefused("not a number from 0 to 65535", [&](Json& j) { vocab(j)["a"] = -1; });
  ExpectRefused("not a number from 0 to 65535", [&](Json& j) { vocab(j)["a"] = 1.5; });
  ExpectRefused("id 5 is both", [&](Json& j) { vocab(j)["twice"] = 5; });
  ExpectRefused("no entry for byte 0x61", [&](Json& j) {
    vocab(j)["reserved"] = vocab(j)["a"];
    vocab(j).erase("a");
  });
  ExpectRefused("ids 0 to 3 must be reserved", [&](Json& j) { std::swap(vocab(j)["<eos>"], vocab(j)["a"]); });
  ExpectRefused("empty text", [&](Json& j) { vocab(j)[""] = 268; });
  ExpectRefused("more than 65536", [&](Json& j) {
    auto& map = vocab(j).get_ref<Json::object_t&>();
    for (int i = 268; i <= 65536; ++i) map.Container::emplace_back("x" + std::to_string(i), i);
  });
}

TEST(TokenizerJson, RefusesBrokenMerges) {
  const auto merges = [](Json& j) -> Json& { return j["model"]["merges"]; };
  ExpectRefused("no list \"model.merges\"", [](Json& j) { j["model"].erase("merges"); });
  ExpectRefused("merge 8 names \"zz\"", [&](Json& j) { merges(j).push_back({"zz", "a"}); });
  ExpectRefused("merge 8 names \"qx\"", [&](Json& j) { merges(j).push_back("q x"); });
  ExpectRefused("merge 8 is not a pair", [&](Json& j) { merges(j).push_back("the"); });
  ExpectRefused("merge 8 is not a pair", [&](Json& j) { merges(j).push_back({"t", "h", "e"}); });
  ExpectRefused("merge 8 is not a pair", [&](Json& j) { merges(j).push_back(7); });
  ExpectRefused("merge 8 repeats merge 0", [&](Json& j) { merges(j).push_back(Json(merges(j)[0])); });
  ExpectRefused("ids 0 to 3 must be reserved", [&](Json& j) {
    j["model"]["vocab"]["<p"] = 268;
    j["model"]["vocab"]["ad>"] = 269;
    merges(j).push_back({"<p", "ad>"});
  });
  ExpectRefused("byte-level alphabet", [&](Json& j) {
    j["model"]["vocab"]
     ["\xE6\x97\xA5"
      "a"] = 268;
    j["model"]["vocab"]["\xE6\x97\xA5"] = 269;
    merges(j).push_back({"\xE6\x97\xA5", "a"});
  });
  ExpectRefused("more than 131072", [&](Json& j) { merges(j) = Json(std::vector<int>(140000)); });
}

TEST(TokenizerJson, AddedTokens) {
  const auto added = [](Json& j) -> Json& { return j["added_tokens"]; };
  ExpectRefused("is not special", [&](Json& j) { added(j).push_back(AddedToken("<x>", 268, false)); });
  ExpectRefused("another id", [&](Json& j) { added(j).push_back(AddedToken("<eos>", 2)); });
  ExpectRefused("id 3 is both", [&](Json& j) { added(j).push_back(AddedToken("<end>", 3)); });
  ExpectRefused("also an ordinary entry",
                [&](Json& j) { added(j).push_back(AddedToken("a", j["model"]["vocab"]["a"])); });
  ExpectRefused("no text \"content\"", [&](Json& j) { added(j).push_back(7); });

  Json document = Good();
  for (const char* name : {"<pad>", "<unk>", "<bos>", "<eos>"}) {
    added(document).push_back(AddedToken(name, document["model"]["vocab"][name]));
  }
  EXPECT_EQ(Tokenizer::FromJson(document.dump(), "test").ToJson(), Tokenizer::FromJson(Good().dump(), "test").ToJson());
  added(document).push_back(AddedToken("<sep>", 268));
  const Tokenizer tokenizer = Tokenizer::FromJson(document.dump(), "test");
  EXPECT_EQ(tokenizer.vocab_size(), 269);
  EXPECT_EQ(tokenizer.Bytes(268), "");
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("a<sep>b")), "a<sep>b");
  EXPECT_EQ(Tokenizer::FromJson(tokenizer.ToJson(), "again").Hash(), tokenizer.Hash());
}

TEST(TokenizerJson, OtherNamesOfReservedIds) {
  Json document = Good();
  document["model"]["vocab"].erase("<eos>");
  document["model"]["vocab"]["<|\"eos\"|>"] = 3;
  const Tokenizer tokenizer = Tokenizer::FromJson(document.dump(), "test");
  EXPECT_EQ(ParseJson(tokenizer.ToJson(), "test")["model"]["vocab"]["<|\"eos\"|>"], 3);
}

TEST(TokenizerJson, BothSpellingsOfMerges) {
  Json document = Good();
  for (Json& merge : document["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  EXPECT_EQ(Tokenizer::FromJson(document.dump(), "test").ToJson(), Tokenizer::FromJson(Good().dump(), "test").ToJson());
}

}  // namespace
}  // namespace flashlm
