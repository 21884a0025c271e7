#include "exchange/token_order.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "exchange/shallow_json.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

using SortedJson = nlohmann::json;

constexpr char kHint[] = "byte-level BPE with a few special tokens can be carried";

class Renumbering {
 public:
  Renumbering(const std::string& json, const TheirTokens& tokens, const std::string& where)
      : where_(where), tokens_(tokens), names_(static_cast<size_t>(tokens.rows)) {
    document_ = ParseShallow<SortedJson>(json, where);
    if (!document_.value("model", SortedJson()).is_object()) Fail("it has no object \"model\"");
    ReadNames();
    FindReserved();
  }

  RenumberedTokenizer Make() {
    RenumberedTokenizer made;
    const std::vector<int> first = ChooseReserved();
    made.theirs = first;
    for (int id = 0; id < tokens_.rows; ++id) {
      if (std::find(first.begin(), first.end(), id) == first.end()) made.theirs.push_back(id);
    }
    SortedJson vocab = SortedJson::object();
    for (int id = 0; id < tokens_.rows; ++id) vocab[names_[static_cast<size_t>(made.theirs[id])]] = id;
    document_["model"]["vocab"] = std::move(vocab);
    document_["added_tokens"] = SortedJson::array();  // special ones stay reserved as entries that no merge makes
    if (!document_.value("post_processor", SortedJson()).is_null()) {
      document_["post_processor"] = nullptr;
      made.notes.emplace_back(
          "its post_processor is left out: here every document begins with the token that ends one");
    }
    made.json = document_.dump();
    if (!made.SameOrder()) made.notes.emplace_back("tokens are renumbered: ids 0 to 3 are reserved here");
    return made;
  }

 private:
  [[noreturn]] void Fail(const std::string& what, const char* hint = kHint) const {
    throw Error(fmt::format("{}: {}", where_, what), hint);
  }

  void Name(const std::string& name, const SortedJson& id) {
    if (!id.is_number_integer() || id < 0 || id >= tokens_.rows) {
      Fail(fmt::format("an id is not below the model's vocab_size of {}: {}", tokens_.rows, id.dump()));
    }
    std::string& known = names_[id.get<size_t>()];
    if (!known.empty() && known != name) Fail(fmt::format("two tokens have the id {}", id.dump()));
    known = name;
  }

  void ReadNames() {
    const SortedJson vocab = document_["model"].value("vocab", SortedJson());
    if (!vocab.is_object()) Fail("its \"model\" has no object \"vocab\"");
    for (const auto& [name, id] : vocab.items()) Name(name, id);
    const SortedJson added = document_.value("added_tokens", SortedJson());
    if (!added.is_null() && !added.is_array()) Fail("its \"added_tokens\" are no list");
    for (const SortedJson& token : added) {
      if (!token.is_object() || !token.value("content", SortedJson()).is_string())
        Fail("an added token has no content");
      if (token.value("special", SortedJson()) != SortedJson(true)) {
        Fail("it cuts added tokens out of texts that are not special, which cannot be carried: " +
             token["content"].dump(-1, ' ', false, SortedJson::error_handler_t::replace));
      }
      Name(token["content"].get<std::string>(), token.value("id", SortedJson()));
    }
    for (size_t id = 0; id < names_.size(); ++id) {
      if (names_[id].empty())
        names_[id] = fmt::format("<row {}>", id);  // no text makes it: blanks are spelled otherwise
    }
  }

  // Tokens that are neither a byte nor what a merge makes.
  void FindReserved() {
    std::set<std::string> made;
    for (int byte = 0; byte < 256; ++byte) made.insert(SpellBytes(std::string(1, static_cast<char>(byte))));
    const SortedJson merges = document_["model"].value("merges", SortedJson());
    if (!merges.is_array()) Fail("its \"model\" has no list \"merges\"");
    for (const SortedJson& merge : merges) {
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        made.insert(merge[0].get<std::string>() + merge[1].get<std::string>());
      } else if (merge.is_string()) {
        std::string text = merge.get<std::string>();
        std::erase(text, ' ');
        made.insert(text);
      }
    }
    for (size_t id = 0; id < names_.size(); ++id) {
      if (!made.contains(names_[id])) reserved_.insert(static_cast<int>(id));
    }
  }

  // Theirs of ids 0 to 3.
  std::vector<int> ChooseReserved() {
    if (tokens_.eos < 0) Fail("the model names no eos_token_id, with which documents end");
    if (!reserved_.contains(tokens_.eos)) {
      Fail(fmt::format("eos_token_id {} is no special token of it", tokens_.eos));
    }
    if (reserved_.size() < Tokenizer::kSpecials) {
      Fail(fmt::format("{} of its entries are special or unused, of which {} are needed", reserved_.size(),
                       Tokenizer::kSpecials),
           "a model of this vocabulary would need rows that it was not trained with");
    }
    std::vector<int> chosen(Tokenizer::kSpecials, -1);
    const auto take = [&](int slot, int theirs) {
      if (theirs >= 0 && reserved_.erase(theirs) > 0) chosen[static_cast<size_t>(slot)] = theirs;
    };
    take(Tokenizer::kEos, tokens_.eos);
    take(Tokenizer::kPad, tokens_.pad);
    take(Tokenizer::kBos, tokens_.bos);
    for (int slot = 0; slot < Tokenizer::kSpecials; ++slot) {
      if (chosen[static_cast<size_t>(slot)] < 0) take(slot, *reserved_.begin());
    }
    return chosen;
  }

  const std::string& where_;
  const TheirTokens tokens_;
  SortedJson document_;
  std::vector<std::string> names_;  // by their id
  std::set<int> reserved_;
};

}  // namespace

bool RenumberedTokenizer::SameOrder() const {
  for (size_t id = 0; id < theirs.size(); ++id) {
    if (theirs[id] != static_cast<int>(id)) return false;
  }
  return true;
}

RenumberedTokenizer RenumberTokens(const std::string& json, const TheirTokens& tokens, const std::string& where) {
  return Renumbering(json, tokens, where).Make();
}

}  // namespace flashlm
