#include "serve/model_streams.h"

#include <algorithm>
#include <atomic>
#include <exception>
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
// Where threads decode apart, so much of a prompt is one thread's work; all of them gain little on it.
constexpr int kReadByOneThread = 32;
constexpr size_t kTextsScoredAtOnce = 8;
// Shorter beginnings are read about as fast as they are found.
constexpr size_t kShortestKept = 8;
// From so many texts for each thread on every thread decodes groups of its own, until there are far fewer. Groups
// become fewer when so much room is left, for moving what a text has read costs more than a token of it.
constexpr int64_t kEnoughOfAThread = 4, kFewOfAThread = 2, kLeftToMerge = 8;
// Such a group has kRowsTogether texts (infer/stream_reader.h) and decodes so many tokens at a time: all but the first
// find what their texts remember in the cache. With all of 64 texts in turn every token fetches it from memory.
constexpr int kTokensApart = 8;

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

ModelStreams::ModelStreams(const ServedModel& served, int64_t cache_bytes, double longest_step, EngineCounts& counts)
    : served_(served),
      longest_step_(longest_step),
      counts_(counts),
      reader_(*served.model, served.decode),
      scorer_(*served.model, served.score),
      cache_(cache_bytes) {}

void ModelStreams::Add(StreamJob job) { streams_.push_back(std::make_unique<Stream>(std::move(job))); }

void ModelStreams::Step(bool alone) {
  ShareOut();
  const bool scored = ScoreSome(), unread = ReadSome();
  if (apart_) {
    WorkApart(alone && !scored && !unread);
  } else {
    for (const auto& group : groups_) Decode(*group, reader_, {1, 0});
  }
  EndAndJoin();
}

// True if prompts wait to be read after this step.
bool ModelStreams::ScoreSome() {
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
  if (some.empty()) return false;
  std::vector<ScoredText> scored = scorer_.ScoreWithLikely(texts, some.front()->job.likely);
  counts_.scored_tokens += tokens;
  for (size_t i = 0; i < some.size(); ++i) {
    some[i]->stage = Stage::kReading;
    some[i]->job.listener->OnScored(std::move(scored[i]));
  }
  return true;
}

// True if prompts wait to be read after this step.
bool ModelStreams::ReadSome() {
  short_pieces_.clear();
  int64_t read = 0;
  bool left = false;
  for (const auto& one : streams_) {
    Stream& stream = *one;
    if (stream.stage != Stage::kReading) continue;
    if (stream.job.max_tokens == 0) {
      stream.end = StreamEnd::kLength;
      continue;
    }
    if (read >= kReadAtOnce) return true;
    if (stream.next_cut == 0) {
      if (!std::exchange(stream.looked, true) && IsBeingRead(stream.NextPiece())) {  // it will be known
        left = true;
        continue;
      }
      Recall(stream);
      if (stream.stage != Stage::kReading) continue;  // all of it was known
    }
    const int64_t piece = std::ssize(stream.NextPiece());
    left |= stream.next_cut + 1 < stream.cuts.size();
    read += piece;
    if (apart_ && piece <= kReadByOneThread) {
      short_pieces_.push_back(&stream);
    } else {
      ReadPiece(stream, reader_);
      Keep(stream);
    }
  }
  return left;
}

// In this step, as the first piece of another prompt.
bool ModelStreams::IsBeingRead(std::span<const int32_t> piece) const {
  return piece.size() >= kShortestKept &&
         std::any_of(short_pieces_.begin(), short_pieces_.end(), [&](const Stream* other) {
           return other->next_cut == 0 && std::ranges::equal(other->NextPiece(), piece);
         });
}

void ModelStreams::Keep(Stream& stream) {
  if (stream.read != nullptr) cache_.Add(std::exchange(stream.read, nullptr));
}

// What is known of the prompt already.
void ModelStreams::Recall(Stream& stream) {
  const std::shared_ptr<const ReadPrefix> known = cache_.Find(stream.job.prompt, stream.cuts);
  stream.job.listener->OnStart(known == nullptr ? 0 : std::ssize(known->tokens));
  if (known == nullptr) return;
  stream.state = known->state;
  stream.next_cut = known->cuts.size();
  counts_.known_tokens += std::ssize(known->tokens);
  if (stream.next_cut == stream.cuts.size()) Begin(stream, known->expected, known->log_probs);
}

std::span<const int32_t> ModelStreams::Stream::NextPiece() const {
  const size_t begin = next_cut == 0 ? 0 : static_cast<size_t>(cuts[next_cut - 1]);
  return std::span(job.prompt).subspan(begin, static_cast<size_t>(cuts[next_cut]) - begin);
}

// Several prompts may be at it at once.
void ModelStreams::ReadPiece(Stream& stream, StreamReader& reader) const {
  const std::span<const int32_t> piece = stream.NextPiece();
  reader.Read(stream.state, piece);
  ++stream.next_cut;
  counts_.prompt_tokens += std::ssize(piece);
  stream.read = PrefixOf(stream, reader);
  if (stream.next_cut == stream.cuts.size()) Begin(stream, Expected(reader, 0), reader.log_probs(0));
}

