// The texts that one model is writing: prompts are scored and read piece by piece, texts written side by side.
#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "eval/scorer.h"
#include "infer/sampler.h"
#include "infer/stream_reader.h"
#include "serve/prefix_cache.h"
#include "serve/stream_job.h"

namespace flashlm {

struct EngineCounts;

struct ServedModel {
  Model* model = nullptr;
  DType decode = DType::kF32, score = DType::kF32;  // what products read
};

// For the inference thread.
class ModelStreams {
 public:
  // longest_step: seconds after which threads that decode apart end a step, all together.
  ModelStreams(const ServedModel& served, int64_t cache_bytes, double longest_step, EngineCounts& counts);

  void Add(StreamJob job);
  // Some work: a few prompts are scored, a bounded number of prompt tokens read, and each text that is being written
  // gets a token, or where there are many and no prompt is waiting several, in turns that the next step goes on with.
  // alone: no other model has texts, which would wait meanwhile. After an exception there is nothing left but EndAll.
  void Step(bool alone);
  // Ends those for which `end_of` says so.
  template <class EndOf>
  void EndIf(const EndOf& end_of);
  // All of them.
  void EndAll(StreamEnd end);

  int size() const { return static_cast<int>(streams_.size()); }
  int64_t cache_bytes() const { return cache_.bytes(); }

 private:
  enum class Stage : uint8_t { kScoring, kReading, kBegun, kWriting, kOver };
  struct Stream {
    explicit Stream(StreamJob asked);
    StreamJob job;
    Sampler sampler;
    Stage stage;
    std::vector<int32_t> history;  // prompt and what was written; the first is the <eos> of the beginning
    std::vector<int32_t> cuts;     // of the prompt
    size_t next_cut = 0;
    bool looked = false;                     // for others that begin to read the same
    State state{1};                          // while the prompt is read
    std::shared_ptr<const ReadPrefix> read;  // where the last piece ends, to be kept
    int written = 0;                         // tokens that the listener has
    std::vector<DrawnToken> drawn;           // those that it has not
    bool failed = false;
    std::optional<StreamEnd> end;  // once the listener has all

    std::span<const int32_t> NextPiece() const;
    // After what is drawn, whatever the listener will say.
    bool GoesOn() const;
  };
  // What a group may decode: a token, and more up to `tokens` while `seconds` are not over.
  struct Turn {
    int tokens;
    double seconds;
  };
  // Texts that are decoded in one pass, row by row.
  struct Group {
    State state{0};
    std::vector<Stream*> rows;
    std::vector<Stream*> turn;  // the rows that the turn began with
    std::vector<int32_t> last;  // [rows], what is read next

    // The last row takes its place.
    void Remove(int row) {
      state.Remove(row);
      rows[static_cast<size_t>(row)] = rows.back();
      rows.pop_back();
    }
    template <class Done>
    void RemoveIf(const Done& done) {
      for (int r = static_cast<int>(rows.size()) - 1; r >= 0; --r) {
        if (done(*rows[static_cast<size_t>(r)])) Remove(r);
      }
    }
  };
  bool ScoreSome();
  bool ReadSome();
  bool IsBeingRead(std::span<const int32_t> piece) const;
  void Recall(Stream& stream);
  void ReadPiece(Stream& stream, StreamReader& reader) const;
  void Begin(Stream& stream, DrawnToken expected, std::span<const float> log_probs) const;
  static DrawnToken Expected(const StreamReader& reader, int row);
  static std::shared_ptr<const ReadPrefix> PrefixOf(const Stream& stream, const StreamReader& reader);
  void Keep(Stream& stream);
  void WorkApart(bool in_turns);
  void EndAndJoin();
  // A turn of each text, or to its end, and its listener is told.
  void Decode(Group& group, StreamReader& reader, const Turn& turn) const;
  // Appends to what is drawn a token, with what else the model expects.
  void Draw(Stream& stream, DrawnToken expected, std::span<const float> log_probs) const;
  // Gives the listener what is drawn, up to the text's end, which is noted.
  void Tell(Stream& stream) const;
  std::optional<StreamEnd> TellOne(Stream& stream, DrawnToken drawn) const;
  void Join(Stream& stream);
  void Leave(Stream& stream);
  // How many texts a group can have, and in how many so many are decoded.
  int64_t MostRows() const;
  int64_t Passes(int64_t texts) const;
  void ShareOut();
  int64_t Largest() const;  // group's texts
  void SplitLargest();
  bool MergeSmallest();
  void End(Stream& stream, StreamEnd end);
  void RemoveEnded();

  ServedModel served_;
  double longest_step_;
  EngineCounts& counts_;
  StreamReader reader_;
  Scorer scorer_;
  PrefixCache cache_;
  std::list<std::unique_ptr<Stream>> streams_;  // in the order in which they came
  std::vector<std::unique_ptr<Group>> groups_;
  bool apart_ = false;                                     // each group on one thread, instead of each on all
  size_t first_group_ = 0;                                 // the next one to be visited
  std::vector<Stream*> short_pieces_;                      // of prompts, to be read by a thread each, in this step
  std::vector<std::unique_ptr<StreamReader>> neighbours_;  // of the threads but the first, which has reader_
};

template <class EndOf>
void ModelStreams::EndIf(const EndOf& end_of) {
  for (const auto& stream : streams_) {
    if (stream->stage == Stage::kOver) continue;
    if (const std::optional<StreamEnd> end = end_of(stream->job)) End(*stream, stream->end.value_or(*end));
  }
  RemoveEnded();
}

}  // namespace flashlm
