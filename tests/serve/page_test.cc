// The page for writing in a headless Chromium, where there is one: every control is used, by mouse and by keyboard.
#include <gtest/gtest.h>

#include <cstdlib>
#include <mutex>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "serve/page_files.h"
#include "tests/find_browser.h"
#include "tests/serve/service_fixture.h"

namespace flashlm {
namespace {

// What stands before each of the two below, which use the page as a person would and send what they found to /found.
constexpr char kHands[] = R"JS(
"use strict";
const seen = [];
addEventListener("error", (event) => seen.push(event.message));
addEventListener("unhandledrejection", (event) => seen.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => seen.push("policy: " + event.violatedDirective));
const $ = (id) => document.getElementById(id);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
async function until(what, condition) {
  for (let i = 0; i < 400; ++i) {
    if (condition()) return;
    await pause(25);
  }
  throw new Error("waited in vain: " + what + "; status: " + $("status").textContent);
}
const set = (id, value) => {
  $(id).value = value;
  $(id).dispatchEvent(new Event("change", { bubbles: true }));
};
const key = (target, name, more) =>
  target.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more }));
const cards = () => [...document.querySelectorAll(".text")];
const storyOf = (card) => card.querySelector(".story").textContent;
const tokensOf = (card) => [...card.querySelectorAll(".token")];
const idle = () => $("stop").disabled && $("status").textContent.includes("tokens written");
const button = (card, name) => [...card.querySelectorAll("button")].find((b) => b.textContent === name);

)JS";

