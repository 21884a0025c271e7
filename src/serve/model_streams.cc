#include "serve/model_streams.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "serve/engine.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// Between two tokens of the texts at work no more prompt tokens than these are read or scored, but for the last piece.
constexpr int kReadAtOnce = 512, kScoredAtOnce = 4096;
constexpr size_t kTextsScoredAtOnce = 8;
// Shorter beginnings are read about as fast as they are found.
constexpr size_t kShortestKept = 8;
// From so many texts for each thread on every thread decodes groups of its own, until there are far fewer. Groups
// become fewer when so much room is left, for moving what a text has read costs more than a token of it.
constexpr int64_t kEnoughOfAThread = 4, kFewOfAThread = 2, kLeftToMerge = 8;
// Such a group has kRowsTogether texts (infer/stream_reader.h) and decodes so many tokens at a time: all but the first
// find what their texts remember in the cache. With all of 64 texts in turn every token fetches it from memory.
constexpr int kTokensApart = 8;
// Whoever comes, goes or has waited long enough is looked after between turns.
constexpr double kLongestTurn = 0.02;  // seconds, of all groups of a thread together

// Of groups.
constexpr auto Smaller = [](const auto& a, const auto& b) { return a->rows.size() < b->rows.size(); };

}  // namespace

ModelStreams::Stream::Stream(StreamJob asked)
    : job(std::move(asked)),
      sampler(job.sampler),
      stage(job.score_prompt ? Stage::kScoring : Stage::kReading),
      history(job.prompt),
      cuts(CutsOf(std::ssize(job.prompt))) {}

bool ModelStreams::Stream::GoesOn() const {
  return !failed && drawn.back().token != Tokenizer::kEos && written + std::ssize(drawn) < job.max_tokens;
}

ModelStreams::ModelStreams(const ServedModel& served, int64_t cache_bytes, EngineCounts& counts)
    : served_(served),
      counts_(counts),
      reader_(*served.model, served.decode),
      scorer_(*served.model, served.score),
      cache_(cache_bytes) {}

void ModelStreams::Add(StreamJob job) { streams_.push_back(std::make_unique<Stream>(std::move(job))); }

void ModelStreams::Step(bool alone) {
  ScoreSome();
  ReadSome();
  const bool prompts_left = std::any_of(streams_.begin(), streams_.end(), [](const auto& stream) {
    return stream->stage == Stage::kScoring || stream->stage == Stage::kReading;
  });
  WriteAll(alone && !prompts_left);
  RemoveEnded();
}

void ModelStreams::ScoreSome() {
  std::vector<Stream*> some;
  std::vector<TokenIds> texts;
  int64_t tokens = 0;
  for (const auto& stream : streams_) {
    if (stream->stage != Stage::kScoring) continue;
    if (some.size() == kTextsScoredAtOnce || tokens > kScoredAtOnce) break;
    if (!some.empty() && stream->job.likely != some.front()->job.likely) continue;
    some.push_back(stream.get());
    texts.emplace_back(stream->job.prompt.begin() + 1, stream->job.prompt.end());
    tokens += std::ssize(texts.back());
  }
  if (some.empty()) return;
  std::vector<ScoredText> scored = scorer_.ScoreWithLikely(texts, some.front()->job.likely);
  counts_.scored_tokens += tokens;
  for (size_t i = 0; i < some.size(); ++i) {
    some[i]->stage = Stage::kReading;
    some[i]->job.listener->OnScored(std::move(scored[i]));
  }
}

void ModelStreams::ReadSome() {
  int read = 0;
  for (const auto& stream : streams_) {
    if (stream->stage != Stage::kReading) continue;
    if (stream->job.max_tokens == 0) {
      End(*stream, StreamEnd::kLength);
      continue;
    }
    if (read >= kReadAtOnce) return;
    read += ReadPiece(*stream);
  }
}

// Returns how many tokens were read.
int ModelStreams::ReadPiece(Stream& stream) {
  const std::span<const int32_t> prompt = stream.job.prompt;
  std::shared_ptr<const ReadPrefix> known;
  if (stream.next_cut == 0) {
    known = cache_.Find(prompt, stream.cuts);
    if (known != nullptr) {
      stream.state = known->state;
      stream.next_cut = known->cuts.size();
      counts_.known_tokens += std::ssize(known->tokens);
    }
    stream.job.listener->OnStart(known == nullptr ? 0 : std::ssize(known->tokens));
  }
  const auto begin = static_cast<size_t>(stream.next_cut == 0 ? 0 : stream.cuts[stream.next_cut - 1]);
  if (begin == prompt.size()) {  // all of it is known
    Draw(stream, known->expected, known->log_probs);
    if (Deliver(stream)) Join(stream);
    return 0;
  }
  const auto end = static_cast<size_t>(stream.cuts[stream.next_cut]);
  reader_.Read(stream.state, prompt.subspan(begin, end - begin));
  ++stream.next_cut;
  counts_.prompt_tokens += static_cast<int64_t>(end - begin);
  KeepPrefix(stream);
  if (end == prompt.size()) {
    Draw(stream, Expected(reader_, 0), reader_.log_probs(0));
    if (Deliver(stream)) Join(stream);
  }
  return static_cast<int>(end - begin);
}

