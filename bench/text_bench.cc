// The tokenizer on made-up English-like text: bytes per second of training, encoding, decoding and splitting.
#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "text/split.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

constexpr size_t kBytes = size_t{8} << 20;

// 20,000 made-up words with Zipf's frequencies: as many distinct ones, and cache misses, as 14 MB of
// TinyStories.
const std::string& Text() {
  static const std::string text = [] {
    Rng rng(1, Purpose::kTest);
    std::vector<std::string> words(20000);
    for (std::string& word : words) {
      for (uint64_t n = 1 + rng.Below(9); n > 0; --n) word += "etaoinshrdlucmfwypvbgkjq"[rng.Below(1 + rng.Below(24))];
    }
    std::string made;
    while (made.size() < kBytes) {
      const double rank = std::pow(static_cast<double>(words.size()), rng.UniformDouble()) - 1;
      made += words[static_cast<size_t>(rank)];
      made += rng.Below(12) == 0 ? ".\n" : " ";
    }
    return made;
  }();
  return text;
}

const Tokenizer& Trained() {
  static const std::string_view text = Text();
  static const Tokenizer tokenizer = Tokenizer::Train(std::span(&text, 1), 4096);
  return tokenizer;
}

void Finish(benchmark::State& state) {
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * Text().size()));
}

// Argument: threads.
void Train(benchmark::State& state) {
  SetThreadCount(static_cast<int>(state.range(0)));
  const std::string_view text = Text();
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::Train(std::span(&text, 1), 4096));
  Finish(state);
}
BENCHMARK(Train)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

void Encode(benchmark::State& state) {
  const Tokenizer& tokenizer = Trained();
  std::vector<uint16_t> ids;
  for (auto _ : state) {
    ids.clear();
    tokenizer.Encode(Text(), ids);
  }
  Finish(state);
}
BENCHMARK(Encode)->Unit(benchmark::kMillisecond);

void Decode(benchmark::State& state) {
  const std::vector<uint16_t> ids = Trained().Encode(Text());
  for (auto _ : state) benchmark::DoNotOptimize(Trained().Decode(ids));
  Finish(state);
}
BENCHMARK(Decode)->Unit(benchmark::kMillisecond);

void Split(benchmark::State& state) {
  for (auto _ : state) {
    WordSplitter splitter(Text());
    for (std::string_view word; splitter.Next(word);) benchmark::DoNotOptimize(word);
  }
  Finish(state);
}
BENCHMARK(Split)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flashlm

BENCHMARK_MAIN();