// The prompt is read: the first token.
void ModelStreams::Begin(Stream& stream, DrawnToken expected, std::span<const float> log_probs) const {
  Draw(stream, std::move(expected), log_probs);
  Tell(stream);
  stream.stage = Stage::kBegun;
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

// To be kept; null if it is too short.
std::shared_ptr<const ReadPrefix> ModelStreams::PrefixOf(const Stream& stream, const StreamReader& reader) {
  const auto tokens = static_cast<size_t>(stream.cuts[stream.next_cut - 1]);
  if (tokens < kShortestKept) return nullptr;
  auto prefix = std::make_shared<ReadPrefix>();
  prefix->tokens.assign(stream.job.prompt.begin(), stream.job.prompt.begin() + static_cast<std::ptrdiff_t>(tokens));
  prefix->cuts.assign(stream.cuts.begin(), stream.cuts.begin() + static_cast<std::ptrdiff_t>(stream.next_cut));
  prefix->state = stream.state;
  const std::span<const float> log_probs = reader.log_probs(0);
  prefix->log_probs.assign(log_probs.begin(), log_probs.end());
  prefix->expected = Expected(reader, 0);
  return prefix;
}

// Each thread takes what is next: the short prompts, then group after group, each of them once for a token, or in turns
// over and over until the time is over. So all threads are done at about the same time, whatever else has their cores.
void ModelStreams::WorkApart(bool in_turns) {
  const auto threads = static_cast<size_t>(ThreadCount());
  while (neighbours_.size() + 1 < threads) {
    neighbours_.push_back(std::make_unique<StreamReader>(*served_.model, served_.decode));
  }
  const Stopwatch watch;
  const size_t prompts = short_pieces_.size(), groups = groups_.size();
  std::atomic<size_t> next = 0, visits = 0;
  std::vector<std::atomic<bool>> taken(groups);
  std::vector<std::exception_ptr> failures(threads);
  const auto work = [&](StreamReader& reader) {
    for (size_t found_none = 0; found_none < groups || next < prompts;) {
      const size_t item = next++;
      if (item < prompts) {
        ReadPiece(*short_pieces_[item], reader);
        continue;
      }
      const size_t visit = item - prompts;
      const double left = longest_step_ - watch.Seconds();
      if (in_turns ? visit >= threads && left <= 0 : visit >= groups) return;
      ++visits;
      const size_t g = (first_group_ + visit) % groups;
      ++found_none;
      if (taken[g].exchange(true)) continue;
      if (!groups_[g]->rows.empty()) {
        found_none = 0;
        Decode(*groups_[g], reader, in_turns ? Turn{kTokensApart, left} : Turn{1, 0});
      }
      taken[g] = false;
    }
  };
  ParallelPieces(static_cast<int64_t>(threads), [&](int64_t worker) {
    const auto thread = static_cast<size_t>(omp_get_thread_num());
    try {
      work(thread == 0 ? reader_ : *neighbours_[thread - 1]);
    } catch (...) {
      failures[static_cast<size_t>(worker)] = std::current_exception();
    }
  });
  first_group_ = (first_group_ + visits) % groups;  // the first one that had no turn
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

void ModelStreams::EndAndJoin() {
  for (const auto& stream : streams_) {
    Keep(*stream);
    if (stream->end) End(*stream, *stream->end);
  }
  RemoveEnded();
  for (const auto& stream : streams_) {  // now there is room
    if (stream->stage == Stage::kBegun) Join(*stream);
  }
}

// Several groups may be at it at once.
void ModelStreams::Decode(Group& group, StreamReader& reader, const Turn& turn) const {
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
    group.RemoveIf([](const Stream& stream) { return !stream.GoesOn(); });
  }
  for (Stream* stream : group.turn) Tell(*stream);
  group.RemoveIf([](const Stream& stream) { return stream.end.has_value(); });
}

// The next token, drawn as Generate (infer/generate.h) draws it. Several are drawn at once.
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

void ModelStreams::Tell(Stream& stream) const {
  for (DrawnToken& one : stream.drawn) {
    stream.end = TellOne(stream, std::move(one));
    if (stream.end) break;
  }
  stream.drawn.clear();
  stream.job.listener->OnPause();
  if (stream.failed && !stream.end) stream.end = StreamEnd::kFailed;
}

std::optional<StreamEnd> ModelStreams::TellOne(Stream& stream, DrawnToken drawn) const {
  ++counts_.tokens;
  ++stream.written;
  const bool eos = drawn.token == Tokenizer::kEos;
  const bool more = stream.job.listener->OnToken(std::move(drawn));
  if (eos) return StreamEnd::kEos;
  if (!more) return StreamEnd::kStop;
  if (stream.written == stream.job.max_tokens) return StreamEnd::kLength;
  return std::nullopt;
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
