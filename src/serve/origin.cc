#include "serve/origin.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <string>
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

// Names of machines know no capitals, and may end with a dot.
std::string Plain(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string plain(name);
  std::transform(plain.begin(), plain.end(), plain.begin(), [](unsigned char c) { return std::tolower(c); });
  return plain;
}

// An address, or a name that means this machine everywhere. Whoever has a domain may call a host of it
// "127.0.0.1.example.org".
bool IsThisMachine(const std::string& name) {
  in_addr address{};
  const bool v4 = ::inet_pton(AF_INET, name.c_str(), &address) == 1;
  return name == "localhost" || name == "[::1]" || (v4 && ntohl(address.s_addr) >> 24 == 127);
}

}  // namespace

void RefuseForeign(const HttpRequest& request, const OriginRules& rules) {
  const std::string& origin = request.origin;
  if (!origin.empty() && origin != rules.allowed && origin != rules.own && HostOf(origin) != request.host) {
    throw ApiError(403, "requests of other sites' pages are refused; --cors-origin allows one", "invalid_request_error",
                   "", "origin_not_allowed");
  }
  const std::string host = Plain(WithoutPort(request.host));
  const bool own = !rules.own.empty() && host == Plain(WithoutPort(HostOf(rules.own)));
  if (rules.loopback && !host.empty() && !own && !IsThisMachine(host)) {
    throw ApiError(403, "this server answers as localhost alone; --public-origin says what a proxy calls it",
                   "invalid_request_error", "", "host_not_allowed");
  }
}

}  // namespace flashlm
