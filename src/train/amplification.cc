#include "train/amplification.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "eval/scorer.h"
#include "eval/story_measures.h"
#include "infer/utf8_stream.h"
#include "io/bank_files.h"

namespace flashlm {
namespace {

constexpr int kShortest = 8;  // part of own_tokens below which a text is no story

std::string TextOf(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  Utf8Stream utf8;
  std::string text(utf8.Push(tokenizer.Decode(std::vector<uint16_t>(ids.begin(), ids.end()))));
  return text += utf8.Finish();
}

// Ends the writing of stories that nobody waits for any more.
struct WritingInterrupted {};

}  // namespace

struct Amplification::Candidate {
  int64_t number;  // among all stories of the run
  std::vector<int32_t> ids;
  std::string text;
  double distinct = 0, repetition = 0, nats = 0;  // nats per token, the closing <eos> among them
};

void AmplificationConfig::Validate() const {
  if (band_low < band_high) return;
  throw UsageError(
      fmt::format("train.own_band_low = {}: must be less than train.own_band_high = {}", band_low, band_high),
      "0.1 and 0.6 keep half of the stories");
}

Json AmplificationRound::ToJson() const {
  return {{"written", written},   {"unfinished", unfinished},
          {"length", length},     {"repetition", repetition},
          {"distinct", distinct}, {"band", band},
          {"kept", kept},         {"nats_per_token", kept > 0 ? Json(nats_per_token) : Json()},
          {"seconds", seconds}};
}

std::string AmplificationRound::Describe() const {
  return fmt::format(
      "{} of {} stories kept{} (dropped: {} unfinished, {} for their length, {} for repetition, "
      "{} for few different words, {} outside the band); {:.1f} s",
      kept, written, kept > 0 ? fmt::format(", {:.2f} nats per token", nats_per_token) : "", unfinished, length,
      repetition, distinct, band, seconds);
}

Amplification::Amplification(const AmplificationConfig& config, const std::string& run_folder, uint64_t seed,
                             DType dtype)
    : config_(config), folder_(run_folder), seed_(seed), dtype_(dtype) {
  config_.Validate();
}

bool Amplification::Due(double part) const {
  return rounds_ < config_.rounds && static_cast<double>(rounds_) <= part * config_.rounds;
}

void Amplification::Freeze(const Model& model) {
  SaveValues(Path(kFrozenFile), model.bank());
  Thaw(model);
  low_ = high_ = 0;
}

void Amplification::Thaw(const Model& model) {
  frozen_ = MakeModel(model.config(), /*for_training=*/false);
  if (model.Depth() >= 0) frozen_->SetDepth(model.Depth());
  LoadValues(Path(kFrozenFile), frozen_->bank());
}

void Amplification::Score(std::vector<Candidate>& candidates) {
  std::vector<TokenIds> texts;
  for (const Candidate& candidate : candidates) {
    texts.emplace_back(candidate.ids.begin(), candidate.ids.end());
    texts.back().push_back(Tokenizer::kEos);
  }
  const std::vector<std::vector<float>> nats = Scorer(*frozen_, dtype_).Score(texts);
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].nats = std::accumulate(nats[i].begin(), nats[i].end(), 0.0) / static_cast<double>(nats[i].size());
  }
}

// Once a phase, by the first stories that have come so far. Later rounds are measured with the same band: a model that
// drifts away from its frozen copy does not take the band along.
void Amplification::SetBand(const std::vector<Candidate>& candidates) {
  if (high_ > 0 || candidates.empty()) return;
  std::vector<double> nats;
  nats.reserve(candidates.size());
  for (const Candidate& candidate : candidates) nats.push_back(candidate.nats);
  std::sort(nats.begin(), nats.end());
  const auto at = [&](double part) {
    return nats[static_cast<size_t>(std::llround(part * static_cast<double>(nats.size() - 1)))];
  };
  low_ = at(config_.band_low);
  high_ = at(config_.band_high);
}

void Amplification::Keep(const Candidate& candidate, int64_t step) {
  stories_.Add(candidate.ids);
  const Json line = {{"step", step},
                     {"story", candidate.number},
                     {"nats_per_token", candidate.nats},
                     {"distinct_2", candidate.distinct},
                     {"repetition", candidate.repetition},
                     {"text", candidate.text},
                     {"ids", candidate.ids}};
  lines_ += line.dump() + "\n";
}

