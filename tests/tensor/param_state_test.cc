#include "tensor/param_state.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace flashlm {
namespace {

TEST(ParamState, HoldsWhatIsAskedAtTheBanksDistances) {
  ParamBank bank;
  bank.Add({.name = "a", .shape = {3, 7}, .init = {}});
  bank.Add({.name = "b", .shape = {5}, .init = {}});
  bank.Add({.name = "c", .shape = {2, 7}, .init = {}}, true);  // joins b
  bank.Add({.name = "d", .shape = {4}, .role = Role::kBuffer, .init = {}});
  bank.Add({.name = "e", .shape = {9}, .init = {}});
  bank.Allocate(true);

  ParamState state(bank);
  state.Add("m", {true, true, true, false, true});
  state.Add("v", {false, true, true, false, false});
  for (const ParamState::Array& array : state.arrays()) {
    EXPECT_TRUE(std::all_of(array.data.get(), array.data.get() + array.size, [](float x) { return x == 0; }));
  }
  EXPECT_EQ(state.Find("m", 3), nullptr);
  EXPECT_EQ(state.Find("v", 0), nullptr);
  EXPECT_EQ(state.Find("u", 0), nullptr);
  const auto distance = [&](const char* name, size_t i) { return state.Find(name, i + 1) - state.Find(name, i); };
  for (size_t i : {0, 1}) EXPECT_EQ(distance("m", i), bank.infos()[i + 1].offset - bank.infos()[i].offset);
  EXPECT_EQ(distance("v", 1), 5);  // as they are joined in the bank
  // What is not held takes no memory: b and c of "v" are 5 + 14 floats.
  EXPECT_EQ(state.arrays()[1].size, 19);
  EXPECT_GE(state.Find("m", 4) - state.Find("m", 2), 14);
  EXPECT_EQ(state.size(), state.arrays()[0].size + 19);
}

TEST(ParamState, HoldsAFloatPerLine) {
  ParamBank bank;
  bank.Add({.name = "a", .shape = {3, 7}, .init = {}});
  bank.Add({.name = "b", .shape = {5}, .init = {}});
  bank.Add({.name = "c", .shape = {20, 7}, .init = {}}, true);
  bank.Allocate(true);

  ParamState state(bank);
  state.AddLines("v", {7, 0, 20});
  EXPECT_EQ(state.Find("v", 1), nullptr);
  EXPECT_GE(state.Find("v", 2) - state.Find("v", 0), 7);
  EXPECT_EQ(state.size(), state.arrays()[0].size);
  EXPECT_EQ(state.size(), kFloatsPerLine + 20);
  EXPECT_TRUE(std::all_of(state.Find("v", 0), state.Find("v", 0) + state.size(), [](float x) { return x == 0; }));
}

}  // namespace
}  // namespace flashlm
