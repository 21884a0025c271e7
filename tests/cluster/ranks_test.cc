#include "cluster/ranks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/progress.h"
#include "base/rng.h"
#include "cluster/gradient_exchange.h"
#include "memory_transport.h"

namespace flashlm {
namespace {

TEST(Ranks, TellEachOtherWhatTheyHave) {
  RunRanks(3, [](Ranks& ranks) {
    EXPECT_EQ(ranks.Broadcast(ranks.first() ? "said" : ""), "said");
    double number = ranks.first() ? 4.5 : 0;
    ranks.Broadcast(&number, sizeof(number));
    EXPECT_EQ(number, 4.5);
    const std::string own(static_cast<size_t>(ranks.rank()), 'x');
    EXPECT_EQ(ranks.Gather(own), (std::vector<std::string>{"", "x", "xx"}));
    EXPECT_EQ(ranks.NameOf(2), "rank 2 on host2");
    EXPECT_EQ(ranks.HostCount(), 3);
  });
}

TEST(Ranks, FailTogether) {
  std::atomic<int> named = 0, plain = 0;
  RunRanks(3, [&](Ranks& ranks) {
    ranks.Together([] {});
    EXPECT_FALSE(ranks.FailedTogether());
    try {
      ranks.Together([&] {
        if (ranks.rank() == 1) throw Error("no such folder", "make it");
      });
    } catch (const UsageError&) {
    } catch (const Error& e) {
      named += e.OneLine() == "rank 1 on host1: no such folder (hint: make it)";
    }
    EXPECT_TRUE(ranks.FailedTogether());
    try {
      ranks.Together([] { throw UsageError("unknown preset"); });
    } catch (const UsageError& e) {
      plain += e.OneLine() == "unknown preset";
    }
  });
  EXPECT_EQ(named, 3);
  EXPECT_EQ(plain, 3);
}

TEST(Ranks, EndTheJobForOneThatIsSilentAndNameIt) {
  testing::internal::CaptureStderr();
  std::atomic<int> aborted = 0;
  RunRanks(2, [&](Ranks& ranks) {
    ranks.SetPatience(0.2);
    if (ranks.rank() == 1) return;
    try {
      char byte;
      ranks.Receive(1, &byte, 1);
      ranks.Wait();
    } catch (const Aborted&) {
      ++aborted;
    }
  });
  EXPECT_EQ(aborted, 1);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("error: rank 1 on host1 has been silent"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

// Rank 1 is busy for longer than rank 0 would wait for a silent one.
TEST(Ranks, WaitForOneThatSaysThatItIsBusy) {
  RunRanks(2, [&](Ranks& ranks) {
    ranks.SetPatience(2.6);  // signs of life come every 2 s
    char byte = 7;
    if (ranks.rank() == 1) {
      {
        const Ranks::Busy busy(&ranks);
        for (const Stopwatch watch; watch.Seconds() < 4.8;) {
        }
      }
      ranks.Send(0, &byte, 1);
    } else {
      ranks.Receive(1, &byte, 1);
    }
    ranks.Wait();
    EXPECT_EQ(byte, 7);
  });
}

// Rank 1 is to be busy, but does nothing, whatever other threads of its process do.
TEST(Ranks, EndTheJobForABusyOneThatHangs) {
  testing::internal::CaptureStderr();
  std::atomic<bool> aborted = false;
  RunRanks(2, [&](Ranks& ranks) {
    ranks.SetPatience(2.6);
    if (ranks.rank() == 1) {
      const Ranks::Busy busy(&ranks);
      for (const Stopwatch watch; !aborted && watch.Seconds() < 20;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
      }
      return;
    }
    try {
      char byte;
      ranks.Receive(1, &byte, 1);
      ranks.Wait();
    } catch (const Aborted&) {
      aborted = true;
    }
  });
  EXPECT_TRUE(aborted);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("error: rank 1 on host1 has been silent"), std::string::npos) << said;
}

// The sum over leaves as it is defined.
std::vector<float> TreeSum(const std::vector<std::vector<float>>& leaves, LeafRange node) {
  if (node.count() == 1) return leaves[static_cast<size_t>(node.begin)];
  const int cut = CutOf(node);
  std::vector<float> sum = TreeSum(leaves, {node.begin, cut});
  const std::vector<float> right = TreeSum(leaves, {cut, node.end});
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += right[i];
  return sum;
}

std::vector<std::vector<float>> RandomLeaves(int leaves, size_t size) {
  Rng rng(3, Purpose::kTest);
  std::vector<std::vector<float>> values(static_cast<size_t>(leaves), std::vector<float>(size));
  for (auto& leaf : values) {
    for (float& value : leaf) value = static_cast<float>(rng.Uniform() - 0.5) * 1e3f;
  }
  return values;
}

// Unequal parts, three for each rank, some shorter than a block and one empty.
std::vector<int64_t> CutsFor(int count, int64_t size) {
  std::vector<int64_t> cuts = {0};
  const int parts = 3 * count;
  for (int i = 1; i < parts; ++i) cuts.push_back(size * i * i / (parts * parts));
  cuts[2] = cuts[3];
  cuts.push_back(size);
  return cuts;
}

constexpr int64_t kBlock = 64;

// By every rank: what it sums of the gradient, NaN elsewhere. The first block lies where the result goes.
std::vector<float> Exchange(Ranks& ranks, const std::vector<std::vector<float>>& values, DType type) {
  const auto leaves = static_cast<int>(values.size());
  const auto size = static_cast<int64_t>(values[0].size());
  std::vector<LeafRange> nodes;
  NodesWithin(leaves, ShareOf(leaves, ranks.rank(), ranks.size()), nodes);
  std::vector<std::vector<float>> sums;
  for (const LeafRange& node : nodes) sums.push_back(TreeSum(values, node));
  std::vector<GradientBlock> own;
  for (size_t i = 0; i < nodes.size(); ++i) own.push_back({nodes[i], sums[i].data()});
  GradientExchange exchange(ranks, CutsFor(ranks.size(), size), kBlock, type);
  // Every rank has its parts in another order, and gets what it can meanwhile.
  const auto parts = static_cast<int>(exchange.cuts().size()) - 1;
  exchange.Begin(leaves);
  for (int i = 0; i < parts; ++i) {
    exchange.Send(ranks.rank() % 2 == 0 ? (i + ranks.rank()) % parts : parts - 1 - i, own);
    exchange.Progress();
  }
  // Nothing but looking after messages is needed until all are here.
  for (const Stopwatch watch; ranks.under_way() > 0 && watch.Seconds() < 20;) exchange.Progress();
  EXPECT_EQ(ranks.under_way(), 0u);
  exchange.Finish(sums[0].data());
  std::vector<float> result(values[0].size(), std::numeric_limits<float>::quiet_NaN());
  for (const auto& [begin, end] : exchange.SummedBy(ranks.rank())) {
    std::copy(sums[0].begin() + begin, sums[0].begin() + end, result.begin() + begin);
  }
  // What it updates it has the gradient of, and of blocks that begin there all.
  for (const auto& [begin, end] : exchange.UpdatedBy(ranks.rank())) {
    const int64_t first = (begin + kBlock - 1) / kBlock * kBlock, last = (end + kBlock - 1) / kBlock * kBlock;
    for (int64_t i = begin; i < (first < end ? std::min(size, last) : end); ++i) {
      EXPECT_FALSE(std::isnan(result[static_cast<size_t>(i)])) << i;
    }
  }
  // An update of 1 plus the rank, which bf16 has exactly.
  std::vector<float> shared(values[0].size());
  exchange.BeginUpdate(shared.data());
  for (int i = 0; i < parts; ++i) {
    const int part = ranks.rank() % 2 == 0 ? i : parts - 1 - i;
    if (part % ranks.size() != ranks.rank()) continue;
    const auto cut = exchange.cuts().begin() + part;
    std::fill(shared.begin() + cut[0], shared.begin() + cut[1], 1.0f + static_cast<float>(ranks.rank()));
    exchange.SendUpdated(part);
    exchange.Progress();
  }
  exchange.FinishUpdate();
  int64_t updated = 0;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    for (const auto& [begin, end] : exchange.UpdatedBy(rank)) {
      updated += end - begin;
      for (int64_t i = begin; i < end; ++i) {
        EXPECT_EQ(shared[static_cast<size_t>(i)], 1.0f + static_cast<float>(rank));
      }
    }
  }
  EXPECT_EQ(updated, size);
  return result;
}

void ExpectSums(const std::vector<float>& result, const std::vector<float>& expected) {
  int64_t summed = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    if (std::isnan(result[i])) continue;
    EXPECT_EQ(result[i], expected[i]) << i;
    ++summed;
  }
  EXPECT_GT(summed, 0);
}

TEST(GradientExchange, HasTheBitsOfOneProcess) {
  constexpr size_t kSize = 5003;
  for (const auto& [leaves, count] : {std::pair{2, 2}, {4, 2}, {4, 4}, {4, 3}, {7, 3}, {6, 2}, {16, 8}}) {
    SCOPED_TRACE(fmt::format("{} leaves, {} ranks", leaves, count));
    const auto values = RandomLeaves(leaves, kSize);
    const std::vector<float> expected = TreeSum(values, {0, leaves});
    RunRanks(count, [&](Ranks& ranks) { ExpectSums(Exchange(ranks, values, DType::kF32), expected); });
  }
}

// Rounded are the sums that travel; what they add up to is f32. With six leaves a rank has two blocks.
TEST(GradientExchange, InBf16IsRoundedBeforeItTravels) {
  for (const int leaves : {4, 6}) {
    const auto values = RandomLeaves(leaves, 777);
    const auto rounded = [&](LeafRange block) {
      std::vector<float> sum = TreeSum(values, block);
      for (float& value : sum) value = ToFloat(ToBFloat16(value));
      return sum;
    };
    const auto plus = [](std::vector<float> sum, const std::vector<float>& other) {
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += other[i];
      return sum;
    };
    const std::vector<float> expected =
        leaves == 4 ? plus(rounded({0, 2}), rounded({2, 4}))
                    : plus(plus(rounded({0, 2}), plus(rounded({2, 3}), rounded({3, 4}))), rounded({4, 6}));
    RunRanks(2, [&](Ranks& ranks) { ExpectSums(Exchange(ranks, values, DType::kBF16), expected); });
  }
}

}  // namespace
}  // namespace flashlm