// Those that may be stories at all; why others are not is counted in `round`.
std::vector<Amplification::Candidate> Amplification::Sift(const std::vector<WrittenDocument>& documents,
                                                          const Tokenizer& tokenizer, AmplificationRound& round) const {
  std::vector<Candidate> candidates;
  for (const WrittenDocument& document : documents) {
    Candidate candidate{written_ + round.written++, document.tokens, "", 0, 0, 0};
    const int64_t tokens = std::ssize(candidate.ids);
    if (!document.ended) {
      ++round.unfinished;
      continue;
    }
    if (kShortest * tokens < config_.tokens) {
      ++round.length;
      continue;
    }
    candidate.text = TextOf(tokenizer, candidate.ids);
    const Story story{candidate.text, tokens, true};
    const StoryMeasures measures = MeasureStories({&story, 1}, std::numeric_limits<int64_t>::max());
    candidate.repetition = measures.repetition;
    candidate.distinct = measures.distinct[1];
    if (candidate.repetition > config_.repetition) {
      ++round.repetition;
    } else if (candidate.distinct < config_.distinct) {
      ++round.distinct;
    } else {
      candidates.push_back(std::move(candidate));
    }
  }
  return candidates;
}

std::optional<AmplificationRound> Amplification::Round(Model& model, const Tokenizer& tokenizer, int64_t step) {
  const Stopwatch watch;
  WriteOptions write;
  write.documents = config_.stories;
  write.first = written_;
  write.max_tokens = config_.tokens;
  write.sampler.seed = static_cast<int64_t>(seed_ & std::numeric_limits<int64_t>::max());
  write.on_progress = [&](int64_t finished) {
    ShowStatus(fmt::format("writing stories to train with: {} of {}", finished, write.documents));
    if (Interrupted()) throw WritingInterrupted();
  };
  std::vector<WrittenDocument> documents;
  try {
    documents = WriteDocuments(model, dtype_, write);
  } catch (const WritingInterrupted&) {
    return std::nullopt;
  }
  if (rounds_ == 0) Freeze(model);

  AmplificationRound round;
  std::vector<Candidate> candidates = Sift(documents, tokenizer, round);
  Score(candidates);
  SetBand(candidates);
  for (const Candidate& candidate : candidates) {
    if (candidate.nats < low_ || candidate.nats > high_) {
      ++round.band;
      continue;
    }
    Keep(candidate, step);
    ++round.kept;
    round.nats_per_token += candidate.nats;
  }
  if (round.kept > 0) round.nats_per_token /= static_cast<double>(round.kept);
  WriteFileAtomic(Path(kOwnStoriesFile), lines_);
  written_ += round.written;
  kept_ = stories_.count();
  ++rounds_;
  round.seconds = watch.Seconds();
  return round;
}

void Amplification::Restore(const Model& model, int64_t step) {
  stories_.Clear();
  lines_.clear();
  const std::string path = Path(kOwnStoriesFile);
  const std::string content = std::filesystem::exists(path) ? ReadFile(path) : "";
  for (size_t begin = 0, end; begin < content.size(); begin = end + 1) {
    end = std::min(content.find('\n', begin), content.size());
    const std::string line = content.substr(begin, end - begin);
    const Json json = Json::parse(line, nullptr, false);
    const bool whole = json.is_object() && json.contains("ids") && json.contains("step");
    if (!whole || IntegerAt(json, "step") > step) continue;  // of a round that is to be done again, or damaged
    const auto ids = json["ids"].get<std::vector<int32_t>>();
    if (std::any_of(ids.begin(), ids.end(), [&](int32_t id) { return id < 0 || id >= model.vocab(); })) {
      throw Error(fmt::format("'{}' holds a token that is not in the vocabulary of {}", path, model.vocab()),
                  "put the file back; the run cannot go on as it was without it");
    }
    stories_.Add(ids);
    lines_ += line + "\n";
  }
  if (stories_.count() != kept_) {
    throw Error(fmt::format("'{}' holds {} stories up to step {}, and the run was trained with {}", path,
                            stories_.count(), step, kept_),
                "put the file back; the run cannot go on as it was without it");
  }
  if (rounds_ > 0) Thaw(model);
}

void Amplification::VisitFields(FieldVisitor& v) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  constexpr double kAny = std::numeric_limits<double>::infinity();
  v.Int("own_rounds", rounds_, 0, std::numeric_limits<int>::max(), "of the phase");
  v.Int64("own_written", written_, 0, kMost, "stories written");
  v.Int64("own_kept", kept_, 0, kMost, "and kept");
  v.Real("own_low", low_, 0, kAny, "nats per token from which on stories are kept");
  v.Real("own_high", high_, 0, kAny, "and up to which");
}

}  // namespace flashlm
