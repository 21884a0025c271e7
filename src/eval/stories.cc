#include "eval/stories.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/progress.h"
#include "base/rng.h"
#include "data/document_ring.h"
#include "data/documents.h"
#include "data/shards.h"
#include "eval/grammar.h"
#include "eval/story_text.h"
#include "infer/utf8_stream.h"

namespace flashlm {
namespace {

std::string TextOf(const Tokenizer& tokenizer, std::span<const uint16_t> ids) {
  Utf8Stream utf8;
  std::string text(utf8.Push(tokenizer.Decode(ids)));
  return text += utf8.Finish();
}

std::vector<Story> Write(Model& model, DType dtype, const Tokenizer& tokenizer, const StoriesOptions& options) {
  WriteOptions write = options.write;
  if (options.interactive) {
    write.on_progress = [&](int64_t finished) {
      ShowStatus(fmt::format("writing stories: {} of {}", finished, write.documents));
    };
  }
  std::vector<Story> stories;
  for (const WrittenDocument& document : WriteDocuments(model, dtype, write)) {
    const std::vector<uint16_t> ids(document.tokens.begin(), document.tokens.end());
    stories.push_back({TextOf(tokenizer, ids), std::ssize(ids), document.ended});
  }
  return stories;
}

std::vector<Story> Take(const std::string& path, const Tokenizer& tokenizer, const WriteOptions& write) {
  const DocumentFile file(path);
  const auto& documents = file.documents();
  const size_t count = std::min(documents.size(), static_cast<size_t>(write.documents));
  const auto most = static_cast<size_t>(write.max_tokens);
  std::vector<Story> stories;
  for (size_t i = 0; i < count; ++i) {
    std::vector<uint16_t> ids = tokenizer.Encode(documents[i * documents.size() / count]);
    const bool ended = ids.size() < most;  // with its <eos> it has no more tokens than one that is written may have
    ids.resize(std::min(ids.size(), most));
    stories.push_back({TextOf(tokenizer, ids), std::ssize(ids), ended});
  }
  return stories;
}

// The training documents of a data set as text.
class TrainingTexts {
 public:
  TrainingTexts(const std::string& folder, bool interactive)
      : data_(folder, "train", Verify::kHeaders),
        tokenizer_(Tokenizer::Load(FileIn(folder, "tokenizer.json"))),
        borders_(DocumentBorders(data_)),
        interactive_(interactive) {
    data_.ExpectTokenizer(tokenizer_.Hash(), "tokenizer.json");
  }

  bool Next(std::string& text) {
    constexpr size_t kEvery = 4096;
    if (next_ + 1 >= borders_.size()) return false;
    if (interactive_ && next_ % kEvery == 0) {
      ShowStatus(fmt::format("looking for copies: {} %", 100 * next_ / borders_.size()));
    }
    ids_.resize(static_cast<size_t>(borders_[next_ + 1] - borders_[next_]));
    data_.Copy(borders_[next_], std::ssize(ids_), ids_.data());
    text = tokenizer_.Decode(std::vector<uint16_t>(ids_.begin(), ids_.end()));
    ++next_;
    return true;
  }

