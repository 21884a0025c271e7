#include "serve/worker.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

namespace flashlm {
namespace {

TEST(Worker, DoesOneAfterTheOtherWhatFits) {
  std::vector<int> done;
  Worker worker(10);
  std::promise<void> go_on;
  const std::shared_future<void> gate = go_on.get_future().share();
  EXPECT_TRUE(worker.Post(100, [&] { gate.wait(); })) << "alone it may have any size";
  EXPECT_FALSE(worker.Post(1, [&] { done.push_back(0); }));
  go_on.set_value();
  while (!worker.Post(4, [&] { done.push_back(1); })) std::this_thread::yield();
  for (int i = 2; i < 6; ++i) {
    while (!worker.Post(4, [&done, i] { done.push_back(i); })) std::this_thread::yield();
  }
  worker.Stop();
  EXPECT_EQ(done, (std::vector<int>{1, 2, 3, 4, 5}));
  EXPECT_FALSE(worker.Post(1, [&] { done.push_back(6); }));
  worker.Stop();
  EXPECT_EQ(done.size(), 5u);
}

}  // namespace
}  // namespace flashlm