// What the model says beside its probabilities, of the row that was read.
DrawnToken ModelStreams::Expected(const StreamReader& reader, int row) {
  DrawnToken expected;
  expected.has_value = reader.has_values();
  expected.has_gate = reader.has_gates();
  if (reader.has_values()) expected.value = reader.value(row);
  if (reader.has_gates()) expected.gate = reader.gate(row);
  if (reader.has_depths()) expected.depth = reader.depth(row);
  return expected;
}

void ModelStreams::KeepPrefix(const Stream& stream) {
  const auto tokens = static_cast<size_t>(stream.cuts[stream.next_cut - 1]);
  if (tokens < kShortestKept) return;
  auto prefix = std::make_shared<ReadPrefix>();
  prefix->tokens.assign(stream.job.prompt.begin(), stream.job.prompt.begin() + static_cast<std::ptrdiff_t>(tokens));
  prefix->cuts.assign(stream.cuts.begin(), stream.cuts.begin() + static_cast<std::ptrdiff_t>(stream.next_cut));
  prefix->state = stream.state;
  const std::span<const float> log_probs = reader_.log_probs(0);
  prefix->log_probs.assign(log_probs.begin(), log_probs.end());
  prefix->expected = Expected(reader_, 0);
  cache_.Add(std::move(prefix));
}

void ModelStreams::WriteAll(bool in_turns) {
  ShareOut();
  if (apart_) {
    const Turn turn{in_turns ? kTokensApart : 1, kLongestTurn * ThreadCount() / static_cast<double>(groups_.size())};
    while (std::ssize(neighbours_) + 1 < ThreadCount()) {
      neighbours_.push_back(std::make_unique<StreamReader>(*served_.model, served_.decode));
    }
    ParallelPieces(std::ssize(groups_), [&](int64_t g) {
      const auto thread = static_cast<size_t>(omp_get_thread_num());
      Decode(*groups_[static_cast<size_t>(g)], thread == 0 ? reader_ : *neighbours_[thread - 1], turn);
    });
  } else {
    for (const auto& group : groups_) Decode(*group, reader_, {1, 0});
  }
  for (const auto& group : groups_) {
    if (group->failure) std::rethrow_exception(group->failure);
  }
  for (const auto& group : groups_) {
    for (Stream* stream : group->turn) Deliver(*stream);
  }
}

// Several groups may be at it at once.
void ModelStreams::Decode(Group& group, StreamReader& reader, const Turn& turn) const {
  group.failure = nullptr;
  try {
    group.turn = group.rows;
    const Stopwatch watch;
    const auto has_time = [&](int done) { return done == 0 || (done < turn.tokens && watch.Seconds() < turn.seconds); };
    for (int t = 0; has_time(t) && !group.rows.empty(); ++t) {
      group.last.clear();
      for (const Stream* stream : group.rows) group.last.push_back(stream->history.back());
      reader.Read(group.state, group.last);
      ParallelFor(std::ssize(group.rows), [&](int64_t r) {
        const int row = static_cast<int>(r);
        Draw(*group.rows[static_cast<size_t>(r)], Expected(reader, row), reader.log_probs(row));
      });
      for (int r = static_cast<int>(group.rows.size()) - 1; r >= 0; --r) {
        if (!group.rows[static_cast<size_t>(r)]->GoesOn()) group.Remove(r);
      }
    }
  } catch (...) {
    group.failure = std::current_exception();
  }
}

// The next token, drawn as Generate (infer/generate.h) draws it. Not a word to anybody: several are drawn at once.
void ModelStreams::Draw(Stream& stream, DrawnToken expected, std::span<const float> log_probs) const {
  try {
    // The <eos> that opens the context is not part of the prompt: the penalty does not see it.
    const int64_t position = (stream.job.number << 32) + std::ssize(stream.history);
    expected.token = stream.sampler.Sample(log_probs, std::span(stream.history).subspan(1), position);
    expected.log_p = log_probs[static_cast<size_t>(expected.token)];
    FindLikelyTokens(log_probs, stream.job.likely, expected.likely);
    stream.history.push_back(expected.token);
    stream.drawn.push_back(std::move(expected));
  } catch (...) {
    stream.failed = true;
  }
}

