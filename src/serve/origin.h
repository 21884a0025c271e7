// Who may ask: pages of a browser from elsewhere may not.
#pragma once

#include <string>

#include "serve/http_server.h"

namespace flashlm {

// Origins as "https://example.org"; "": none.
struct OriginRules {
  std::string allowed;   // another site, whose pages may ask
  std::string own;       // what this server is called where a proxy stands before it
  bool loopback = true;  // only this machine can connect
};

// A page of another site must not ask in its reader's name, nor reach a server of this machine alone under a name of
// its own (DNS rebinding): what a browser says of where a request comes from has to be the server itself, or one of the
// two above. Throws ApiError (403).
void RefuseForeign(const HttpRequest& request, const OriginRules& rules);

}  // namespace flashlm
