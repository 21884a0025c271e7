// The page in a headless Chromium, where there is one: its charts are drawn, without an error, on a screen, a phone and
// paper.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "base/files.h"
#include "report/run_report.h"
#include "tests/find_browser.h"
#include "tests/report/run_testing.h"

namespace flashlm {
namespace {

// Caught before anything runs, found in what the browser says of the page at the end.
constexpr char kCatchErrors[] = R"(<script>
window.seen = [];
addEventListener("error", (event) => seen.push(event.message));
addEventListener("securitypolicyviolation", (event) => seen.push("policy: " + event.violatedDirective));
</script>
)";

// Of every canvas how many of its pixels are drawn on; clicks on what changes the charts.
constexpr char kLook[] = R"(<script>
addEventListener("load", () => {
  const pixels = () => [...document.querySelectorAll("canvas")].map((canvas) => {
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const context = copy.getContext("2d", { willReadFrequently: true });  // or the browser would advise it
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    let drawn = 0;
    for (let i = 3; i < data.length; i += 4) drawn += data[i] > 0;
    return drawn;
  });
  const before = pixels();
  document.querySelector("input[data-owner]").click();
  const over = document.getElementById("over");
  over.value = "minutes";
  over.dispatchEvent(new Event("change"));
  const found = { seen, before, after: pixels(), wide: document.documentElement.scrollWidth - innerWidth,
                  paper: getComputedStyle(document.body).backgroundColor };
  const note = document.createElement("pre");
  note.id = "found";
  note.textContent = JSON.stringify(found);
  document.body.append(note);
});
</script>
)";

class BrowserTest : public ReportTest {
 protected:
  void SetUp() override {
    browser_ = FindBrowser();
    if (browser_.empty()) GTEST_SKIP() << "no Chromium here (tools/setup.sh browser)";
    const auto extras = [](Json& line) {
      line["phase"] = line["step"] <= 100 ? 1 : 2;
      line["depth"] = {{"1", 0.75}, {"3", 0.25}};
    };
    const std::vector<std::string> folders = {MakeRun("one", 2000, extras), MakeRun("two", 300, extras)};
    for (const std::string& folder : folders) {
      Write(folder + "/probe.json",
            R"({"categories": {"pattern": {"accuracy": 0.55, "stderr": 0.02, "chance": 0.25}}})");
    }
    std::string html = RunReportHtml(ReadRuns(folders));
    html.insert(html.find("<style>"), kCatchErrors);
    html.insert(html.find("</body>"), kLook);
    Write(root_ + "/page.html", html);
  }

  // What it printed, and to standard error.
  std::string Browse(const std::string& options) {
    const std::string err = root_ + "/err", out = root_ + "/out";
    const std::string command = fmt::format(
        "cd '{0}' && timeout 120 '{1}' --headless --no-sandbox --disable-gpu --user-data-dir='{0}/profile' "
        "--enable-logging=stderr --virtual-time-budget=10000 {2} 'file://{0}/page.html' >'{3}' 2>'{4}'",
        root_, browser_, options, out, err);
    if (std::system(command.c_str()) != 0) ADD_FAILURE() << command << "\n" << ReadFile(err);
    err_ = ReadFile(err);
    return ReadFile(out);
  }

  static Json Found(const std::string& dom) {
    const std::string begin = "<pre id=\"found\">";
    const size_t at = dom.find(begin);
    if (at == std::string::npos) return Json::object();
    return Json::parse(dom.substr(at + begin.size(), dom.find("</pre>", at) - at - begin.size()), nullptr, false);
  }

  void ExpectDrawn(const std::string& options, const std::string& paper) {
    SCOPED_TRACE(options);
    const std::string dom = Browse(options + " --dump-dom");
    const Json found = Found(dom);
    ASSERT_TRUE(found.contains("before")) << dom.substr(0, 2000) << err_;
    EXPECT_EQ(found.at("seen").dump(), "[]");
    EXPECT_EQ(err_.find("CONSOLE"), std::string::npos) << err_;
    EXPECT_EQ(found.at("before").size(), 10u) << "losses over two axes, four of the optimisation, value, depth, probes";
    for (const char* when : {"before", "after"}) {
      for (const Json& pixels : found.at(when)) EXPECT_GT(pixels, 2000) << when << found.dump();
    }
    EXPECT_LE(found.at("wide"), 0) << "nothing is cut off at the side";
    EXPECT_EQ(found.at("paper"), paper);
  }

  std::string browser_, err_;
};

TEST_F(BrowserTest, ChartsAreDrawn) {
  ExpectDrawn("--window-size=1200,900 --blink-settings=preferredColorScheme=1", "rgb(255, 255, 255)");
}

TEST_F(BrowserTest, ChartsAreDrawnInTheDarkOnAPhone) {
  ExpectDrawn("--window-size=390,800 --blink-settings=preferredColorScheme=0", "rgb(21, 24, 28)");
}

TEST_F(BrowserTest, ThePageIsPrinted) {
  Browse("--print-to-pdf=page.pdf");
  const std::string pdf = ReadFile(root_ + "/page.pdf");
  EXPECT_TRUE(pdf.starts_with("%PDF"));
  EXPECT_GT(pdf.size(), 20'000u);
}

}  // namespace
}  // namespace flashlm
