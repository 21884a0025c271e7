#include "exchange/model_card.h"

#include <flashlm/version.h>

#include "base/error.h"
#include "base/paths.h"
#include "base/progress.h"
#include "train/run_result.h"

namespace flashlm {
namespace {

constexpr char kUnknownData[] = "the training data";

// A text as YAML reads it whatever is in it: JSON strings are YAML.
std::string Yaml(const std::string& text) { return ToText(Json(text)); }

std::string RunText(const LoadedModel& loaded, const char* key) {
  if (!loaded.trainer_state.is_object()) return "";
  const Json run = loaded.trainer_state.value("run", Json());
  const Json value = run.is_object() ? run.value(key, Json()) : Json();
  return value.is_string() ? value.get<std::string>() : "";
}

std::string NameFor(const LoadedModel& loaded, const CardOptions& options) {
  if (!options.name.empty()) return options.name;
  const std::string preset = RunText(loaded, "preset");
  return "FlashLM " + (preset.empty() ? loaded.model->architecture() : preset);
}

std::string ModelIndex(const std::string& name, const CardFigures& figures, const std::string& data) {
  std::string text = fmt::format(
      "model-index:\n- name: {}\n  results:\n  - task:\n      type: text-generation\n    dataset:\n      name: {}\n"
      "      type: {}\n    metrics:\n    - type: bits_per_byte\n      name: Bits per byte\n      value: {:.4f}\n",
      Yaml(name), Yaml(data + " (held-out part)"), Yaml(data), figures.bits_per_byte);
  if (figures.perplexity > 0) {
    text += fmt::format("    - type: perplexity\n      name: Perplexity per token\n      value: {:.3f}\n",
                        figures.perplexity);
  }
  return text;
}

std::string FrontMatter(const std::string& name, const std::string& native, const CardFigures& figures,
                        const CardOptions& options) {
  std::string text =
      fmt::format("---\nlicense: {}\nlanguage:\n- {}\nlibrary_name: {}\npipeline_tag: text-generation\n",
                  Yaml(options.license), Yaml(options.language), native.empty() ? "flashlm" : "transformers");
  if (!options.datasets.empty()) text += "datasets:\n";
  for (const std::string& dataset : options.datasets) text += fmt::format("- {}\n", Yaml(dataset));
  text += "tags:\n- flashlm\n- small-language-model\n- cpu\n";
  if (figures.known) {
    text += ModelIndex(name, figures, options.datasets.empty() ? kUnknownData : options.datasets.front());
  }
  return text + "---\n";
}

std::string WhatItIs(const LoadedModel& loaded) {
  const ParamBank& bank = loaded.model->bank();
  std::string text = fmt::format("A language model of {} parameters (architecture `{}`, {} tokens in its vocabulary)",
                                 bank.ParameterCount(), loaded.model->architecture(), loaded.model->vocab());
  if (bank.TernaryCount() > 0) text += fmt::format(", {} of them ternary", bank.TernaryCount());
  const Json& state = loaded.trainer_state;
  const Json tokens = state.is_object() ? state.value("tokens", Json()) : Json();
  if (tokens.is_number_integer()) text += fmt::format(", trained on {} tokens", FormatCount(tokens.get<double>()));
  const Json seconds = state.is_object() ? state.value("seconds", Json()) : Json();
  if (seconds.is_number()) text += fmt::format(" in {} on a CPU", FormatDuration(seconds.get<double>()));
  return text + fmt::format(", with FlashLM {}.\n", Version());
}

std::string HowToRun(const std::string& native) {
  if (native.empty()) {
    return "No class of transformers is of this architecture: the folder is a model folder of FlashLM, which trains, "
           "evaluates and runs it. `config.json` and `model.safetensors` say what it is to anybody else; "
           "`tokenizer.json` is read by the tokenizers package.\n\n"
           "    flashlm generate --model FOLDER -p \"Once upon a time\"\n"
           "    flashlm eval --model FOLDER --text FILE\n";
  }
  return fmt::format(
      "Loaded by plain transformers, as `{}`, without code of its own:\n\n"
      "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
      "tokenizer = AutoTokenizer.from_pretrained(FOLDER)\nmodel = AutoModelForCausalLM.from_pretrained(FOLDER)\n"
      "inputs = tokenizer(tokenizer.eos_token + \"Once upon a time\", return_tensors=\"pt\")\n"
      "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=200)[0]))\n```\n\n"
      "Documents begin and end with `tokenizer.eos_token`, which the prompt must start with. FlashLM itself takes the "
      "folder with "
      "`flashlm import --from FOLDER --out MODEL`.\n",
      native);
}

std::string Figures(const CardFigures& figures) {
  if (!figures.known) {
    return "These weights were not measured when they were exported. `flashlm eval --model MODEL --text FILE` measures "
           "bits per byte on any text.\n";
  }
  std::string text = fmt::format("{:.4f} bits per byte", figures.bits_per_byte);
  if (figures.stderr_bits_per_byte > 0) text += fmt::format(" (standard error {:.4f})", figures.stderr_bits_per_byte);
  if (figures.perplexity > 0)
    text += fmt::format(", perplexity {:.3f} per token of this tokenizer", figures.perplexity);
  text += fmt::format(", on {} held-out documents. ", figures.documents);
  return text +
         (figures.part == "dev"
              ? "These weights were chosen by this figure among those of the training, which flatters it.\n"
              : "No choice was made on them.\n") +
         "Bits per byte do not depend on the tokenizer; perplexities of different tokenizers cannot be compared.\n";
}

}  // namespace

CardFigures FiguresOf(const LoadedModel& loaded) {
  const std::string path = FileIn(loaded.folder, "../../results.json");
  if (loaded.step < 0 || !Exists(path)) return {};
  const RunResult results = RunResultFromJson(ReadJsonFile(path), path);
  CardFigures figures;
  if (results.measured_step == loaded.step && results.val_bits_per_byte > 0) {
    figures = {true,
               results.val_bits_per_byte,
               results.final_ppl,
               results.stderr_bits_per_byte,
               results.documents_evaluated,
               results.val_part};
  } else if (results.best_step == loaded.step && results.best_bits_per_byte > 0) {
    figures = {true, results.best_bits_per_byte, results.best_ppl, 0, results.dev_documents, "dev"};
  }
  // Not known where the run could not tell: NaN is not above 0.
  if (!(figures.perplexity > 0)) figures.perplexity = 0;
  if (!(figures.stderr_bits_per_byte > 0)) figures.stderr_bits_per_byte = 0;
  return figures;
}

std::string ModelCard(const LoadedModel& loaded, const std::string& native, const CardOptions& options) {
  const std::string name = NameFor(loaded, options);
  const CardFigures figures = FiguresOf(loaded);
  std::string text = FrontMatter(name, native, figures, options);
  text += fmt::format("\n# {}\n\n{}\n## How to run it\n\n{}\n## How well it predicts\n\n{}", name, WhatItIs(loaded),
                      HowToRun(native), Figures(figures));
  text +=
      "\n## What it is not\n\nA small model continues text in the manner of what it was trained on. It has not been "
      "taught to follow instructions, knows little, and states falsehoods as readily as facts.\n";
  return text;
}

}  // namespace flashlm
