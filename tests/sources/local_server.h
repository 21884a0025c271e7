// The least HTTP server that a download test needs: one file, one connection at a time, 127.0.0.1, a free
// port.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/error.h"

namespace flashlm {

class LocalServer {
 public:
  struct Behaviour {
    bool ranges = true;        // false: ignores Range and sends all
    int64_t break_after = -1;  // bytes of the first answer after which the connection is cut
  };

  LocalServer(std::string content, Behaviour behaviour) : content_(std::move(content)), behaviour_(behaviour) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 4) != 0 ||
        ::getsockname(listener_, generic, &size) != 0) {
      throw Error("cannot listen on 127.0.0.1");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  explicit LocalServer(std::string content) : LocalServer(std::move(content), Behaviour()) {}
  ~LocalServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int requests() const { return requests_; }
  // Of the last request; 0 without a Range.
  int64_t first_byte() const { return first_byte_; }

 private:
  void Serve() {
    for (;;) {
      const int connection = ::accept(listener_, nullptr, nullptr);
      if (connection < 0) return;
      Answer(connection);
      ::close(connection);
    }
  }

  void Answer(int connection) {
    std::string request;
    char buffer[4096];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(connection, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      request.append(buffer, static_cast<size_t>(n));
    }
    if (!request.starts_with("GET /stories.txt ")) {
      Send(connection, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      return;
    }
    const size_t range = request.find("Range: bytes=");
    const int64_t first = range == std::string::npos ? 0 : std::atoll(request.c_str() + range + 13);
    first_byte_ = first;
    const bool partial = first > 0 && behaviour_.ranges;
    std::string body = partial ? content_.substr(static_cast<size_t>(first)) : content_;
    std::string head = partial ? "HTTP/1.1 206 Partial Content\r\n" : "HTTP/1.1 200 OK\r\n";
    head += "Content-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n";
    if (partial) {
      head += "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(content_.size() - 1) + "/" +
              std::to_string(content_.size()) + "\r\n";
    }
    if (requests_++ == 0 && behaviour_.break_after >= 0) body.resize(static_cast<size_t>(behaviour_.break_after));
    Send(connection, head + "\r\n" + body);
  }

  static void Send(int connection, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }

  std::string content_;
  Behaviour behaviour_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> requests_{0};
  std::atomic<int64_t> first_byte_{0};
  std::thread thread_;
};

}  // namespace flashlm
