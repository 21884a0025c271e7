#include "eval/grammar.h"

#ifdef FLASHLM_LINK_GRAMMAR
#include <link-grammar/link-includes.h>
#endif

namespace flashlm {

#ifdef FLASHLM_LINK_GRAMMAR

namespace {

class LinkGrammar final : public Grammar {
 public:
  explicit LinkGrammar(Dictionary dictionary) : dictionary_(dictionary), options_(parse_options_create()) {
    parse_options_set_verbosity(options_, 0);
    parse_options_set_max_null_count(options_, 0);
    parse_options_set_max_parse_time(options_, 1);  // seconds
    parse_options_set_spell_guess(options_, 0);     // what is misspelt is not what was written
  }
  ~LinkGrammar() override {
    parse_options_delete(options_);
    dictionary_delete(dictionary_);
  }
  LinkGrammar(const LinkGrammar&) = delete;
  LinkGrammar& operator=(const LinkGrammar&) = delete;

  std::string Name() const override { return linkgrammar_get_version(); }

  bool Parses(const std::string& text) override {
    parse_options_reset_resources(options_);
    const Sentence sentence = sentence_create(text.c_str(), dictionary_);
    const bool parses = sentence_split(sentence, options_) >= 0 && sentence_parse(sentence, options_) > 0 &&
                        sentence_num_valid_linkages(sentence) > 0;
    sentence_delete(sentence);
    return parses;
  }

 private:
  Dictionary dictionary_;
  Parse_Options options_;
};

// What it finds wrong with a sentence is told by its result.
void Silence(lg_errinfo*, void*) {}

}  // namespace

std::unique_ptr<Grammar> Grammar::Open(std::string& why_not) {
  lg_error_set_handler(Silence, nullptr);
  if (Dictionary dictionary = dictionary_create_lang("en")) return std::make_unique<LinkGrammar>(dictionary);
  why_not = "link-grammar has no English dictionary here; install link-grammar-dictionaries-en";
  return nullptr;
}

#else

std::unique_ptr<Grammar> Grammar::Open(std::string& why_not) {
  why_not = "link-grammar is not built in; install liblink-grammar-dev and build again";
  return nullptr;
}

#endif

}  // namespace flashlm