// Uses every control.
constexpr char kPerson[] = R"JS(
async function person() {
  const found = {};
  await until("models", () => $("about").textContent !== "");
  if (!sessionStorage.getItem("came")) {  // settings outlive the page
    sessionStorage.setItem("came", "once");
    set("top_k", "3");
    location.reload();
    await new Promise(() => {});
  }
  found.kept = $("top_k").value;
  set("top_k", "0");
  found.about = $("about").textContent;
  found.models = document.querySelectorAll("#models input").length;
  $("settings").open = true;
  set("n", "2");
  set("max_tokens", "24");
  set("seed", "7");
  set("temperature", "1");
  set("top_p", "1");
  $("prompt").value = "The cat";
  $("write").click();
  await until("first texts", () => cards().length > 0 && idle());
  found.cards = cards().length;
  found.first = cards().map(storyOf);
  found.painted = document.querySelectorAll(".token[style*=background]").length;
  found.notes = cards().map((card) => card.querySelector("p.soft").textContent);

  // The same again with the keyboard: the same seed gives the same texts.
  key(document, "Enter", { ctrlKey: true });
  await until("the same texts", () => idle() && cards().length > 0);
  found.same = JSON.stringify(cards().map(storyOf)) === JSON.stringify(found.first);

  // What the model expected: by mouse, then by keyboard.
  const some = tokensOf(cards()[0])[3];
  some.dispatchEvent(new PointerEvent("pointerenter"));
  found.tip = !$("tip").hidden && $("tip").querySelectorAll("tr").length;
  found.facts = [...$("tip").querySelectorAll(":scope > div")].map((line) => line.textContent);
  some.dispatchEvent(new PointerEvent("pointerleave"));
  found.tipCloses = $("tip").hidden;
  const story = cards()[0].querySelector(".story");
  key(story, "ArrowRight");
  key(story, "ArrowRight");
  found.walked = tokensOf(cards()[0]).findIndex((token) => token.classList.contains("here"));
  found.spoken = $("spoken").textContent === [...$("tip").querySelectorAll(":scope > div")].map((d) => d.textContent).join("; ");
  key(story, "End");
  found.walkedToEnd = tokensOf(cards()[0]).at(-1).classList.contains("here");
  key(story, "Enter");
  found.entered = $("tip").contains(document.activeElement);
  key(document, "Escape");
  found.escaped = $("tip").hidden;

  // Colours.
  set("colour", "none");
  found.unpainted = [...document.querySelectorAll(".token")].every((token) => token.style.background === "");
  set("colour", "value");
  found.valueOffered = !$("colour").querySelector("[value=value]").hidden;
  found.gateOffered = !$("colour").querySelector("[value=gate]").hidden;
  found.scale = !$("scale").hidden;
  set("colour", "surprise");

  // An alternative in place of a token: the text up to there stays.
  const token = tokensOf(cards()[0])[2];
  const lines = (text) => text.replace(/\r\n?/g, "\n");  // as fields have them
  const before = lines("The cat" + tokensOf(cards()[0]).slice(0, 2).map((t) => t.textContent).join(""));
  token.click();
  const shares = [...$("tip").querySelectorAll("td:nth-child(2)")].map((cell) => parseFloat(cell.textContent));
  found.bestFirst = shares.every((share, i) => i === 0 || share <= shares[i - 1]);
  found.noBytes = [...$("tip").querySelectorAll("button")].every((b) => b.disabled || !b.textContent.startsWith("bytes:"));
  $("tip").querySelector("button:not(:disabled)").click();
  found.alternative = $("prompt").value.startsWith(before) && $("prompt").value.length > before.length;
  await until("the alternative", () => idle());

  // Again, edit, go on.
  set("seed", "");
  const typed = $("prompt").value + ", and";
  $("prompt").value = typed;
  $("again").click();
  await until("again", () => idle());
  found.typedStays = $("prompt").value === typed;
  found.again = cards().length;
  button(cards()[1], "Edit").click();
  found.edited = $("prompt").value === lines(storyOf(cards()[1])) && document.activeElement === $("prompt");
  const long = storyOf(cards()[0]);
  button(cards()[0], "Go on").click();
  await until("going on", () => idle() && cards().length > 0);
  found.wentOn = cards().every((card) => storyOf(card).startsWith(long));
  button(cards()[0], "Again").click();
  await until("one again", () => idle());
  button(cards()[0], "Copy").click();
  await until("copying", () => $("status").textContent.includes("cop"));

  // Export.
  let exported = null;
  const create = URL.createObjectURL;
  URL.createObjectURL = (blob) => { exported = blob; return create.call(URL, blob); };
  $("export").click();
  const file = JSON.parse(await exported.text());
  found.exported = [file.texts.length, file.texts[0].tokens.length > 0, file.texts[0].prompt === long];

  // One model of the two, and what cuts the vocabulary: with one word left, seeds are all alike; a penalty is not.
  document.querySelectorAll("#models input")[1].click();
  $("prompt").value = "The cat";
  set("n", "1");
  const written = async (settings) => {
    for (const [id, value] of Object.entries({ top_k: "0", min_p: "0", frequency_penalty: "0", ...settings })) set(id, value);
    $("write").click();
    await until("a text", () => idle() && cards().length > 0);
    return cards().map(storyOf).join();
  };
  const best = await written({ top_k: "1", seed: "1" });
  found.ofOneModel = cards().length;
  found.cut = [best === await written({ top_k: "1", seed: "2" }), best === await written({ min_p: "1", seed: "3" }),
               best === await written({ seed: "4" }), best === await written({ top_k: "1", frequency_penalty: "5" })];
  set("frequency_penalty", "0");
  document.querySelectorAll("#models input")[1].click();

  // Stop, in the middle of something long.
  $("prompt").value = "The";
  set("n", "1");
  set("temperature", "0");  // at random a text may be over before anybody stops it
  set("max_tokens", "4000");
  set("stop_at", "\\nnever this");
  $("write").click();
  await until("the first tokens", () => document.querySelectorAll(".token").length > 3);
  key(document, "Escape");
  await until("stopping", () => $("stop").disabled);
  found.stopped = cards().some((card) => card.querySelector("p.soft").textContent.startsWith("stopped"));
  found.stoppedTokens = document.querySelectorAll(".token").length;
  $("write").click();
  await until("tokens again", () => document.querySelectorAll(".token").length > 3);
  $("stop").click();
  await until("stopping again", () => $("stop").disabled);

  // A wrong setting is told, also where it is folded away; any number between the bounds is right, and none the default.
  $("settings").open = false;
  set("n", "20");
  $("write").click();
  found.folded = $("settings").open && $("status").textContent.startsWith("texts: ");
  set("n", "1");
  set("max_tokens", "3");
  set("temperature", "0.72");
  set("top_p", "");
  $("write").click();
  await until("three tokens", () => idle() && document.querySelectorAll(".token").length > 0);
  found.odd = document.querySelectorAll(".token").length <= 6;
  set("top_p", "1");
  set("temperature", "-3");
  $("form").noValidate = true;
  $("form").requestSubmit();
  await until("the refusal", () => $("status").classList.contains("error"));
  found.refused = $("status").textContent;
  $("defaults").click();
  found.defaults = [$("temperature").value, $("max_tokens").value, $("stop_at").value];

  found.remembered = JSON.parse(localStorage.getItem("flashlm.settings")).temperature;
  found.unlabelled = [...document.querySelectorAll("input, select, textarea")].filter((field) =>
    !field.labels?.length && !field.ariaLabel).map((field) => field.id);
  found.wide = document.documentElement.scrollWidth - innerWidth;
  found.paper = getComputedStyle(document.body).backgroundColor;
  $("clear").click();
  found.cleared = cards().length === 0 && $("export").disabled;
  // For a picture.
  set("n", "2");
  set("seed", "5");
  set("max_tokens", "60");
  $("prompt").value = "Once upon a time";
  $("write").click();
  await until("the last texts", () => idle());
  found.wideWithTips = [];  // wherever on a line a token stands
  for (const token of tokensOf(cards()[0])) {
    token.dispatchEvent(new PointerEvent("pointerenter"));
    found.wideWithTips.push(document.documentElement.scrollWidth - document.documentElement.clientWidth);
    token.dispatchEvent(new PointerEvent("pointerleave"));
  }
  tokensOf(cards()[0])[5].click();
  return found;
}
)JS";

