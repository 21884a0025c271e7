// flashlm tokenizer train | encode | decode
#include "text/tokenizer.h"

#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "cli/verbs.h"
#include "data/sources.h"
#include "infer/loaded_model.h"

namespace flashlm::cli {
namespace {

struct TokenizerArguments {
  std::string tokenizer, input, out;
  int vocab = 4096;
  bool json = false;
};

std::string ReadInput(const std::string& input) {
  if (input.empty() || input == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  return ReadFile(input);
}

void Train(const TokenizerArguments& options) {
  if (options.out == "-" && options.json) {
    throw UsageError("--out - and --json together", "both are written to standard output; name a file for one");
  }
  const std::unique_ptr<DocumentSource> source = OpenSource(options.input);
  std::vector<std::string> inputs = source->paths();
  inputs.push_back(options.input);
  RefuseOverwriting("--out", options.out, inputs);
  if (options.out != "-") RefuseOutputInside("--out", options.out, *source);
  std::vector<DocumentBatch> batches;
  std::vector<std::string_view> documents;
  for (DocumentBatch batch; source->Next(batch);) {
    documents.insert(documents.end(), batch.documents.begin(), batch.documents.end());
    batches.push_back(std::move(batch));
    batch = {};
  }
  if (documents.empty()) throw Error(fmt::format("'{}' holds no text", options.input));
  const Tokenizer tokenizer = Tokenizer::Train(documents, options.vocab);
  tokenizer.Save(options.out);
  if (options.json) PrintJson({{"vocab", tokenizer.vocab_size()}, {"sha256", tokenizer.Hash()}});
}

void Encode(const TokenizerArguments& options) {
  const std::vector<uint16_t> ids = LoadTokenizer(options.tokenizer).Encode(ReadInput(options.input));
  if (options.json) {
    Print(Json{{"ids", ids}}.dump() + "\n");
  } else {
    Print(fmt::format("{}\n", fmt::join(ids, " ")));
  }
}

// Ids as {"ids":[...]} or as numbers between blanks, from a file or stdin; bytes to stdout.
void Decode(const TokenizerArguments& options) {
  const Tokenizer tokenizer = LoadTokenizer(options.tokenizer);
  const std::string text = ReadInput(options.input);
  const std::string where = options.input.empty() ? "stdin" : options.input;
  std::vector<int64_t> numbers;
  if (text.find('{') != std::string::npos) {
    const Json json = ParseJson(text, where);
    if (!json.contains("ids") || !json["ids"].is_array()) throw Error(where + ": no \"ids\" list");
    for (const Json& id : json["ids"]) {
      if (!id.is_number_integer()) throw Error(fmt::format("{}: '{}' is not a token id", where, id.dump()));
      numbers.push_back(id.get<int64_t>());
    }
  } else {
    std::istringstream words(text);
    for (std::string word; words >> word;) {
      char* end = nullptr;
      numbers.push_back(std::strtoll(word.c_str(), &end, 10));
      if (*end != '\0') throw Error(fmt::format("{}: '{}' is not a token id", where, word));
    }
  }
  std::vector<uint16_t> ids;
  for (int64_t number : numbers) {
    if (number < 0 || number >= tokenizer.vocab_size()) {
      throw Error(
          fmt::format("{}: token id {} is outside the vocabulary of {}", where, number, tokenizer.vocab_size()));
    }
    ids.push_back(static_cast<uint16_t>(number));
  }
  const std::string bytes = tokenizer.Decode(ids);
  Print(options.json ? ToText({{"text", bytes}}) + "\n" : bytes);
}

}  // namespace

void AddTokenizer(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("tokenizer", "byte-level BPE: train, encode, decode");
  verb->require_subcommand(1);
  auto options = std::make_shared<TokenizerArguments>();

  CLI::App* train = verb->add_subcommand("train", "learn a vocabulary from text");
  train->add_option("--input", options->input, "a file, a folder of .txt files, or - for standard input")->required();
  train->add_option("--vocab", options->vocab, "entries");
  train->add_option("--out", options->out, "tokenizer.json to write; -: standard output")->required();
  train->add_flag("--json", options->json, "print the result");
  train->callback([options] { Train(*options); });

  CLI::App* encode = verb->add_subcommand("encode", "bytes to ids");
  encode
      ->add_option("--tokenizer", options->tokenizer, "tokenizer.json, or a run, model folder or packed file with one")
      ->required();
  encode->add_option("--input", options->input, "a file; stdin without it");
  encode->add_flag("--json", options->json, "print {\"ids\": [...]}");
  encode->callback([options] { Encode(*options); });

  CLI::App* decode = verb->add_subcommand("decode", "ids to bytes");
  decode
      ->add_option("--tokenizer", options->tokenizer, "tokenizer.json, or a run, model folder or packed file with one")
      ->required();
  decode->add_option("--input", options->input, "a file of ids; stdin without it");
  decode->add_flag("--json", options->json, "print {\"text\": ...}; what is not UTF-8 becomes U+FFFD");
  decode->callback([options] { Decode(*options); });
}

}  // namespace flashlm::cli
