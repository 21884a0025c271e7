// What tests ask of a page: that it is well formed, and what data its charts draw.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "base/json.h"

namespace flashlm {

// The end of the tag that begins at `at`: quoted attributes may hold anything but quotes.
inline size_t EndOfTag(const std::string& html, size_t at) {
  bool quoted = false;
  for (; at < html.size(); ++at) {
    if (html[at] == '"') quoted = !quoted;
    if (html[at] == '>' && !quoted) return at;
  }
  return std::string::npos;
}

// Every element is closed in the order in which elements were opened, and nothing but a tag has a '<'.
inline void ExpectWellFormed(const std::string& html) {
  static const std::set<std::string> kVoid = {"meta", "input", "br"};
  std::vector<std::string> open;
  ASSERT_TRUE(html.starts_with("<!doctype html>\n"));
  for (size_t at = html.find('<', 1); at != std::string::npos; at = html.find('<', at)) {
    const bool closes = html[at + 1] == '/';
    const size_t begin = at + 1 + closes, name_end = html.find_first_of(" >\n", begin);
    const std::string name = html.substr(begin, name_end - begin), around = html.substr(at, 60);
    ASSERT_NE(name.find_first_of("abcdefghijklmnopqrstuvwxyz"), std::string::npos) << around;
    ASSERT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789"), std::string::npos) << around;
    at = EndOfTag(html, at);
    ASSERT_NE(at, std::string::npos) << around;
    if (closes) {
      ASSERT_FALSE(open.empty()) << around;
      ASSERT_EQ(open.back(), name) << around;
      open.pop_back();
    } else if (!kVoid.contains(name)) {
      open.push_back(name);
    }
    if (!closes && (name == "script" || name == "style")) at = html.find("</" + name, at);
    ASSERT_NE(at, std::string::npos) << around;
  }
  EXPECT_TRUE(open.empty()) << open.back();
}

// The chart data of a page (report/chart_sheet.h).
inline Json DataOf(const std::string& html) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const size_t at = html.find(begin) + begin.size();
  return Json::parse(html.substr(at, html.find("</script>", at) - at));
}

// The page without its scripts and style: what is said and shown.
inline std::string BodyOf(const std::string& html) {
  const size_t begin = html.find("<body>");
  return html.substr(begin, html.find("<script", begin) - begin);
}

}  // namespace flashlm