// Has a key.
constexpr char kKeyHolder[] = R"JS(
async function person() {
  await until("the key's field", () => !$("key-field").hidden);
  $("settings").open = true;
  set("key", "secret");
  await until("models", () => $("about").textContent !== "");
  set("max_tokens", "10");
  $("write").click();
  await until("a text", () => cards().length > 0 && idle());
  return { tokens: tokensOf(cards()[0]).length };
}
)JS";

// Looks at a model that reasons: how deep it went for each token.
constexpr char kReader[] = R"JS(
async function person() {
  const found = {};
  await until("models", () => $("about").textContent !== "");
  set("seed", "7");
  set("temperature", "1");
  set("max_tokens", "60");
  set("n", "1");
  $("prompt").value = "The cat";
  $("write").click();
  await until("a text", () => cards().length > 0 && idle());
  found.depthOffered = !$("colour").querySelector("[value=depth]").hidden;
  found.gateOffered = !$("colour").querySelector("[value=gate]").hidden;
  set("colour", found.gateOffered ? "gate" : "depth");
  const beginning = found.gateOffered ? "n-grams: " : "depth: ";
  found.scale = [$("scale-low").textContent, $("scale-high").textContent];
  found.facts = [];
  found.colours = {};
  for (const token of tokensOf(cards()[0])) {
    token.dispatchEvent(new PointerEvent("pointerenter"));
    const fact = [...$("tip").querySelectorAll(":scope > div")].map((line) => line.textContent)
      .find((line) => line.startsWith(beginning));
    found.facts.push(fact);
    (found.colours[fact] ||= []).push(token.style.background);
    token.dispatchEvent(new PointerEvent("pointerleave"));
  }
  found.colours = Object.fromEntries(Object.entries(found.colours).map(([fact, all]) => [fact, [...new Set(all)]]));
  tokensOf(cards()[0])[5].click();
  return found;
}
)JS";

