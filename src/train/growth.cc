#include "train/growth.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "train/config.h"

namespace flashlm {
namespace {

constexpr char kBatchKey[] = "train.batch_growth", kLengthKey[] = "train.length_growth";

bool IsWhole(double number) { return number >= 1 && number == std::floor(number); }

}  // namespace

std::vector<Growth::Stage> Growth::Parse(const std::string& key, const std::string& text, double first) {
  std::vector<Stage> stages = {{0, first}};
  bool any = false;
  for (const char* at = text.c_str(); *(at += std::strspn(at, " ,")) != '\0'; any = true) {
    char *colon = nullptr, *end = nullptr;
    const double from = std::strtod(at, &colon);
    const double value = *colon == ':' ? std::strtod(colon + 1, &end) : 0;
    const bool read = colon != at && end != nullptr && end != colon + 1 && (*end == '\0' || std::strchr(" ,", *end));
    const bool later = any ? from > stages.back().from : from >= 0;
    if (!read || !later || !(from < 1) || !(value > 0) || !std::isfinite(value)) {
      throw UsageError(fmt::format("{} = \"{}\": not understood at \"{}\"", key, text, at),
                       "parts of the budget that rise, below 1, each with what holds from there on: 0.33:2,0.66:3");
    }
    if (from == 0) stages.clear();
    stages.push_back({from, value});
    at = end;
  }
  return stages;
}

Growth::Growth(const TrainConfig& train)
    : micro_batch_(train.micro_batch),
      length_(train.sequence_length),
      accumulate_(train.accumulate),
      rate_exponent_(train.growth.rate_exponent),
      batch_(Parse(kBatchKey, train.growth.batch, 1)),
      lengths_(Parse(kLengthKey, train.growth.length, train.sequence_length)) {
  constexpr double kMost = 65536;
  for (const Stage& stage : batch_) {
    // A third is meant even where its decimals are cut off.
    const double micro_batches = stage.value * accumulate_, nearest = std::round(micro_batches);
    if (!IsWhole(nearest) || nearest > kMost || std::abs(micro_batches - nearest) > 0.02) {
      throw UsageError(fmt::format("{}: {} times train.accumulate = {} is not a whole number of micro-batches",
                                   kBatchKey, stage.value, accumulate_),
                       "smaller micro-batches and more of them: halve train.micro_batch, double train.accumulate");
    }
  }
  for (const Stage& stage : lengths_) {
    if (!IsWhole(stage.value) || std::fmod(length_, stage.value) != 0) {
      throw UsageError(
          fmt::format("{}: {} does not divide train.sequence_length = {}", kLengthKey, stage.value, length_),
          "train.sequence_length is the longest");
    }
  }
}

void Growth::Advance(double fraction) {
  const auto advance = [&](const std::vector<Stage>& stages, int& stage) {
    while (stage + 1 < std::ssize(stages) && fraction >= stages[static_cast<size_t>(stage) + 1].from) ++stage;
  };
  advance(batch_, batch_stage_);
  advance(lengths_, length_stage_);
}

StepSize Growth::Size() const {
  const int length = static_cast<int>(lengths_[static_cast<size_t>(length_stage_)].value);
  const double micro_batches = batch_[static_cast<size_t>(batch_stage_)].value * accumulate_;
  return {static_cast<int>(std::lround(micro_batches)), micro_batch_ * (length_ / length), length};
}

double Growth::Rate() const { return std::pow(batch_[static_cast<size_t>(batch_stage_)].value, rate_exponent_); }

int64_t Growth::MostTokens() const {
  int64_t most = 0;
  for (const Stage& stage : batch_) most = std::max<int64_t>(most, std::lround(stage.value * accumulate_));
  return most * micro_batch_ * length_;
}

std::vector<int> Growth::MicroBatches() const {
  std::vector<int> counts;
  for (const Stage& stage : batch_) counts.push_back(static_cast<int>(std::lround(stage.value * accumulate_)));
  return counts;
}

void Growth::VisitFields(FieldVisitor& v) {
  if (batch_.size() > 1) v.Int("batch_stage", batch_stage_, 0, std::ssize(batch_) - 1, "of train.batch_growth");
  if (lengths_.size() > 1) v.Int("length_stage", length_stage_, 0, std::ssize(lengths_) - 1, "of train.length_growth");
}

}  // namespace flashlm
