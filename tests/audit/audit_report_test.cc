// What an audit says, from made-up results.
#include "audit/audit_report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "tests/report/page_testing.h"

namespace flashlm {
namespace {

Audit Example() {
  Audit audit;
  audit.source = "synthetic";
  audit.machine = "a CPU, 2 threads, bf16";
  audit.plan.seconds = 1800;
  audit.plan.random_steps = 1200;
  for (const AuditCase& one : AuditCases()) {
    AuditResult result;
    result.name = one.name;
    result.parameters = 1'234'567;
    result.tokens = 5'000'000;
    const bool leaks = one.defects.leaks();
    result.reported = {leaks ? 1.0 : 2.0, leaks ? 0.5 : 1.0, 0.01, 51'200, 150'000};
    result.truth = {leaks ? 3.0 : 2.0, leaks ? 1.5 : 1.0, 0.02, 51'200, 150'000};
    result.reported_offset = one.defects.double_shift ? 2 : 1;
    result.random = {leaks ? 2.5 : 3.466, 1200, {{600, 3.47}, {1200, leaks ? 2.5 : 3.466}}};
    result.leak = leaks ? 0.25 : 0;
    result.counted = one.defects.double_shift ? std::vector<int32_t>{5, 7, 9} : std::vector<int32_t>{4, 5, 6};
    result.prompt = "Once";
    result.sample = " <b>there & |was*";
    result.curve = {{10, 5.5}, {20, 4.5}};
    audit.results.push_back(result);
  }
  return audit;
}

TEST(AuditReport, SaysWhichTestFindsWhat) {
  const Audit audit = Example();
  const auto caught = [&](size_t i) { return audit.results[i].CaughtBy(); };
  EXPECT_TRUE(caught(0).empty());
  EXPECT_EQ(caught(1), (std::vector<std::string>{"random tokens", "causality"}));
  EXPECT_EQ(caught(4), (std::vector<std::string>{"counting"})) << "a double shift leaks nothing";
  EXPECT_EQ(caught(6).size(), 3u);
  // A batch's luck is no leak.
  AuditResult lucky = audit.results[0];
  lucky.random.nats = std::log(32.0) - 0.009;
  EXPECT_FALSE(lucky.below_chance());
  lucky.random.nats = std::log(32.0) - 0.011;
  EXPECT_TRUE(lucky.below_chance());
}

TEST(AuditReport, JsonHasTheFiguresAndIsReadBack) {
  const Audit audit = Example();
  const Json json = Json::parse(ToText(ToJson(audit)));
  EXPECT_NEAR(json.at("random").at("ln_vocab").get<double>(), std::log(32.0), 1e-12);
  ASSERT_EQ(json.at("rows").size(), AuditCases().size());
  for (size_t i = 0; i < audit.results.size(); ++i) {
    const Json& row = json.at("rows")[i];
    for (const char* key :
         {"name", "defects", "parameters", "tokens", "reported_perplexity", "reported_bits_per_byte",
          "reported_target_offset", "true_perplexity", "true_bits_per_byte", "true_stderr_bits_per_byte", "random_nats",
          "random_steps", "random_below_chance", "leak", "counted", "counts", "caught_by", "sample"}) {
      EXPECT_TRUE(row.contains(key)) << key;
    }
    EXPECT_EQ(ToJson(AuditResultFromJson(row, "test")), row);
  }
  EXPECT_NEAR(json.at("rows")[1].at("reported_perplexity").get<double>(), std::exp(1.0), 1e-9);
  Json damaged = json.at("rows")[0];
  damaged.erase("leak");
  EXPECT_THROW(AuditResultFromJson(damaged, "result.json"), Error);
}

TEST(AuditReport, MarkdownIsOneTable) {
  const std::string markdown = AuditMarkdown(Example());
  for (const char* part :
       {"| correct |  | 7.39 | 7.39 | 1.000 | 1.000 ± 0.020 | 3.466 | 0 | 4 5 6 |",
        "| memory reads the future |  | 2.72 | 20.09 | 0.500 | 1.500 ± 0.020 | 2.500: a leak | 0.25 | 4 5 6 |",
        "| target two tokens ahead | v8 |", "1,234,567 parameters", "planned for 30:00", "\\<b>there & \\|was\\*"}) {
    EXPECT_NE(markdown.find(part), std::string::npos) << part << "\n" << markdown;
  }
}

TEST(AuditReport, PageStandsAlone) {
  const std::string html = AuditHtml(Example()), body = BodyOf(html);
  ExpectWellFormed(html);
  for (const char* absent : {"http", "src=", "<b>there", "nan", "null"}) {
    EXPECT_EQ(body.find(absent), std::string::npos) << absent;
  }
  const Json data = DataOf(html);
  EXPECT_EQ(data.at("owners").size(), AuditCases().size() + 1) << "the models, and chance";
  ASSERT_EQ(data.at("charts").size(), 3u);
  const Json& bars = data.at("charts")[0];
  EXPECT_EQ(bars.at("groups").dump(), R"(["it reports","true"])");
  EXPECT_NEAR(bars.at("bars")[1].at("values")[0][0].get<double>(), 0.5, 1e-9);
  EXPECT_NEAR(bars.at("bars")[1].at("values")[1][0].get<double>(), 1.5, 1e-9);
  EXPECT_EQ(data.at("charts")[1].at("lines").size(), AuditCases().size() + 1);
}

TEST(AuditReport, PictureHasABarForEachFigure) {
  const std::string svg = AuditSvg(Example());
  const auto count = [&](const std::string& part) {
    int n = 0;
    for (size_t at = svg.find(part); at != std::string::npos; at = svg.find(part, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count("<rect class=\"reported\""), static_cast<int>(AuditCases().size()) + 1);
  EXPECT_EQ(count("<rect class=\"true\""), static_cast<int>(AuditCases().size()) + 1);
  EXPECT_EQ(count(">0.500<"), 5);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(AuditReport, APlanIsReadBack) {
  AuditPlan plan;
  plan.data = "/somewhere";
  plan.data_fingerprint = "abc";
  plan.vocab = 512;
  plan.seconds = 120;
  plan.steps = 77;
  plan.sequences = 32;
  plan.random_steps = 300;
  plan.precision = "f32";
  plan.lanes = 2;
  EXPECT_EQ(ToJson(AuditPlanFromJson(ToJson(plan), "settings.json")), ToJson(plan));
  EXPECT_THROW(AuditPlanFromJson(Json::object(), "settings.json"), Error);
  Json damaged = ToJson(plan);
  damaged["steps"] = "many";
  EXPECT_THROW(AuditPlanFromJson(damaged, "settings.json"), Error);
}

}  // namespace
}  // namespace flashlm