 private:
  TokenData data_;
  Tokenizer tokenizer_;
  std::vector<int64_t> borders_;
  bool interactive_;
  size_t next_ = 0;
  std::vector<int32_t> ids_;
};

// Evenly spread ones.
std::vector<std::string> SentencesFrom(std::span<const Story> stories) {
  constexpr size_t kMost = 500;
  std::vector<std::string> all, some;
  for (const Story& story : stories) {
    for (std::string& sentence : SentencesOf(PlainText(story.text))) all.push_back(std::move(sentence));
  }
  const size_t count = std::min(all.size(), kMost);
  for (size_t i = 0; i < count; ++i) some.push_back(all[i * all.size() / count]);
  return some;
}

// The words in another order; what stops the sentence stays at its end.
std::string Shuffled(const std::string& sentence, uint64_t number) {
  const size_t stop = sentence.find_last_not_of(".!?") + 1;
  std::vector<std::string> words;
  for (size_t begin = 0, end; begin < stop; begin = end + 1) {
    end = std::min(sentence.find(' ', begin), stop);
    words.push_back(sentence.substr(begin, end - begin));
  }
  Rng rng(1, Purpose::kTest, number);
  ShuffleItems(words, rng);
  std::string shuffled;
  for (const std::string& word : words) shuffled += (shuffled.empty() ? "" : " ") + word;
  return shuffled + sentence.substr(stop);
}

double ShareParsed(Grammar& grammar, std::span<const std::string> sentences, bool interactive) {
  double parsed = 0;
  for (size_t i = 0; i < sentences.size(); ++i) {
    if (interactive) ShowStatus(fmt::format("parsing sentences: {} of {}", i, sentences.size()));
    parsed += grammar.Parses(sentences[i]);
  }
  return sentences.empty() ? 0 : parsed / static_cast<double>(sentences.size());
}

void Parse(std::span<const Story> written, std::span<const Story> real, bool interactive, StoriesReport& report) {
  const std::unique_ptr<Grammar> grammar = Grammar::Open(report.no_grammar);
  if (grammar == nullptr) return;
  report.grammar = grammar->Name();
  for (const auto& [stories, measures] : {std::pair{written, &report.written}, {real, &report.real}}) {
    const std::vector<std::string> sentences = SentencesFrom(stories);
    measures->sentences = std::ssize(sentences);
    measures->sentences_parsed = ShareParsed(*grammar, sentences, interactive);
  }
  std::vector<std::string> shuffled = SentencesFrom(real);
  for (size_t i = 0; i < shuffled.size(); ++i) shuffled[i] = Shuffled(shuffled[i], i);
  report.shuffled_parsed = ShareParsed(*grammar, shuffled, interactive);
}

Json NullIfNone(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json ToJson(const StoryMeasures& m) {
  const auto length = [](const StoryMeasures::Length& l) { return Json{{"mean", l.mean}, {"median", l.median}}; };
  Json json = {{"stories", m.stories},
               {"tokens", length(m.tokens)},
               {"words", length(m.words)},
               {"stop_rate", m.stop_rate},
               {"distinct_1", m.distinct[0]},
               {"distinct_2", m.distinct[1]},
               {"distinct_3", m.distinct[2]},
               {"distinct_words", m.distinct_words},
               {"repetition", m.repetition},
               {"names_introduced", m.names_introduced},
               {"names_reused", m.names_reused},
               {"copied_words", Json()},
               {"sentences", m.sentences},
               {"sentences_parsed", m.sentences_parsed < 0 ? Json() : Json(m.sentences_parsed)}};
  if (m.longest_copied >= 0) {
    json["copied_words"] = length(m.copied_words);
    json["copied_words"]["longest"] = m.longest_copied;
  }
  return json;
}

}  // namespace

std::string TrainingDataOf(const LoadedModel& loaded) {
  if (!loaded.trainer_state.is_object()) return "";
  const Json run = loaded.trainer_state.value("run", Json::object());
  std::vector<std::string> places = {run.value("data", "")};
  // Where it lies may have changed since the checkpoint.
  const std::string config = FileIn(loaded.folder, "../../config.toml");
  if (Exists(config)) places.insert(places.begin(), ParseToml(ReadFile(config), config).value("data", ""));
  const std::string fingerprint = run.value("data_fingerprint", "");
  for (const std::string& place : places) {
    if (place.empty() || !Exists(FileIn(place, "meta.json"))) continue;
    if (fingerprint.empty() || DataFingerprint(place) == fingerprint) return place;
  }
  return "";
}

StoriesReport EvaluateStories(Model& model, DType dtype, const Tokenizer& tokenizer, const StoriesOptions& options) {
  if (options.text.empty() && options.data.empty()) {
    throw UsageError("there are no real stories to compare with: the run's data is not there",
                     "name stories with --text FILE, or the data with --data DIR");
  }
  StoriesReport report;
  report.write = options.write;
  report.real_from = options.text.empty() ? FileIn(options.data, "valid.txt") : options.text;
  report.copied_from = options.data;
  std::optional<TrainingTexts> training;  // opened first: what is wrong with it is said before anything is written
  if (!options.data.empty()) training.emplace(options.data, options.interactive);
  const std::vector<Story> real = Take(report.real_from, tokenizer, options.write);

  const Stopwatch watch;
  const std::vector<Story> written = Write(model, dtype, tokenizer, options);
  report.seconds = watch.Seconds();
  for (const Story& story : written) report.tokens += story.tokens;

  const int64_t words = std::min(CountWords(written), CountWords(real));
  report.written = MeasureStories(written, words);
  report.real = MeasureStories(real, words);
  if (training) {
    const std::array sets = {StorySet{written, report.written}, StorySet{real, report.real}};
    FindCopies(sets, [&](std::string& text) { return training->Next(text); });
  }
  Parse(written, real, options.interactive, report);
  if (options.interactive) ShowStatus("");
  return report;
}

Json ToJson(const StoriesReport& report) {
  Json json = {{"stories", report.write.documents},
               {"seed", report.write.sampler.seed},
               {"temperature", report.write.sampler.temperature},
               {"top_p", report.write.sampler.top_p},
               {"max_tokens", report.write.max_tokens},
               {"search", report.write.search},
               {"search_beta", report.write.search > 0 ? Json(report.write.search_beta) : Json()},
               {"seconds", report.seconds},
               {"tokens_per_s", static_cast<double>(report.tokens) / report.seconds},
               {"real_from", report.real_from},
               {"copied_from", NullIfNone(report.copied_from)},
               {"grammar", NullIfNone(report.grammar)}};
  if (report.grammar.empty()) json["no_grammar"] = report.no_grammar;
  json["written"] = ToJson(report.written);
  json["real"] = ToJson(report.real);
  json["shuffled"]["sentences_parsed"] = report.shuffled_parsed < 0 ? Json() : Json(report.shuffled_parsed);
  return json;
}

std::string DescribeStories(const StoriesReport& report) {
  const StoryMeasures &w = report.written, &r = report.real;
  const SamplerConfig& sampler = report.write.sampler;
  const std::string how = report.write.search == 0
                              ? ""
                              : fmt::format(", searched among {} from token {} on, beta {}", report.write.search,
                                            WriteOptions::kOpening + 1, report.write.search_beta);
  std::string text = fmt::format(
      "{} stories written (seed {}, temperature {}, top-p {}, at most {} tokens{}), {} of {}\n", w.stories,
      sampler.seed, sampler.temperature, sampler.top_p, report.write.max_tokens, how, r.stories, report.real_from);
  const auto row = [&](const char* name, const std::string& written, const std::string& real) {
    text += fmt::format("  {:<38}{:>16}{:>16}\n", name, written, real);
  };
  const auto length = [](const StoryMeasures::Length& l) { return fmt::format("{:.1f} ({:.1f})", l.mean, l.median); };
  const auto number = [](double value) { return fmt::format("{:.2f}", value); };
  const auto percent = [](double share) { return fmt::format("{:.1f} %", 100 * share); };
  row("", "written", "real");
  row("tokens, mean (median)", length(w.tokens), length(r.tokens));
  row("words, mean (median)", length(w.words), length(r.words));
  row("ended by themselves", percent(w.stop_rate), percent(r.stop_rate));
  for (size_t n = 0; n < w.distinct.size(); ++n) {
    row(fmt::format("distinct-{} of {} words", n + 1, w.distinct_words).c_str(), percent(w.distinct[n]),
        percent(r.distinct[n]));
  }
  row("4-grams that repeat in their story", percent(w.repetition), percent(r.repetition));
  row("names introduced", number(w.names_introduced), number(r.names_introduced));
  row("names that come again", percent(w.names_reused), percent(r.names_reused));
  if (w.longest_copied >= 0) {
    row("longest copied passage in words", length(w.copied_words), length(r.copied_words));
    row("the longest of all", fmt::to_string(w.longest_copied), fmt::to_string(r.longest_copied));
  } else {
    text += "  copies: not known, the training data is not there (--data DIR)\n";
  }
  if (report.grammar.empty()) return text + fmt::format("  sentences that parse: not known, {}\n", report.no_grammar);
  row("sentences that parse", percent(w.sentences_parsed), percent(r.sentences_parsed));
  return text + fmt::format("  (of {} and {}, {}; of the real ones with their words shuffled {})\n", w.sentences,
                            r.sentences, report.grammar, percent(report.shuffled_parsed));
}

}  // namespace flashlm
