// An HTTP/1.1 server of which everything is bounded: connections, headers, bodies, what waits to be sent, and the time
// that each may take. It knows nothing of models. The only file that sees libmicrohttpd is http_server.cc.
//
// One thread of the library's reads and writes all connections; handlers run on it and must be short. Answers may be
// given by any thread, later.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flashlm {

struct HttpLimits {
  size_t header_bytes = 16 << 10;  // request line and headers of a request; more: 431
  size_t body_bytes = 4 << 20;     // more: 413
  int64_t all_bodies = 64 << 20;   // of all requests that are coming in; what comes beyond is told 503
  size_t unsent_bytes = 4 << 20;   // of a stream whose client reads slower than it is written; more: it is cut off
  int connections = 2048;          // beyond, the one that has been idle for longest is closed
  double header_seconds = 10;      // from connecting, or from the last answer's end while something was sent
  double body_seconds = 30;        // for the whole body
  double idle_seconds = 30;        // between two requests of a connection
  double answer_seconds = 900;     // from the request's end to the answer's
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method, path;  // path: without the query
  HttpHeaders query;         // its names and values
  std::string host, origin, authorization;
  std::string asked_headers;  // that a page of another site would send (Access-Control-Request-Headers)
  std::string body;
  std::string peer;  // the client's address, of the connection itself
};

// The answer to one request. Thread-safe; what comes after the client has gone is dropped.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  // The whole answer.
  virtual void Send(int status, std::string_view content_type, std::string body, HttpHeaders headers = {}) = 0;
  // Or a stream: 200, then what is written, until its end. Write is false when nobody reads any more.
  virtual void BeginStream(std::string_view content_type, HttpHeaders headers = {}) = 0;
  virtual bool Write(std::string_view bytes) = 0;
  virtual void EndStream() = 0;
  // The client has closed the connection, or the server is going down.
  virtual bool gone() const = 0;
};

using HttpHandler = std::function<void(HttpRequest request, std::shared_ptr<HttpReply> reply)>;

class HttpServer {
 public:
  // Listens on host ("127.0.0.1", "::1", "0.0.0.0", a name) and port, 0: any free one. Throws Error if it cannot.
  HttpServer(const std::string& host, int port, const HttpLimits& limits, HttpHandler handler);
  // Cuts off what is still being answered.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;
  // No new connections from now on; those that there are go on.
  void StopListening();
  int connections() const;
  int answering() const;  // requests that have no complete answer yet

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether only this machine can connect to the address.
bool IsLoopback(const std::string& host);

}  // namespace flashlm
