#include "base/registry.h"

#include <gtest/gtest.h>

namespace flashlm {
namespace {

class Shape {
 public:
  virtual ~Shape() = default;
  virtual void VisitFields(FieldVisitor&) {}
  virtual int Corners() const = 0;
};

class Square final : public Shape {
 public:
  int Corners() const override { return 4; }
};

class Polygon final : public Shape {
 public:
  void VisitFields(FieldVisitor& v) override { v.Int("polygon_corners", corners_, 3, 100, "corners of the polygon"); }
  int Corners() const override { return corners_; }

 private:
  int corners_ = 5;
};

// Not in the order of their names.
FLASHLM_REGISTER(Shape, "square", Square);
FLASHLM_REGISTER(Shape, "polygon", Polygon);

TEST(Registry, IsSortedByName) { EXPECT_EQ(Registry<Shape>::Names(), (std::vector<std::string>{"polygon", "square"})); }

TEST(Registry, RefusesANameTwice) {
  EXPECT_THROW(Registry<Shape>::Add<Square>("polygon"), Error);
  EXPECT_EQ(Registry<Shape>::All().size(), 2u);
}

TEST(Registry, OneOfEachIsAValue) {
  OneOfEach<Shape> shapes;
  FieldsFromJson({{"polygon_corners", 7}}, "shapes", shapes);
  OneOfEach<Shape> copy = shapes, assigned;
  assigned = shapes;
  FieldsFromJson({{"polygon_corners", 9}}, "shapes", shapes);
  EXPECT_EQ(shapes.Get("polygon").Corners(), 9);
  EXPECT_EQ(copy.Get("polygon").Corners(), 7);
  EXPECT_EQ(assigned.Get("polygon").Corners(), 7);
  EXPECT_EQ(FieldsToJson(copy), Json({{"polygon_corners", 7}}));
  EXPECT_EQ(copy.Get("square").Corners(), 4);
}

TEST(Registry, NamesTheNearestKnown) {
  try {
    OneOfEach<Shape>().Get("sqare");
    ADD_FAILURE();
  } catch (const UsageError& e) {
    EXPECT_NE(e.OneLine().find("did you mean 'square'?"), std::string::npos) << e.OneLine();
  }
}

// Two files that register may meet in one program without knowing of each other.
struct Twice {
  int a = 0, b = 0;
  void VisitFields(FieldVisitor& v) {
    v.Int("weight", a, 0, 1, "one");
    v.Int("weight", b, 0, 1, "another");
  }
};

TEST(Registry, TwoSettingsOfOneNameAreRefused) {
  Twice twice;
  try {
    FieldsFromJson(Json::object(), "train", twice);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_NE(e.OneLine().find("train.weight"), std::string::npos) << e.OneLine();
  }
}

}  // namespace
}  // namespace flashlm
