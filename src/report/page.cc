#include "report/page.h"

#include <fmt/format.h>

#include "base/json.h"

namespace flashlm {
namespace {

// JSON inside <script>: a '<' could begin "</script" or "<!--"; in JSON it stands in strings alone.
std::string ForScript(std::string_view json) {
  std::string escaped;
  for (const char c : json) c == '<' ? escaped += "\\u003c" : escaped += c;
  return escaped;
}

// What is not UTF-8 becomes U+FFFD, as everywhere in JSON.
std::string Utf8(std::string_view text) { return Json::parse(ToText(Json(text))).get<std::string>(); }

}  // namespace

// While a page is printed (page.js says so) it is light: in the dark theme's colours paper would be black.
const char* const kPalette =
    R"(:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --soft: #667; --rule: #d8dbe0;
  --c0: #1f6fd0; --c1: #d1551b; --c2: #1d8a4a; --c3: #a036b5;
  --c4: #a87b00; --c5: #c2255c; --c6: #0b8793; --c7: #6b5b4f; }
@media screen and (prefers-color-scheme: dark) { :root:not([data-print]) {
  --ink: #e6e8eb; --paper: #15181c; --soft: #9aa3ad; --rule: #343a42;
  --c0: #6aaeff; --c1: #ff9a5c; --c2: #5fd08c; --c3: #d98cf0;
  --c4: #e3bd4a; --c5: #ff7fa8; --c6: #4fd0dc; --c7: #bfae9f; } }
)";

std::string StyleClass(size_t index) {
  static constexpr const char* kDashes[] = {"", " d1", " d2", " d3"};
  return fmt::format("c{}{}", index % 8, kDashes[index / 8 % 4]);
}

std::string ForHtml(std::string_view text) {
  std::string escaped;
  for (const char c : Utf8(text)) {
    switch (c) {
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '&':
        escaped += "&amp;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\n':
      case '\t':
        escaped += c;
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          escaped += "\xef\xbf\xbd";
        } else {
          escaped += c;
        }
    }
  }
  return escaped;
}

std::string Grouped(double number) {
  std::string digits = fmt::format("{:.0f}", number);
  for (auto at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string ForMarkdown(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '|' || c == '<' || c == '*' || c == '_' || c == '`') line += '\\';
    line += c == '\n' ? ' ' : c;
  }
  return line;
}

std::string PageHtml(std::string_view title, std::string_view body, std::string_view data, PageKind kind) {
  const bool live = kind == PageKind::kLive;
  std::string html = fmt::format(R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'{}">
<title>FlashLM: {}</title>
<style>
{}{}</style>
</head>
<body>
<main>
)",
                                 live ? "; connect-src 'self'" : "", ForHtml(title), kPalette, kPageStyle);
  html += body;
  html += "</main>\n";
  html += fmt::format("<script type=\"application/json\" id=\"data\">{}</script>\n", ForScript(data));
  for (const std::string_view script : {kChartJs, kPageScript, kLiveScript}) {
    if (script == kLiveScript && !live) continue;
    html += "<script>\n";
    html += script;
    html += "</script>\n";
  }
  return html + "</body>\n</html>\n";
}

}  // namespace flashlm
