#include "base/fields.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"

namespace flashlm {
namespace {

struct Garden {
  bool fence = true;
  int trees = 3;
  int64_t ants = 5'000'000'000;
  double water = 0.25;
  std::string soil = "loam";
  std::string name = "back";

  void VisitFields(FieldVisitor& v) {
    v.Bool("fence", fence, "around it");
    v.Int("trees", trees, 0, 100, "how many");
    v.Int64("ants", ants, 0, int64_t{1} << 40, "roughly");
    v.Real("water", water, 0, 1, "litres a day");
    v.Text("soil", soil, {"loam", "clay", "sand"}, "kind of earth");
    v.Text("name", name, {}, "for the map");
  }
};

Garden Read(const std::string& toml) {
  Garden garden;
  FieldsFromJson(ParseToml(toml, "test"), "garden", garden);
  return garden;
}

// Reading `toml` is a usage error whose one line contains every part.
void ExpectRefused(const std::string& toml, const std::vector<std::string>& parts) {
  try {
    Read(toml);
  } catch (const UsageError& e) {
    for (const std::string& part : parts) {
      EXPECT_NE(e.OneLine().find(part), std::string::npos) << e.OneLine() << "\nlacks: " << part;
    }
    return;
  }
  ADD_FAILURE() << "accepted: " << toml;
}

TEST(Fields, LackingKeysKeepTheirValues) {
  EXPECT_EQ(FieldsToJson(Read("")), FieldsToJson(Garden{}));
  const Garden garden = Read("trees = 7\nsoil = \"clay\"");
  EXPECT_EQ(garden.trees, 7);
  EXPECT_EQ(garden.soil, "clay");
  EXPECT_EQ(garden.ants, 5'000'000'000);
  EXPECT_EQ(garden.water, 0.25);
}

TEST(Fields, RoundTripThroughTomlAndJson) {
  Garden garden;
  garden.fence = false;
  garden.trees = 0;
  garden.ants = (int64_t{1} << 40) - 1;
  garden.water = 0.1;
  garden.soil = "sand";
  garden.name = "a \"b\" # [c] = \\ ü";
  const Json json = FieldsToJson(garden);
  EXPECT_EQ(FieldsToJson(Read(ToToml(json))), json);
  Garden from_text;
  FieldsFromJson(ParseJson(json.dump(), "test"), "garden", from_text);
  EXPECT_EQ(FieldsToJson(from_text), json);
  garden.water = 1;  // a whole number stays a real one
  EXPECT_EQ(Read(ToToml(FieldsToJson(garden))).water, 1.0);
  EXPECT_EQ(Read("water = 1").water, 1.0);
}

TEST(Fields, RefusesUnknownKeysAndNamesTheNearest) {
  ExpectRefused("tree = 3", {"garden.tree: unknown key", "did you mean 'trees'?"});
  ExpectRefused("elephants_and_giraffes = 3", {"garden.elephants_and_giraffes", "known: fence, trees"});
}

TEST(Fields, RefusesValuesOutOfRange) {
  ExpectRefused("trees = 101", {"garden.trees = 101: out of range", "0 to 100", "how many"});
  ExpectRefused("trees = -1", {"garden.trees"});
  ExpectRefused("trees = 4294967299", {"garden.trees"});  // 3, had it been cut to 32 bits
  ExpectRefused("ants = 9223372036854775807", {"garden.ants"});
  ExpectRefused("water = 1.01", {"garden.water", "0 to 1"});
  ExpectRefused("water = nan", {"garden.water"});
  ExpectRefused("water = inf", {"garden.water"});
  ExpectRefused("soil = \"chalk\"", {"garden.soil = 'chalk'", "loam, clay, sand"});
}

TEST(Fields, RefusesOtherTypes) {
  ExpectRefused("fence = 1", {"garden.fence = 1: expected true or false"});
  ExpectRefused("trees = 3.0", {"garden.trees", "whole number"});
  ExpectRefused("trees = true", {"garden.trees", "whole number"});
  ExpectRefused("water = \"0.5\"", {"garden.water", "expected a number"});
  ExpectRefused("name = 3", {"garden.name", "expected text"});
  ExpectRefused("name = [1, 2]", {"garden.name", "expected text"});
  Garden garden;
  EXPECT_THROW(FieldsFromJson(Json(3), "garden", garden), UsageError);
}

TEST(Fields, Overrides) {
  Json document = ParseToml("[garden]\ntrees = 1\n", "test");
  const std::vector<std::string> assignments = {"garden.trees=4",   "garden.water=0.5",    "garden.fence=false",
                                                "garden.soil=sand", "garden.name=\"x=y\"", "new.key=1"};
  for (const std::string& assignment : assignments) ApplyOverride(assignment, document);
  EXPECT_EQ(document["new"]["key"], 1);
  Garden garden;
  FieldsFromJson(document["garden"], "garden", garden);
  EXPECT_EQ(garden.trees, 4);
  EXPECT_EQ(garden.water, 0.5);
  EXPECT_FALSE(garden.fence);
  EXPECT_EQ(garden.soil, "sand");  // bare text
  EXPECT_EQ(garden.name, "x=y");
  ApplyOverride("garden.name=two bare words", document);
  EXPECT_EQ(document["garden"]["name"], "two bare words");
  document["number"] = 3;
  for (const char* wrong : {"trees", "trees=4", "=.", "garden.trees", "number.x=1"}) {
    EXPECT_THROW(ApplyOverride(wrong, document), UsageError) << wrong;
  }
}

TEST(Fields, HelpHasALineForEveryField) {
  const std::string help = FieldsHelp<Garden>();
  EXPECT_EQ(std::count(help.begin(), help.end(), '\n'), 6);
  for (const char* part : {"fence", "true or false", "trees", "how many (0 to 100)", "5000000000", "0.25", "\"loam\"",
                           "loam | clay | sand", "for the map"}) {
    EXPECT_NE(help.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace flashlm
