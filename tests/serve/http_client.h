// A client that says exactly what a test wants said, as bytes on a socket.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace flashlm {

class Wire {
 public:
  explicit Wire(int port) {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Wire() { Close(); }
  Wire(Wire&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_), read_(std::move(other.read_)) {}
  Wire(const Wire&) = delete;

  bool connected() const { return connected_; }
  void Close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  // False if the server has closed the connection.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  // More of what the server says; false at its end, or after so many seconds without a word.
  bool Receive(double seconds = 30) {
    pollfd asked{socket_, POLLIN, 0};
    if (::poll(&asked, 1, static_cast<int>(1000 * seconds)) <= 0) return false;
    char buffer[16384];
    const ssize_t n = ::recv(socket_, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    read_.append(buffer, static_cast<size_t>(n));
    return true;
  }
  // Until `part` has been received.
  bool Await(std::string_view part, double seconds = 30) {
    while (read_.find(part) == std::string::npos) {
      if (!Receive(seconds)) return false;
    }
    return true;
  }
  // The same of all of them, read as the answers come: a server cuts off who does not read his.
  static bool AwaitAll(std::vector<Wire>& wires, std::string_view part, double seconds = 30) {
    std::vector<size_t> searched(wires.size());  // bytes, since answers may have megabytes
    for (;;) {
      std::vector<pollfd> asked;
      std::vector<size_t> waiting;
      for (size_t i = 0; i < wires.size(); ++i) {
        const std::string& read = wires[i].read_;
        if (read.find(part, searched[i]) != std::string::npos) continue;
        searched[i] = read.size() - std::min(read.size(), part.size());
        asked.push_back({wires[i].socket_, POLLIN, 0});
        waiting.push_back(i);
      }
      if (waiting.empty()) return true;
      if (::poll(asked.data(), asked.size(), static_cast<int>(1000 * seconds)) <= 0) return false;
      for (size_t k = 0; k < waiting.size(); ++k) {
        if (asked[k].revents != 0 && !wires[waiting[k]].Receive(0)) return false;
      }
    }
  }
  // Whether the server closes the connection within so many seconds.
  bool Closes(double seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < end) {
      pollfd asked{socket_, POLLIN, 0};
      if (::poll(&asked, 1, 50) <= 0) continue;
      char buffer[4096];
      if (::recv(socket_, buffer, sizeof buffer, 0) <= 0) return true;
    }
    return false;
  }
  const std::string& read() const { return read_; }

 private:
  int socket_ = -1;
  bool connected_ = false;
  std::string read_;
};

struct Answer {
  int status = 0;  // 0: none came
  std::string head, body;
  Json json() const { return Json::parse(body, nullptr, false); }
  // The data of the events of a stream, the last of which is "[DONE]".
  std::vector<std::string> Events() const {
    std::vector<std::string> events;
    for (size_t at = 0; (at = body.find("data: ", at)) != std::string::npos;) {
      const size_t end = body.find("\n\n", at);
      events.push_back(body.substr(at + 6, end - at - 6));
      at = end;
    }
    return events;
  }
};

inline std::string RequestText(const std::string& method, const std::string& path, const std::string& body,
                               const std::string& headers = "", const std::string& host = "localhost") {
  std::string text = method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + headers;
  if (method == "POST") text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + body;
}

inline Answer ParseAnswer(const std::string& text) {
  Answer answer;
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos || !text.starts_with("HTTP/1.1 ")) return answer;
  answer.status = std::atoi(text.c_str() + 9);
  answer.head = text.substr(0, end);
  answer.body = text.substr(end + 4);
  if (answer.head.find("Transfer-Encoding: chunked") == std::string::npos) return answer;
  std::string whole;
  for (size_t at = 0; at < answer.body.size();) {
    const size_t line = answer.body.find("\r\n", at);
    const size_t size = std::strtoul(answer.body.c_str() + at, nullptr, 16);
    if (line == std::string::npos || size == 0) break;
    whole += answer.body.substr(line + 2, size);
    at = line + 2 + size + 2;
  }
  answer.body = whole;
  return answer;
}

inline Answer Fetch(int port, const std::string& method, const std::string& path, const std::string& body = "",
                    const std::string& headers = "", const std::string& host = "localhost") {
  Wire wire(port);
  wire.Send(RequestText(method, path, body, headers, host));
  while (wire.Receive(60)) {
  }
  return ParseAnswer(wire.read());
}

inline Answer Post(int port, const std::string& path, const Json& body, const std::string& headers = "") {
  return Fetch(port, "POST", path, body.dump(), "Content-Type: application/json\r\n" + headers);
}

}  // namespace flashlm