bool ModelStreams::Deliver(Stream& stream) {
  for (DrawnToken& one : stream.drawn) {
    if (!DeliverOne(stream, std::move(one))) return false;
  }
  stream.drawn.clear();
  if (stream.failed) End(stream, StreamEnd::kFailed);
  return !stream.failed;
}

bool ModelStreams::DeliverOne(Stream& stream, DrawnToken drawn) {
  ++counts_.tokens;
  ++stream.written;
  const bool eos = drawn.token == Tokenizer::kEos;
  const bool more = stream.job.listener->OnToken(std::move(drawn));
  if (eos) {
    End(stream, StreamEnd::kEos);
  } else if (!more) {
    End(stream, StreamEnd::kStop);
  } else if (stream.written == stream.job.max_tokens) {
    End(stream, StreamEnd::kLength);
  } else {
    return true;
  }
  return false;
}

void ModelStreams::Join(Stream& stream) {
  stream.stage = Stage::kWriting;
  auto group = std::min_element(groups_.begin(), groups_.end(), Smaller);
  if (group == groups_.end() || std::ssize((*group)->rows) >= MostRows()) {
    group = groups_.insert(groups_.end(), std::make_unique<Group>());
  }
  (*group)->state.Append(stream.state);
  if (apart_) (*group)->state.Reserve(static_cast<int>(MostRows()));
  (*group)->rows.push_back(&stream);
  stream.state = State(1);
}

void ModelStreams::Leave(Stream& stream) {
  for (const auto& group : groups_) {
    const auto found = std::find(group->rows.begin(), group->rows.end(), &stream);
    if (found == group->rows.end()) continue;
    group->Remove(static_cast<int>(found - group->rows.begin()));
    return;
  }
}

int64_t ModelStreams::MostRows() const { return apart_ ? kRowsTogether : kernels::kFewRows; }

// As few as they need, or as many on every thread.
int64_t ModelStreams::Passes(int64_t texts) const {
  const int64_t needed = (texts + MostRows() - 1) / MostRows(), threads = ThreadCount();
  return apart_ ? (needed + threads - 1) / threads * threads : needed;
}

// Threads that share a pass wait for each other in each of its many short loops, and for whatever else has a core, as
// whoever sends the texts has. With enough texts each thread has passes of its own and waits once a turn.
void ModelStreams::ShareOut() {
  std::erase_if(groups_, [](const auto& group) { return group->rows.empty(); });
  int64_t texts = 0;
  for (const auto& group : groups_) texts += std::ssize(group->rows);
  apart_ = texts >= ThreadCount() * (apart_ ? kFewOfAThread : kEnoughOfAThread);
  while (std::ssize(groups_) < Passes(texts) || Largest() > MostRows()) SplitLargest();
  const int64_t fewer = Passes(texts + kLeftToMerge);
  while (std::ssize(groups_) > fewer && MergeSmallest()) continue;
}

int64_t ModelStreams::Largest() const {
  const auto largest = std::max_element(groups_.begin(), groups_.end(), Smaller);
  return largest == groups_.end() ? 0 : std::ssize((*largest)->rows);
}

// Cuts off as many as a group can have, if that is less than half.
void ModelStreams::SplitLargest() {
  Group& largest = **std::max_element(groups_.begin(), groups_.end(), Smaller);
  auto other = std::make_unique<Group>(largest);
  const int rows = static_cast<int>(largest.rows.size());
  const int cut = std::max(rows / 2, rows - static_cast<int>(MostRows()));
  for (int r = rows - 1; r >= cut; --r) largest.Remove(r);
  for (int r = cut - 1; r >= 0; --r) other->Remove(r);
  groups_.push_back(std::move(other));
}

// False if no two fit into one.
bool ModelStreams::MergeSmallest() {
  std::sort(groups_.begin(), groups_.end(), [](const auto& a, const auto& b) { return Smaller(b, a); });
  Group& last = *groups_.back();
  Group& before = **(groups_.end() - 2);
  if (std::ssize(last.rows) + std::ssize(before.rows) > MostRows()) return false;
  before.state.Append(last.state);
  before.rows.insert(before.rows.end(), last.rows.begin(), last.rows.end());
  groups_.pop_back();
  return true;
}

void ModelStreams::End(Stream& stream, StreamEnd end) {
  if (stream.stage == Stage::kWriting) Leave(stream);
  stream.stage = Stage::kOver;
  ++counts_.texts;
  if (end == StreamEnd::kFailed) ++counts_.failures;
  stream.job.listener->OnEnd(end);
}

void ModelStreams::EndAll(StreamEnd end) {
  EndIf([&](const StreamJob&) { return std::optional(end); });
}

void ModelStreams::RemoveEnded() {
  streams_.remove_if([](const auto& stream) { return stream->stage == Stage::kOver; });
}

}  // namespace flashlm
