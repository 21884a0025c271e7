#include "serve/origin.h"

#include <string_view>

#include "serve/api_error.h"

namespace flashlm {
namespace {

// "http://host:port" -> "host:port"
std::string_view HostOf(std::string_view origin) {
  const size_t at = origin.find("://");
  return at == std::string_view::npos ? origin : origin.substr(at + 3);
}

std::string_view WithoutPort(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

}  // namespace

void RefuseForeign(const HttpRequest& request, const std::string& allowed, bool loopback) {
  if (!request.origin.empty() && request.origin != allowed && HostOf(request.origin) != request.host) {
    throw ApiError(403, "requests of other sites' pages are refused; --cors-origin allows one", "invalid_request_error",
                   "", "origin_not_allowed");
  }
  const std::string_view host = WithoutPort(request.host);
  if (loopback && !host.empty() && host != "localhost" && host != "[::1]" && !host.starts_with("127.")) {
    throw ApiError(403, "this server answers as localhost alone", "invalid_request_error", "", "host_not_allowed");
  }
}

}  // namespace flashlm
