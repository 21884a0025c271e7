// Decoding leaves the heap alone (docs/architecture.md). This test program counts what `new` is asked for.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "infer/sampler.h"
#include "infer/search.h"
#include "infer/session.h"
#include "tests/infer/tiny_model.h"

namespace {
std::atomic<int64_t> allocations = 0;
}  // namespace

// Not inlined, for the compiler would take free() after new for an error.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace flashlm {
namespace {

std::vector<int32_t> History() {
  std::vector<int32_t> history;
  history.reserve(1000);
  history.push_back(Tokenizer::kEos);
  return history;
}

SamplerConfig Config() {
  SamplerConfig config;
  config.frequency_penalty = 0.5;
  return config;
}

TEST(DecodingTest, DoesNotAllocate) {
  for (const ModelEntry& entry : RegisteredModels()) {
    const auto model = TinyModel(entry);
    Session session(*model, DType::kF32);
    Sampler sampler(Config());
    std::vector<int32_t> history = History();
    const auto step = [&] {
      const std::span<const float> log_probs(session.Feed(history.back()), static_cast<size_t>(session.vocab()));
      history.push_back(sampler.Sample(log_probs, history, std::ssize(history)));
    };
    for (int i = 0; i < 40; ++i) step();
    const int64_t before = allocations;
    for (int i = 0; i < 60; ++i) step();
    EXPECT_EQ(allocations - before, 0) << entry.name;
  }
}

TEST(SearchTest, DoesNotAllocate) {
  const auto model = TinyModel(FindModel("cortex-viii"));
  Session session(*model, DType::kF32);
  Sampler sampler(Config());
  std::vector<int32_t> history = History();
  std::span<const float> log_probs(session.Feed(history), static_cast<size_t>(session.vocab()));
  Search search(session, sampler, 4, 1.0);
  const auto step = [&] {
    const Search::Choice choice = search.Next(log_probs, history);
    log_probs = choice.log_probs;
    history.push_back(choice.token);
  };
  for (int i = 0; i < 40; ++i) step();
  const int64_t before = allocations;
  for (int i = 0; i < 60; ++i) step();
  EXPECT_EQ(allocations - before, 0);
}

}  // namespace
}  // namespace flashlm
