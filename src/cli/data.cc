// flashlm data prepare
#include <memory>

#include "base/progress.h"
#include "cli/verbs.h"
#include "data/prepare.h"

namespace flashlm::cli {

void AddData(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "prepare training data");
  data->require_subcommand(1);
  CLI::App* prepare = data->add_subcommand("prepare", "text to tokenizer, token shards and validation text");
  auto options = std::make_shared<PrepareOptions>();
  auto json = std::make_shared<bool>(false);
  prepare->add_option("--input", options->input, "a file, a folder of .txt files, tinystories, or synthetic")
      ->required();
  prepare->add_option("--out", options->out, "the folder to make")->required();
  prepare->add_option("--valid", options->valid, "validation text; without it 1 % of the documents are held out");
  prepare->add_option("--vocab", options->vocab, "entries of the tokenizer");
  prepare->add_option("--seed", options->seed, "of the synthetic corpus");
  prepare->add_option("--synthetic-bytes", options->synthetic_bytes, "training text to write for synthetic, bytes");
  prepare->add_flag("--json", *json, "print meta.json");
  prepare->callback([options, json] {
    InstallInterruptHandler();
    const Json meta = PrepareData(*options);
    if (*json) PrintJson(meta);
  });
}

}  // namespace flashlm::cli
