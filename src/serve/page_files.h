// The page for writing with the models, embedded at build time (cmake/embed_text.cmake): page.html, page.js and
// page.css of this folder, which load nothing else.
#pragma once

#include <string_view>

namespace flashlm {

extern const std::string_view kWritingHtml, kWritingScript, kWritingStyle;

// What a browser may load for it: what this server has. Then who may show it inside a page of theirs.
inline constexpr const char* kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'";

}  // namespace flashlm
