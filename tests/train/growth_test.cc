#include "train/growth.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "train/config.h"

namespace flashlm {
namespace {

TrainConfig Config(const std::string& batch, const std::string& length) {
  TrainConfig train;
  train.sequence_length = 256;
  train.micro_batch = 8;
  train.accumulate = 2;
  train.growth.batch = batch;
  train.growth.length = length;
  return train;
}

TEST(Growth, WithoutItEveryStepIsAsConfigured) {
  Growth growth(Config("", ""));
  for (const double fraction : {0.0, 0.5, 1.0}) {
    growth.Advance(fraction);
    EXPECT_EQ(growth.Size(), (StepSize{2, 8, 256}));
    EXPECT_EQ(growth.Rate(), 1.0) << "bit for bit";
  }
  EXPECT_EQ(growth.MostTokens(), 4096);
  EXPECT_EQ(FieldsToJson(growth), Json::object());
}

TEST(Growth, FollowsTheBudget) {
  for (const char* batch : {"0:0.5,0.25:1,0.5:3", " 0:0.5 , 0.25:1 0.5:3 ", "0.0:0.5 2.5e-1:1.0 0.5:3"}) {
    Growth growth(Config(batch, "0:64,0.75:256"));
    EXPECT_EQ(growth.MostTokens(), 3 * 4096);
    EXPECT_EQ(growth.Size(), (StepSize{1, 32, 64}));
    EXPECT_DOUBLE_EQ(growth.Rate(), std::sqrt(0.5));
    growth.Advance(0.2499);
    EXPECT_EQ(growth.Size(), (StepSize{1, 32, 64}));
    growth.Advance(0.25);
    EXPECT_EQ(growth.Size(), (StepSize{2, 32, 64}));
    EXPECT_EQ(growth.Rate(), 1.0);
    growth.Advance(0.6);
    EXPECT_EQ(growth.Size(), (StepSize{6, 32, 64}));
    EXPECT_DOUBLE_EQ(growth.Rate(), std::sqrt(3));
    growth.Advance(1);
    EXPECT_EQ(growth.Size(), (StepSize{6, 8, 256}));
    EXPECT_EQ(FieldsToJson(growth), Json({{"batch_stage", 2}, {"length_stage", 1}}));
  }
}

TEST(Growth, BeginsAsConfiguredUnlessTheFirstStageIsAtZero) {
  Growth growth(Config("0.33:2,0.66:3", "0.5:128"));
  EXPECT_EQ(growth.Size(), (StepSize{2, 8, 256}));
  growth.Advance(0.99);
  EXPECT_EQ(growth.Size(), (StepSize{6, 16, 128}));
}

TEST(Growth, WhatHasGrownStaysGrown) {
  Growth growth(Config("0.5:2", "0:128,0.5:256"));
  growth.Advance(0.5);
  growth.Advance(0.1);  // of a longer budget
  EXPECT_EQ(growth.Size(), (StepSize{4, 8, 256}));
}

TEST(Growth, AThirdMayBeRounded) {
  TrainConfig train = Config("0:0.33,0.5:0.667", "");
  train.accumulate = 3;
  Growth growth(train);
  EXPECT_EQ(growth.Size().accumulate, 1);
  growth.Advance(0.5);
  EXPECT_EQ(growth.Size().accumulate, 2);
}

TEST(Growth, TheRatesExponentIsASetting) {
  TrainConfig train = Config("0:2", "");
  train.growth.rate_exponent = 0.6;
  EXPECT_DOUBLE_EQ(Growth(train).Rate(), std::pow(2, 0.6));
  train.growth.rate_exponent = 0;
  EXPECT_EQ(Growth(train).Rate(), 1.0);
}

TEST(Growth, RefusesWhatItCannotDo) {
  const auto refused = [](const std::string& batch, const std::string& length, const std::string& part) {
    try {
      Growth{Config(batch, length)};
      ADD_FAILURE() << "accepted: " << batch << " and " << length;
    } catch (const UsageError& e) {
      EXPECT_NE(e.OneLine().find(part), std::string::npos) << e.OneLine();
    }
  };
  for (const char* text : {"soon", "0.5", "0.5:", ":2", "0.5:2x", "0.5:-1", "0.5:0", "-0.1:2", "1:2", "nan:2",
                           "0.5:inf", "0.5:2,0.5:3", "0.6:2,0.5:3", "0.5:2;0.6:3"}) {
    refused(text, "", "train.batch_growth = ");
    refused("", text, "train.length_growth = ");
  }
  refused("0.5:1.25", "", "1.25 times train.accumulate = 2");
  refused("0.5:0.1", "", "0.1 times train.accumulate = 2");
  refused("0.5:1e9", "", "train.batch_growth");
  refused("", "0:100", "100 does not divide train.sequence_length = 256");
  refused("", "0:0.5", "does not divide");
  refused("", "0:512", "does not divide");
}

}  // namespace
}  // namespace flashlm