// Goes to the run that the server watches.
constexpr char kWatcher[] = R"JS(
async function person() {
  await until("the link", () => !$("run-link").hidden);
  $("run-link").click();
  await new Promise(() => {});
}
)JS";

// Behind each.
constexpr char kTold[] = R"JS(
// The page counts as loaded, and is photographed, when this script arrives: after /found.
const hold = document.createElement("script");
hold.src = "hold.js";
document.head.append(hold);
person().catch((error) => ({ error: String(error) })).then((found) =>
  fetch("/found", { method: "POST", body: JSON.stringify({ ...found, seen }) }));
)JS";

// The server's own page, under its own policy, with a person in front of it.
class PageTest : public testing::Test {
 protected:
  void SetUp() override {
    browser_ = FindBrowser();
    if (browser_.empty()) GTEST_SKIP() << "no Chromium here (tools/setup.sh browser)";
    Serve({WriteTinyModel(scratch_, "cortex-viii", "first"), WriteTinyModel(scratch_, "gpt", "second", 3)});
    http_ = std::make_unique<HttpServer>(
        "127.0.0.1", 0, HttpLimits(),
        [this](HttpRequest request, const std::shared_ptr<HttpReply>& reply) { Handle(std::move(request), reply); });
  }
  void TearDown() override {
    if (service_) service_->Stop();
  }
  void Serve(const std::vector<std::string>& models, const std::vector<std::string>& keys = {},
             const std::string& run = "") {
    if (service_) service_->Stop();
    ServiceOptions options = OptionsOf(models);
    options.api_keys = keys;
    options.run = run;
    service_ = std::make_unique<Service>(options);
  }

  void Handle(HttpRequest request, const std::shared_ptr<HttpReply>& reply) {
    if (request.path == "/") {
      std::string html(kWritingHtml);
      html.insert(html.find("</head>"), "<script src=\"person.js\" defer></script>\n");
      return reply->Send(200, "text/html; charset=utf-8", html, {{"Content-Security-Policy", kPagePolicy}});
    }
    if (request.path == "/person.js") return reply->Send(200, "text/javascript", kHands + person_ + kTold);
    if (request.path == "/found") {
      const std::lock_guard lock(mutex_);
      found_ = request.body;
      if (hold_) hold_->Send(200, "text/javascript", "");
      return reply->Send(200, "text/plain", "");
    }
    if (request.path == "/hold.js") {
      const std::lock_guard lock(mutex_);
      hold_ = reply;
      return;
    }
    if (request.path == "/run/data" && on_run_data_) on_run_data_();
    service_->Handle(std::move(request), reply);
  }

  // What the browser shows at the end of a visit.
  std::string Look(const std::string& path, const std::string& options = "") {
    const std::string command = fmt::format(
        "cd '{0}' && timeout 150 '{1}' --headless --no-sandbox --disable-gpu --user-data-dir='{0}/profile' "
        "--enable-logging=stderr {2} --dump-dom http://127.0.0.1:{3}{4} >'{0}/out' 2>'{0}/err'",
        scratch_ / "", browser_, options, http_->port(), path);
    if (std::system(command.c_str()) != 0) ADD_FAILURE() << command << ReadFile(scratch_ / "err");
    EXPECT_EQ(ReadFile(scratch_ / "err").find("CONSOLE"), std::string::npos) << ReadFile(scratch_ / "err");
    return ReadFile(scratch_ / "out");
  }

