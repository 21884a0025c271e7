#include "serve/token_entry.h"

#include <algorithm>

#include "serve/written_text.h"

namespace flashlm {
namespace {

std::string NameOf(int32_t token, const Tokenizer& tokenizer) { return TokenName(token, tokenizer.Bytes(token)); }

// As they are listed: the token's own number is that which was given for it. Those behind it are not above it by
// rounding, for clients compare.
std::vector<LikelyToken> Listed(const DrawnToken& drawn) {
  std::vector<LikelyToken> likely = drawn.likely;
  for (LikelyToken& one : likely) {
    if (one.token == drawn.token) one.log_p = drawn.log_p;
  }
  if (!likely.empty() && likely.front().token == drawn.token) {
    for (LikelyToken& one : likely) one.log_p = std::min(one.log_p, drawn.log_p);
  }
  return likely;
}

Json BytesOf(int32_t token, const Tokenizer& tokenizer) {
  Json bytes = Json::array();
  for (const char c : tokenizer.Bytes(token)) bytes.push_back(static_cast<uint8_t>(c));
  return bytes;
}

Json ChatToken(int32_t token, float log_p, const Tokenizer& tokenizer) {
  return {{"token", NameOf(token, tokenizer)}, {"logprob", log_p}, {"bytes", BytesOf(token, tokenizer)}};
}

}  // namespace

Json CompletionLogprobs(std::span<const TokenEntry> entries, const Tokenizer& tokenizer) {
  Json tokens = Json::array(), log_probs = Json::array(), top = Json::array(), offsets = Json::array();
  for (const TokenEntry& entry : entries) {
    tokens.push_back(NameOf(entry.token.token, tokenizer));
    offsets.push_back(entry.character);
    log_probs.push_back(entry.scored ? Json(entry.token.log_p) : Json());
    Json likely;
    if (entry.scored) {
      likely = Json::object();
      for (const LikelyToken& one : Listed(entry.token)) likely.emplace(NameOf(one.token, tokenizer), one.log_p);
    }
    top.push_back(std::move(likely));
  }
  return {{"tokens", tokens}, {"token_logprobs", log_probs}, {"top_logprobs", top}, {"text_offset", offsets}};
}

Json ChatLogprobs(std::span<const TokenEntry> entries, const Tokenizer& tokenizer) {
  Json content = Json::array();
  for (const TokenEntry& entry : entries) {
    Json one = ChatToken(entry.token.token, entry.token.log_p, tokenizer);
    Json top = Json::array();
    for (const LikelyToken& likely : Listed(entry.token)) {
      top.push_back(ChatToken(likely.token, likely.log_p, tokenizer));
    }
    one["top_logprobs"] = std::move(top);
    content.push_back(std::move(one));
  }
  return {{"content", content}, {"refusal", nullptr}};
}

Json TokenDetails(std::span<const TokenEntry> entries) {
  Json details = Json::array();
  for (const TokenEntry& entry : entries) {
    const DrawnToken& token = entry.token;
    details.push_back({{"id", token.token},
                       {"value", token.has_value ? Json(token.value) : Json()},
                       {"ngram_gate", token.has_gate ? Json(token.gate) : Json()},
                       {"depth", token.depth > 0 ? Json(token.depth) : Json()}});
  }
  return details;
}

}  // namespace flashlm
