#include "cluster/ranks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "base/error.h"
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
        std::this_thread::sleep_for(std::chrono::milliseconds(4800));
      }
      ranks.Send(0, &byte, 1);
    } else {
      ranks.Receive(1, &byte, 1);
    }
    ranks.Wait();
    EXPECT_EQ(byte, 7);
  });
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

// Unequal parts.
std::vector<int64_t> CutsFor(int count, int64_t size) {
  std::vector<int64_t> cuts = {0};
  for (int i = 1; i < count; ++i) cuts.push_back(size * i * i / (count * count));
  cuts.push_back(size);
  return cuts;
}

constexpr int64_t kBlock = 64;

// By every rank of `count`: what it sums of the gradient, zero elsewhere. The first block lies where the result goes.
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
  exchange.Sum(leaves, own, sums[0].data());
  const auto [begin, end] = exchange.SummedBy(ranks.rank());
  const auto updated = exchange.UpdatedBy(ranks.rank());
  EXPECT_TRUE(updated.count() == 0 || (begin <= updated.begin && updated.end <= end && begin % kBlock == 0));
  std::vector<float> result(values[0].size());
  std::copy(sums[0].begin() + begin, sums[0].begin() + end, result.begin() + begin);
  // An update of 1 plus the rank, which bf16 has exactly.
  std::vector<float> shared(values[0].size());
  exchange.BeginUpdate(shared.data());
  std::fill(shared.begin() + updated.begin, shared.begin() + updated.end, 1.0f + static_cast<float>(ranks.rank()));
  exchange.ShareValues(shared.data());
  for (int rank = 0; rank < ranks.size(); ++rank) {
    for (int64_t i = exchange.UpdatedBy(rank).begin; i < exchange.UpdatedBy(rank).end; ++i) {
      EXPECT_EQ(shared[static_cast<size_t>(i)], 1.0f + static_cast<float>(rank));
    }
  }
  return result;
}

void ExpectSums(const std::vector<float>& result, const std::vector<float>& expected) {
  int64_t summed = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    if (result[i] == 0) continue;
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

// Rounded are the sums that travel; what they add up to is f32.
TEST(GradientExchange, InBf16IsRoundedBeforeItTravels) {
  const auto values = RandomLeaves(4, 777);
  std::vector<float> expected(777);
  const std::vector<float> left = TreeSum(values, {0, 2}), right = TreeSum(values, {2, 4});
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] = ToFloat(ToBFloat16(left[i])) + ToFloat(ToBFloat16(right[i]));
  }
  RunRanks(2, [&](Ranks& ranks) { ExpectSums(Exchange(ranks, values, DType::kBF16), expected); });
}

}  // namespace
}  // namespace flashlm
