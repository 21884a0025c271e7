#include "kernels/gemm/made_once.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace flashlm::kernels {
namespace {

TEST(MadeOnce, IsMadeByTheFirstOfManyThreadsAndSeenByAll) {
  for (int round = 0; round < 200; ++round) {
    MadeOnce once;
    std::atomic<int> calls = 0;
    int made = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        once.Want([&] {
          ++calls;
          made = 7;
        });
        EXPECT_EQ(made, 7);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(calls, 1);
  }
}

TEST(MadeOnce, IsRenewedIfItWasWantedOfTheValuesBefore) {
  MadeOnce once;
  int made = 0;
  const auto make = [&] { ++made; };
  once.Renew(make);
  EXPECT_EQ(made, 0) << "nobody ever wanted it";
  once.Want(make);
  once.Forget();
  once.Renew(make);
  EXPECT_EQ(made, 2);
  once.Renew(make);
  once.Want(make);
  EXPECT_EQ(made, 2) << "it is there";
  once.Forget();
  once.Renew(make);
  EXPECT_EQ(made, 3);
  once.Forget();
  once.Renew(make);
  EXPECT_EQ(made, 3) << "it was made, but nobody wanted it";
  once.Want(make);
  EXPECT_EQ(made, 4);
}

TEST(MadeOnce, WhatFailedIsTriedAgain) {
  MadeOnce once;
  EXPECT_THROW(once.Want([] { throw std::runtime_error("no memory"); }), std::runtime_error);
  int made = 0;
  once.Want([&] { ++made; });
  EXPECT_EQ(made, 1);
}

}  // namespace
}  // namespace flashlm::kernels