  Json Visit(const std::string& options) {
    const char* pictures = std::getenv("FLASHLM_PICTURES");  // a folder, to look at what was seen
    const std::string picture = fmt::format("{}/{}.png", pictures == nullptr ? scratch_ / "" : pictures,
                                            testing::UnitTest::GetInstance()->current_test_info()->name());
    const std::string command = fmt::format(
        "cd '{0}' && timeout 150 '{1}' --headless --no-sandbox --disable-gpu --user-data-dir='{0}/profile' "
        "--enable-logging=stderr --screenshot='{2}' {3} http://127.0.0.1:{4}/ >'{0}/out' "
        "2>'{0}/err'",
        scratch_ / "", browser_, picture, options, http_->port());
    if (std::system(command.c_str()) != 0) ADD_FAILURE() << command << ReadFile(scratch_ / "err");
    const std::lock_guard lock(mutex_);
    const Json found = Json::parse(found_, nullptr, false);
    EXPECT_TRUE(found.is_object()) << ReadFile(scratch_ / "err");
    EXPECT_FALSE(found.contains("error")) << found.dump(1);
    EXPECT_EQ(found.value("seen", Json()), Json::array());
    return found;
  }

  ServeScratch scratch_;
  std::string browser_, person_ = kPerson;
  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> http_;
  std::mutex mutex_;
  std::string found_;
  std::function<void()> on_run_data_;
  std::shared_ptr<HttpReply> hold_;  // what the page waits for
};

void ExpectUsed(const Json& found, const std::string& paper) {
  EXPECT_EQ(found.value("models", 0), 2);
  EXPECT_EQ(found.value("cards", 0), 4) << "two texts of two models";
  EXPECT_GT(found.value("painted", 0), 10);
  for (const char* yes :
       {"same", "tipCloses", "spoken", "walkedToEnd", "entered", "escaped", "unpainted", "scale", "alternative",
        "bestFirst", "noBytes", "typedStays", "folded", "odd", "edited", "wentOn", "stopped", "cleared"}) {
    EXPECT_EQ(found.value(yes, Json()), true) << yes;
  }
  EXPECT_EQ(found.value("tip", Json()), 8) << "alternatives";
  EXPECT_EQ(found.value("facts", Json()).size(), 2u) << "its probability, and what the value head expects";
  EXPECT_EQ(found.value("walked", -1), 1);
  EXPECT_EQ(found.value("valueOffered", Json()), true) << "one of the models has a value head";
  EXPECT_EQ(found.value("gateOffered", Json()), false) << "none has n-grams";
  EXPECT_EQ(found.value("again", 0), 4);
  EXPECT_EQ(found.value("exported", Json()), Json({4, true, true}));
  EXPECT_LT(found.value("stoppedTokens", 100000), 8000);
  EXPECT_NE(found.value("refused", "").find("temperature"), std::string::npos);
  EXPECT_EQ(found.value("defaults", Json()), Json({"0.8", "200", ""}));
  EXPECT_EQ(found.value("remembered", Json()), "0.8");
  EXPECT_EQ(found.value("kept", Json()), "3");
  EXPECT_EQ(found.value("ofOneModel", 0), 1);
  EXPECT_EQ(found.value("cut", Json()), Json({true, true, false, false}));
  EXPECT_EQ(found.value("unlabelled", Json()), Json::array());
  EXPECT_LE(found.value("wide", 1), 0) << "nothing is cut off at the side";
  for (const Json& wide : found.value("wideWithTips", Json::array({1}))) ASSERT_LE(wide.get<int>(), 0);
  EXPECT_EQ(found.value("paper", ""), paper);
}

TEST_F(PageTest, EveryControlIsUsed) {
  ExpectUsed(Visit("--window-size=1200,1100 --blink-settings=preferredColorScheme=1"), "rgb(255, 255, 255)");
}

TEST_F(PageTest, EveryControlIsUsedInTheDarkOnAPhone) {
  ExpectUsed(Visit("--window-size=390,1400 --blink-settings=preferredColorScheme=0"), "rgb(21, 24, 28)");
}

TEST_F(PageTest, AsksForAKey) {
  Serve({WriteTinyModel(scratch_, "gpt", "locked")}, {"secret"});
  person_ = kKeyHolder;
  EXPECT_GT(Visit("--window-size=1200,700").value("tokens", 0), 0);
}

