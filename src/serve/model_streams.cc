#include "serve/model_streams.h"

#include <algorithm>
#include <optional>

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

}  // namespace

ModelStreams::Stream::Stream(StreamJob asked)
    : job(std::move(asked)),
      sampler(job.sampler),
      stage(job.score_prompt ? Stage::kScoring : Stage::kReading),
      history(job.prompt),
      cuts(CutsOf(std::ssize(job.prompt))) {}

ModelStreams::ModelStreams(const ServedModel& served, int64_t cache_bytes, EngineCounts& counts)
    : served_(served),
      counts_(counts),
      reader_(*served.model, served.decode),
      scorer_(*served.model, served.score),
      cache_(cache_bytes) {}

void ModelStreams::Add(StreamJob job) { streams_.push_back(std::make_unique<Stream>(std::move(job))); }

void ModelStreams::Step() {
  ScoreSome();
  ReadSome();
  WriteAll();
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
    stream.drawn = {};
    stream.drawn.value = known->value;
    stream.drawn.gate = known->gate;
    stream.drawn.depth = known->depth;
    Draw(stream, known->log_probs);
    if (Deliver(stream)) Join(stream);
    return 0;
  }
  const auto end = static_cast<size_t>(stream.cuts[stream.next_cut]);
  reader_.Read(stream.state, prompt.subspan(begin, end - begin));
  ++stream.next_cut;
  counts_.prompt_tokens += static_cast<int64_t>(end - begin);
  KeepPrefix(stream);
  if (end == prompt.size()) {
    Expect(stream, 0);
    Draw(stream, reader_.log_probs(0));
    if (Deliver(stream)) Join(stream);
  }
  return static_cast<int>(end - begin);
}

// What the model says beside its probabilities, of the row that was read.
void ModelStreams::Expect(Stream& stream, int row) {
  stream.drawn = {};
  if (reader_.has_values()) stream.drawn.value = reader_.value(row);
  if (reader_.has_gates()) stream.drawn.gate = reader_.gate(row);
  if (reader_.has_depths()) stream.drawn.depth = reader_.depth(row);
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
  if (reader_.has_values()) prefix->value = reader_.value(0);
  if (reader_.has_gates()) prefix->gate = reader_.gate(0);
  if (reader_.has_depths()) prefix->depth = reader_.depth(0);
  cache_.Add(std::move(prefix));
}

void ModelStreams::WriteAll() {
  MergeGroups();
  for (const auto& group : groups_) WriteGroup(*group);
  std::erase_if(groups_, [](const auto& group) { return group->rows.empty(); });
}

void ModelStreams::WriteGroup(Group& group) {
  if (group.rows.empty()) return;
  last_.clear();
  for (const Stream* stream : group.rows) last_.push_back(stream->history.back());
  reader_.Read(group.state, last_);
  const auto rows = static_cast<int>(group.rows.size());
  for (int r = 0; r < rows; ++r) Expect(*group.rows[static_cast<size_t>(r)], r);
  ParallelFor(rows,
              [&](int64_t r) { Draw(*group.rows[static_cast<size_t>(r)], reader_.log_probs(static_cast<int>(r))); });
  const std::vector<Stream*> all = group.rows;  // some leave
  for (Stream* stream : all) {
    if (!Deliver(*stream)) Leave(*stream);
  }
}

// The next token, drawn as Generate (infer/generate.h) draws it. Not a word to anybody: several are drawn at once.
void ModelStreams::Draw(Stream& stream, std::span<const float> log_probs) {
  try {
    DrawnToken& drawn = stream.drawn;
    drawn.has_value = reader_.has_values();
    drawn.has_gate = reader_.has_gates();
    // The <eos> that opens the context is not part of the prompt: the penalty does not see it.
    const int64_t position = (stream.job.number << 32) + std::ssize(stream.history);
    drawn.token = stream.sampler.Sample(log_probs, std::span(stream.history).subspan(1), position);
    drawn.log_p = log_probs[static_cast<size_t>(drawn.token)];
    FindLikelyTokens(log_probs, stream.job.likely, drawn.likely);
    stream.history.push_back(drawn.token);
  } catch (...) {
    stream.failed = true;
  }
}

bool ModelStreams::Deliver(Stream& stream) {
  if (stream.failed) {
    End(stream, StreamEnd::kFailed);
    return false;
  }
  ++counts_.tokens;
  ++stream.written;
  const bool eos = stream.drawn.token == Tokenizer::kEos;
  const bool more = stream.job.listener->OnToken(std::move(stream.drawn));
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
  auto with_room = std::find_if(groups_.begin(), groups_.end(),
                                [](const auto& group) { return std::ssize(group->rows) < kernels::kFewRows; });
  if (with_room == groups_.end()) with_room = groups_.insert(groups_.end(), std::make_unique<Group>());
  (*with_room)->state.Append(stream.state);
  (*with_room)->rows.push_back(&stream);
  stream.state = State(1);
}

void ModelStreams::Leave(Stream& stream) {
  for (const auto& group : groups_) {
    const auto found = std::find(group->rows.begin(), group->rows.end(), &stream);
    if (found == group->rows.end()) continue;
    group->state.Remove(static_cast<int>(found - group->rows.begin()));
    *found = group->rows.back();
    group->rows.pop_back();
    return;
  }
}

// As few passes as the texts need.
void ModelStreams::MergeGroups() {
  while (groups_.size() > 1) {
    Group& first = **(groups_.end() - 2);
    Group& last = **(groups_.end() - 1);
    if (std::ssize(first.rows) + std::ssize(last.rows) > kernels::kFewRows) return;
    first.state.Append(last.state);
    first.rows.insert(first.rows.end(), last.rows.begin(), last.rows.end());
    groups_.pop_back();
  }
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
