// A page that is one file: its frame, its style, and the script that draws its charts (chart_sheet.h) with Chart.js,
// all of it inside. Nothing is fetched, which a content security policy in the page makes sure of.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flashlm {

// Embedded at build time (cmake/embed_text.cmake): Chart.js, page.js, page.css and live.js of this folder.
extern const std::string_view kChartJs, kPageScript, kPageStyle, kLiveScript;
// The style sheet's colours as variables, light and dark; --c0 to --c7 tell eight lines apart.
extern const char* const kPalette;

// Colour and dashes of the line with this number, as classes: c0 to c7, and from the ninth on d1 to d3 too.
std::string StyleClass(size_t index);

// For content and quoted attributes: markup is escaped, what is not UTF-8 and control bytes become U+FFFD.
std::string ForHtml(std::string_view text);

// For a table's cell or a paragraph of Markdown, which are one line; a bar would end a cell.
std::string ForMarkdown(std::string_view text);

// 6566400 -> "6,566,400".
std::string Grouped(double number);

// `body` is HTML; `data` JSON for the script (ChartSheet::Data), which may hold any text. A page that is served while
// its run goes on (kLive) asks its server for newer contents (live.js), and nobody else.
enum class PageKind { kFile, kLive };
std::string PageHtml(std::string_view title, std::string_view body, std::string_view data,
                     PageKind kind = PageKind::kFile);

}  // namespace flashlm