// A token of each depth says so, and has the colour of it.
TEST_F(PageTest, ShowsHowDeepAModelReasons) {
  Serve({WriteTinyModel(scratch_, "v6-supernova", "deep")});
  person_ = kReader;
  const Json found = Visit("--window-size=1200,700 --blink-settings=preferredColorScheme=1");
  EXPECT_EQ(found.value("depthOffered", Json()), true);
  EXPECT_EQ(found.value("gateOffered", Json()), false);
  EXPECT_EQ(found.value("scale", Json()), Json({"1 passes", "8 passes"}));
  EXPECT_GT(found.value("facts", Json()).size(), 20u);
  for (const Json& fact : found.value("facts", Json())) {
    EXPECT_TRUE(fact == "depth: 1 pass" || fact == "depth: 3 passes" || fact == "depth: 8 passes") << fact;
  }
  const Json colours = found.value("colours", Json::object());
  EXPECT_GT(colours.size(), 1u) << "this model chooses";
  for (const auto& [fact, all] : colours.items()) {
    EXPECT_EQ(all.size(), 1u) << fact;
    EXPECT_EQ(all[0] == "", fact == "depth: 1 pass") << fact << all;
  }
}

// The same of how much of a prediction is the counted n-grams'.
TEST_F(PageTest, ShowsWhatIsOfTheNGrams) {
  Serve({WriteNGramModel(scratch_, "counted")});
  person_ = kReader;
  const Json found = Visit("--window-size=1200,700 --blink-settings=preferredColorScheme=1");
  EXPECT_EQ(found.value("gateOffered", Json()), true);
  EXPECT_EQ(found.value("depthOffered", Json()), false);
  EXPECT_GT(found.value("facts", Json()).size(), 20u);
  std::set<std::string> shares;
  for (const Json& fact : found.value("facts", Json())) {
    ASSERT_TRUE(fact.is_string() && fact.get<std::string>().ends_with(" % of the prediction")) << fact;
    shares.insert(fact.get<std::string>());
  }
  EXPECT_GT(shares.size(), 1u) << "the gate depends on what was counted";
}

// The link to it, and the run's page as it is, which takes up what is logged meanwhile.
TEST_F(PageTest, ShowsARunThatGoesOn) {
  const std::string run = scratch_ / "run";
  std::filesystem::create_directories(run);
  WriteFileAtomic(
      run + "/config.toml",
      "preset = 'gpt'\nseed = 1\n[budget]\nkind = 'steps'\namount = 100.0\n[model]\narchitecture = 'gpt'\n");
  std::string log;
  const auto go_on = [&](int steps) {
    for (int step = steps - 9; step <= steps; ++step) {
      log += Json({{"step", step},
                   {"tokens", 2048 * step},
                   {"cross_entropy", 3.0},
                   {"bits_per_byte", 1.0},
                   {"grad_norm", 1.0},
                   {"lr", 0.01},
                   {"tokens_per_s", 20000.0},
                   {"seconds", 0.1 * step}})
                 .dump() +
             "\n";
    }
    WriteFileAtomic(run + "/log.jsonl", log);
  };
  go_on(10);
  Serve({scratch_ / "first"}, {}, run);
  person_ = kWatcher;
  const std::string linked = Look("/");
  EXPECT_NE(linked.find("step 10, 10 % of 100 steps"), std::string::npos) << linked.substr(0, 3000);
  int asked = 0;
  on_run_data_ = [&] {
    if (++asked == 2) go_on(20);
  };
  const std::string page = Look("/run", "--virtual-time-budget=30000");  // milliseconds of the page's own clock
  EXPECT_NE(page.find("step 20, 20 % of 100 steps"), std::string::npos) << page.substr(0, 3000);
  EXPECT_NE(page.find(">as of "), std::string::npos) << page.substr(0, 3000);
}

}  // namespace
}  // namespace flashlm
