// Who may ask: pages of a browser from elsewhere may not.
#pragma once

#include <string>

#include "serve/http_server.h"

namespace flashlm {

// A page of another site must not ask in its reader's name, nor reach a server of this machine alone under a name of
// its own (DNS rebinding): what a browser says of where a request comes from has to be the server itself, or `allowed`
// ("https://example.org"; may be empty). loopback: only this machine can connect. Throws ApiError (403).
void RefuseForeign(const HttpRequest& request, const std::string& allowed, bool loopback);

}  // namespace flashlm
