// The page of `flashlm report`: well formed, what the logs say, whatever they say, and no larger than it must be.
#include "report/run_report.h"

#include <gtest/gtest.h>

#include "report/page.h"
#include "tests/report/page_testing.h"
#include "tests/report/run_testing.h"

namespace flashlm {
namespace {

// The lines of the chart of this title: its series, in order.
std::vector<Json> CurvesOf(const Json& data, const std::string& title) {
  std::vector<Json> curves;
  for (const Json& chart : data.at("charts")) {
    if (chart.at("title") != title) continue;
    for (const Json& line : chart.at("lines")) {
      curves.push_back(data.at("series").at(line.at("series").get<size_t>()));
      curves.back()["style"] = line.at("style");
    }
  }
  return curves;
}

std::string PageOf(const std::vector<std::string>& folders) { return RunReportHtml(ReadRuns(folders)); }

TEST_F(ReportTest, ThePageHasWhatTheLogsSay) {
  const std::string html = PageOf({MakeRun("one"), MakeRun("two", 30)});
  ExpectWellFormed(html);
  const Json data = DataOf(html);
  EXPECT_EQ(data.at("owners").dump(), R"(["one","two"])");
  for (const char* title : {"Bits per byte over tokens", "Bits per byte over minutes"}) {
    const std::vector<Json> curves = CurvesOf(data, title);
    ASSERT_EQ(curves.size(), 4u);
    EXPECT_EQ(curves[0].at("style"), "line");
    EXPECT_EQ(curves[0].at("owner"), 0);
    ASSERT_EQ(curves[0].at("values").size(), 40u) << "few steps are all there";
    for (size_t i = 0; i < 40; ++i) {
      const Json step = Step(static_cast<int64_t>(i) + 1);
      EXPECT_NEAR(curves[0].at("values")[i].get<double>(), step["bits_per_byte"].get<double>(), 1e-5);
      EXPECT_EQ(curves[0].at("tokens")[i], step["tokens"]);
      EXPECT_NEAR(curves[0].at("seconds")[i].get<double>(), step["seconds"].get<double>(), 1e-3);
    }
    EXPECT_EQ(curves[1].at("style"), "points");
    EXPECT_EQ(curves[1].at("values").dump(), "[0.88,0.86]");
    EXPECT_EQ(curves[2].at("owner"), 1);
  }
  for (const char* title : {"Loss over tokens", "Learning rate", "Gradient norm", "Throughput", "value loss"}) {
    EXPECT_FALSE(CurvesOf(data, title).empty()) << title;
  }
  EXPECT_TRUE(CurvesOf(data, "auxiliary").empty()) << "it is 0 all the time";
  const std::string body = BodyOf(html);
  for (const char* part :
       {"<th>skipped steps</th>", "<td>1</td>", "<td>0.8123</td>", "<td>1,234,567</td>", "a CPU, 2 threads, bf16",
        "Once there\n\nwas a cat", "finished", "one/config.toml", "data-owner=\"1\""}) {
    EXPECT_NE(body.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(body.find("<li>"), std::string::npos) << "nothing is amiss";
}

TEST_F(ReportTest, ThePageNeedsNothingElse) {
  const std::string html = PageOf({MakeRun("one")});
  EXPECT_NE(html.find("Chart.js v"), std::string::npos);
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
  for (const char* part : {"prefers-color-scheme: dark", "width=device-width", "@media print"}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
  const std::string body = BodyOf(html);
  for (const char* absent : {"http", "src=", "<link", "href=", "url("}) {
    EXPECT_EQ(body.find(absent), std::string::npos) << absent;
  }
  EXPECT_EQ(std::string(kPageScript).find("http"), std::string::npos);
  EXPECT_EQ(std::string(kPageStyle).find("url("), std::string::npos);
}

TEST_F(ReportTest, WhatFilesSayIsText) {
  const std::string nasty = "</script><script>alert(1)</script><!-- & \"quoted\"";
  const std::string folder = MakeRun("<b>&\"run", 30, [&](Json& line) {
    line["</script><i>"] = 1.5;
    line["depth"] = {{nasty, 1}};
    line["phase"] = 1;
  });
  Write(folder + "/samples.txt", "== step 3\n" + nasty + "\x01\xff\xc3\n\n");
  Write(folder + "/config.toml", "preset = \"\"\"" + nasty.substr(0, 40) + "\"\"\"\nnote = '</pre><b>'\n");
  Write(folder + "/results.json", Json({{"architecture", nasty}, {"cpu", nasty}}).dump());
  Write(folder + "/probe.json", Json({{"categories", {{nasty, {{"accuracy", 0.5}}}}}}).dump());
  const std::string html = PageOf({folder, MakeRun("two")});
  ExpectWellFormed(html);
  EXPECT_EQ(html.find("alert(1)</script>"), std::string::npos);
  EXPECT_EQ(html.find("<script>alert"), std::string::npos);
  EXPECT_EQ(html.find("<b>&"), std::string::npos);
  EXPECT_EQ(html.find('\x01'), std::string::npos);
  EXPECT_EQ(html.find('\xff'), std::string::npos);
  EXPECT_NE(html.find("\xef\xbf\xbd"), std::string::npos);
  const Json data = DataOf(html);
  EXPECT_EQ(data.at("owners")[0], "<b>&\"run");
  EXPECT_FALSE(CurvesOf(data, "</script><i>").empty());
}

TEST_F(ReportTest, AHundredThousandStepsAreASmallPage) {
  const std::string folder = MakeRun("long", 100'000, [](Json& line) {
    if (line["step"] == 54'321) line["grad_norm"] = 1e6;
  });
  const std::string html = PageOf({folder});
  EXPECT_LT(html.size(), 1'500'000u);
  const std::vector<Json> norms = CurvesOf(DataOf(html), "Gradient norm");
  ASSERT_EQ(norms.size(), 2u);
  EXPECT_EQ(norms[0].at("style"), "faint");
  EXPECT_EQ(norms[0].at("steps").front(), 1);
  EXPECT_EQ(norms[0].at("steps").back(), 100'000);
  EXPECT_NE(norms[0].at("values").dump().find("1000000.0"), std::string::npos) << "the peak is kept";
  EXPECT_LE(norms[1].at("values").size(), 250u);
  // Many runs share the points of a chart.
  const std::vector<RunRecord> many(40, ReadRun(MakeRun("short", 3000)));
  EXPECT_LT(RunReportHtml(many).size(), 4'000'000u);
}

TEST_F(ReportTest, UnfinishedRunsGiveWhatTheyHave) {
  const std::string folder = MakeRun("r");
  for (const char* file : {"results.json", "samples.txt"}) std::filesystem::remove(folder + "/" + file);
  std::ofstream(folder + "/log.jsonl", std::ios::app) << "{\"step\":41,";
  const std::string html = PageOf({folder});
  ExpectWellFormed(html);
  const std::string body = BodyOf(html);
  for (const char* part : {"<li>r: unfinished: step 40, 40 % of 100", "<li>r: 1 line of log.jsonl cannot be read",
                           "<td>81.9 k</td>", "<td>0.8600</td>"}) {
    EXPECT_NE(body.find(part), std::string::npos) << part << "\n" << body;
  }
  EXPECT_EQ(CurvesOf(DataOf(html), "Bits per byte over tokens").size(), 2u);
  // The budget is the last one that it was given.
  std::ofstream(folder + "/config.toml", std::ios::app) << "[[extensions]]\nkind = 'time'\namount = 8.0\n";
  EXPECT_NE(BodyOf(PageOf({folder})).find("step 40, 50 % of 0:08"), std::string::npos);
  // Not one step yet.
  Write(folder + "/log.jsonl", "");
  const std::string empty = PageOf({folder});
  ExpectWellFormed(empty);
  EXPECT_NE(BodyOf(empty).find("no step yet"), std::string::npos);
  EXPECT_TRUE(DataOf(empty).at("charts").empty());
}

TEST_F(ReportTest, PhasesRoutingAndTernaryWeightsHaveTheirPlaces) {
  const std::string folder = MakeRun("r", 40, [](Json& line) {
    line["phase"] = line["step"] <= 30 ? 1 : 2;
    line["depth"] = {{"1", 0.75}, {"3", 0.25}};
    line["ternary"] = {{"zero", 0.4}};
  });
  std::ofstream(folder + "/config.toml", std::ios::app) << "[[phases]]\nname = 'foundation'\n[[phases]]\nfrom = 0.75\n";
  const std::string html = PageOf({folder, MakeRun("plain")}), body = BodyOf(html);
  const Json data = DataOf(html);
  ASSERT_EQ(data.at("bands").size(), 2u);
  EXPECT_EQ(data.at("bands")[0].at("name"), "1: foundation");
  EXPECT_EQ(data.at("bands")[1].dump(),
            R"({"owner":0,"name":"phase 2","steps":[30,40],"tokens":[61440,81920],"seconds":[3.0,4.0]})");
  const std::vector<Json> depth = CurvesOf(data, "depth");
  ASSERT_EQ(depth.size(), 2u);
  EXPECT_EQ(depth[1].at("label"), "3");
  EXPECT_NE(body.find("Shades: phases"), std::string::npos);
  const size_t ternary = body.find("<h2>Ternary weights"), routing = body.find("<h2>Routing and depth");
  ASSERT_NE(ternary, std::string::npos);
  ASSERT_NE(routing, std::string::npos);
  EXPECT_LT(ternary, body.find("<figcaption>ternary"));
  EXPECT_LT(routing, body.find("<figcaption>depth"));
  EXPECT_EQ(BodyOf(PageOf({folder + "/../plain"})).find("Shades"), std::string::npos);
}

TEST_F(ReportTest, ProbesHaveIntervalsAndControls) {
  const std::string folder = MakeRun("r");
  Write(folder + "/probe.json", R"({"seed": 1, "split": "heldout", "training": {"share_of_probes": 0.1}, "categories": {
      "pattern": {"accuracy": 0.55, "stderr": 0.02, "chance": 0.25, "items": 600, "normalised": 0.5,
                  "controls": {"untrained": 0.26, "ngram": 0.3, "no_context": 0.25, "shuffled_context": 0.27}},
      "if_then": {"accuracy": 0.4,
                  "by_k": [{"k": 1, "accuracy": 0.6, "stderr": 0.01}, {"k": 2, "accuracy": 0.2}, 3]}}})");
  const std::string html = PageOf({MakeRun("without"), folder}), body = BodyOf(html);
  ExpectWellFormed(html);
  for (const char* part :
       {"<td>55.0 %</td><td>51.1 % to 58.9 %</td><td>25.0 %</td><td>40.0 %</td><td>50.0 %</td><td>26.0 "
        "%</td><td>30.0 %</td><td>25.0 %</td><td>27.0 %</td><td>600</td>",
        "<td>40.0 %</td><td></td><td></td>", "Texts of probes among the training tokens: r 10.0 %."}) {
    EXPECT_NE(body.find(part), std::string::npos) << part;
  }
  const Json charts = DataOf(html).at("charts"), chart = charts[charts.size() - 2];
  EXPECT_EQ(chart.at("groups").dump(), R"(["pattern","if then"])");
  EXPECT_EQ(chart.at("bars")[0].at("values")[0].dump(), "[null,null,null,null]");
  EXPECT_EQ(chart.at("bars")[1].at("values")[0].dump(), "[55.0,51.0801,58.9199,25.0]");
  EXPECT_EQ(charts.back().at("groups").dump(), R"(["k = 1","k = 2"])");
  EXPECT_EQ(charts.back().at("bars")[1].at("values")[1].dump(), "[20.0,null,null,null]");
}

TEST_F(ReportTest, SettingsThatDifferAreNamed) {
  const std::string one = MakeRun("one"), two = MakeRun("two");
  Write(two + "/config.toml",
        "preset = 'gpt'\nseed = 7\n[budget]\nkind = 'steps'\namount = 100.0\n[model]\n"
        "architecture = 'gpt'\nd_model = 96\n");
  const std::string body = BodyOf(PageOf({one, two}));
  EXPECT_NE(body.find("<td>model.d_model</td><td></td><td>96</td>"), std::string::npos);
  EXPECT_NE(body.find("<td>seed</td><td>1</td><td>7</td>"), std::string::npos);
  EXPECT_EQ(body.find("<td>budget.kind</td>"), std::string::npos);
}

TEST_F(ReportTest, ProgramsGetTheSameAsJson) {
  const Json json = RunReportJson(ReadRuns({MakeRun("one")}));
  EXPECT_EQ(json.at("runs")[0].at("name"), "one");
  EXPECT_EQ(json.at("runs")[0].at("finished"), true);
  EXPECT_EQ(json.at("runs")[0].at("results").at("params"), 1234567);
  EXPECT_EQ(json.at("charts"), DataOf(PageOf({root_ + "/one"})));
}

}  // namespace
}  // namespace flashlm
