#include "serve/http_server.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"

namespace flashlm {
namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point After(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// A body beyond the limit is read to its end and dropped, so that the client hears 413, but not without end.
constexpr size_t kDroppedBodies = 64;

// What the library allocates of its own for a connection, beside headers: buffers for sending.
constexpr size_t kConnectionBytes = 8 << 10;

// What has been sent of a stream is forgotten in steps of this.
constexpr size_t kReadAhead = 64 << 10;

// What is written to a stream within this after the last time goes out together.
constexpr std::chrono::milliseconds kBurst(10);

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses Resolve(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (code != 0) {
    throw Error(fmt::format("--host '{}': {}", host, gai_strerror(code)), "an address of this machine, as 127.0.0.1");
  }
  return Addresses(found);
}

int Listen(const std::string& host, int port) {
  const Addresses addresses = Resolve(host, port);
  int problem = 0;
  for (const addrinfo* a = addresses.get(); a != nullptr; a = a->ai_next) {
    const int listener = ::socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (listener < 0) {
      problem = errno;
      continue;
    }
    const int on = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(listener, a->ai_addr, a->ai_addrlen) == 0 && ::listen(listener, 1024) == 0) return listener;
    problem = errno;
    ::close(listener);
  }
  throw Error(
      fmt::format("cannot listen on {} port {}: {}", host, port, std::strerror(problem)),
      problem == EADDRINUSE ? "another program has this port; --port 0 takes a free one" : "choose another --port");
}

int PortOf(int listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

std::string TextOf(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address != nullptr && address->sa_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
  } else if (address != nullptr && address->sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, text, sizeof text);
  }
  return text;
}

// As many files as the system lets us have: a connection is one. Returns how many.
int64_t RaiseFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
}

class Exchange;

// Streams that were written to again at once. They go on together, a hundred times a second: waking the library and the
// client for every token of every stream costs as much as making it.
class Bursts {
 public:
  // False when nobody looks after them any more.
  bool Add(std::shared_ptr<Exchange> exchange);
  // On a thread of its own, until Stop.
  void Run();
  void Stop();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Exchange>> waiting_;
  bool stopped_ = false;
};

// A request while it comes in, and its answer while it goes out. Its mutex is taken before the library's own, and no
// other of ours while it is held.
class Exchange final : public HttpReply, public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(size_t unsent_limit, std::shared_ptr<std::atomic<int64_t>> bodies, std::shared_ptr<Bursts> bursts)
      : bodies_(std::move(bodies)), bursts_(std::move(bursts)), unsent_limit_(unsent_limit) {}
  ~Exchange() override { DropBody(); }

  void Send(int status, std::string_view content_type, std::string body, HttpHeaders headers) override {
    const std::lock_guard lock(mutex_);
    if (form_ != kNone) return;
    form_ = kWhole;
    status_ = status;
    content_type_ = content_type;
    bytes_ = std::move(body);
    headers_ = std::move(headers);
    ended_ = true;
    Wake();
  }
  void BeginStream(std::string_view content_type, HttpHeaders headers) override {
    const std::lock_guard lock(mutex_);
    if (form_ != kNone) return;
    form_ = kStream;
    status_ = MHD_HTTP_OK;
    content_type_ = content_type;
    headers_ = std::move(headers);
    Wake();
  }
  bool Write(std::string_view bytes) override {
    {
      const std::lock_guard lock(mutex_);
      if (bytes_.size() - read_ + bytes.size() > unsent_limit_) gone_ = true;
      if (gone_) {
        Wake();
        return false;
      }
      bytes_.append(bytes);
      if (in_burst_) return true;
      if (const auto now = Clock::now(); now >= calm_from_) {
        calm_from_ = now + kBurst;
        Wake();
        return true;
      }
      in_burst_ = true;
    }
    if (!bursts_->Add(shared_from_this())) GoOn();
    return true;
  }
  void EndStream() override {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    Wake();
  }
  bool gone() const override { return gone_.load(std::memory_order_relaxed); }

  // --- for the server ---

  // What a burst has brought is to be sent.
  void GoOn() {
    const std::lock_guard lock(mutex_);
    in_burst_ = false;
    calm_from_ = Clock::now() + kBurst;
    Wake();
  }
  // Whoever waits for an answer waits no longer, and gets none.
  void Abort() {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    Wake();
  }
  // The library has forgotten the connection.
  void Forget() {
    const std::lock_guard lock(mutex_);
    gone_ = gone_ || !ended_;
    connection_ = nullptr;
  }
  // On the library's thread: answers, or waits for somebody who does.
  MHD_Result Answer(MHD_Connection* connection, const std::shared_ptr<Exchange>& self) {
    const std::lock_guard lock(mutex_);
    connection_ = connection;
    if (gone_) return MHD_NO;
    if (form_ == kNone) {
      Suspend();
      return MHD_YES;
    }
    MHD_Response* response = form_ == kWhole
                                 ? MHD_create_response_from_buffer(bytes_.size(), bytes_.data(), MHD_RESPMEM_MUST_COPY)
                                 : StreamResponse(self);
    if (response == nullptr) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type_.c_str());
    for (const auto& [name, value] : headers_) MHD_add_response_header(response, name.c_str(), value.c_str());
    const MHD_Result queued = MHD_queue_response(connection, static_cast<unsigned>(status_), response);
    MHD_destroy_response(response);
    return queued;
  }

  // While the body comes in; `all`: what all of them may have together. What is too much is dropped, and said at the
  // end.
  void TakeBody(std::string_view bytes, size_t most, int64_t all) {
    const bool too_many = *bodies_ + static_cast<int64_t>(bytes.size()) > all;
    if (dropped == 0 && !too_many && request.body.size() + bytes.size() <= most) {
      request.body.append(bytes);
      *bodies_ += static_cast<int64_t>(bytes.size());
      held_ += static_cast<int64_t>(bytes.size());
      return;
    }
    busy = busy || (dropped == 0 && too_many);
    dropped += request.body.size() + bytes.size();
    DropBody();
  }
  // The body is somebody else's from now on.
  HttpRequest TakeRequest() {
    *bodies_ -= std::exchange(held_, 0);
    return std::move(request);
  }

  HttpRequest request;
  size_t dropped = 0;    // bytes of the body beyond a limit
  bool busy = false;     // the limit was that of all bodies together
  bool handled = false;  // the handler has it

 private:
  void DropBody() {
    std::string().swap(request.body);
    *bodies_ -= std::exchange(held_, 0);
  }

  static MHD_Response* StreamResponse(const std::shared_ptr<Exchange>& self) {
    constexpr size_t kBlock = 4 << 10;
    return MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, kBlock,
        [](void* context, uint64_t, char* to, size_t most) {
          return (*static_cast<std::shared_ptr<Exchange>*>(context))->Read(to, most);
        },
        new std::shared_ptr<Exchange>(self),
        [](void* context) { delete static_cast<std::shared_ptr<Exchange>*>(context); });
  }

  ssize_t Read(char* to, size_t most) {
    const std::lock_guard lock(mutex_);
    if (gone_) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (read_ == bytes_.size()) {
      if (ended_) return MHD_CONTENT_READER_END_OF_STREAM;
      Suspend();
      return 0;
    }
    const size_t count = std::min(most, bytes_.size() - read_);
    std::memcpy(to, bytes_.data() + read_, count);
    read_ += count;
    if (read_ == bytes_.size() || read_ > kReadAhead) {
      bytes_.erase(0, read_);
      read_ = 0;
    }
    return static_cast<ssize_t>(count);
  }

  // The library leaves the connection alone until Wake. Both with the mutex held, so that no wake-up is lost.
  void Suspend() {
    suspended_ = true;
    MHD_suspend_connection(connection_);
  }
  void Wake() {
    if (!suspended_ || connection_ == nullptr) return;
    suspended_ = false;
    MHD_resume_connection(connection_);
  }

  const std::shared_ptr<std::atomic<int64_t>> bodies_;
  const std::shared_ptr<Bursts> bursts_;
  int64_t held_ = 0;  // of bodies_
  const size_t unsent_limit_;
  mutable std::mutex mutex_;
  std::atomic<bool> gone_ = false;
  enum { kNone, kWhole, kStream } form_ = kNone;
  int status_ = 0;
  std::string content_type_, bytes_;
  size_t read_ = 0;  // of bytes_
  HttpHeaders headers_;
  bool ended_ = false, suspended_ = false;
  bool in_burst_ = false;  // bursts_ has it
  Clock::time_point calm_from_;
  MHD_Connection* connection_ = nullptr;
};

bool Bursts::Add(std::shared_ptr<Exchange> exchange) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return false;
    waiting_.push_back(std::move(exchange));
    if (waiting_.size() > 1) return true;
  }
  changed_.notify_one();
  return true;
}

void Bursts::Run() {
  std::unique_lock lock(mutex_);
  while (!stopped_ || !waiting_.empty()) {
    changed_.wait(lock, [this] { return stopped_ || !waiting_.empty(); });
    changed_.wait_for(lock, kBurst, [this] { return stopped_; });
    std::vector<std::shared_ptr<Exchange>> now = std::exchange(waiting_, {});
    lock.unlock();
    for (const std::shared_ptr<Exchange>& exchange : now) exchange->GoOn();
    now.clear();
    lock.lock();
  }
}

void Bursts::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const std::string& host, int port, const HttpLimits& limits, HttpHandler handler)
      : limits_(limits), handler_(std::move(handler)) {
    const int64_t files = RaiseFileLimit();
    limits_.connections = static_cast<int>(std::clamp<int64_t>(files - 64, 16, limits_.connections));
    const int listener = Listen(host, port);
    port_ = PortOf(listener);
    Start(listener);
    watcher_ = std::thread([this] { Watch(); });
    writer_ = std::thread([this] { bursts_->Run(); });
  }

  ~Impl() {
    StopListening();
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    closed_.notify_all();
    watcher_.join();
    bursts_->Stop();
    writer_.join();
    // The library must not be stopped while connections are suspended.
    for (const std::shared_ptr<Exchange>& exchange : Exchanges()) exchange->Abort();
    MHD_stop_daemon(daemon_);
  }

  int port() const { return port_; }

  void StopListening() {
    if (std::exchange(listening_, false)) ::close(MHD_quiesce_daemon(daemon_));
  }

  int connections() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(connections_.size());
  }
  int answering() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(std::count_if(connections_.begin(), connections_.end(),
                                          [](const auto& c) { return c.second.stage == Stage::kAnswer; }));
  }

 private:
  enum class Stage : uint8_t { kHeaders, kBody, kAnswer, kIdle };
  struct Connection {
    int socket = -1;
    Stage stage = Stage::kHeaders;
    Clock::time_point since, deadline;
    std::shared_ptr<Exchange> exchange;  // of the request at work
  };

  void Start(int listener) {
    const auto pool = limits_.header_bytes + kConnectionBytes;
    daemon_ = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, nullptr, nullptr,
        [](void* self, MHD_Connection* connection, const char* url, const char* method, const char*, const char* bytes,
           size_t* count, void** context) {
          return static_cast<Impl*>(self)->OnRequest(connection, url, method, bytes, count, context);
        },
        this, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool,
        // One that is above our own limit is accepted, and another closed in its place.
        MHD_OPTION_CONNECTION_LIMIT, static_cast<unsigned>(limits_.connections + 32),  //
        MHD_OPTION_CONNECTION_TIMEOUT, static_cast<unsigned>(std::max(1.0, limits_.idle_seconds)),
        MHD_OPTION_UNESCAPE_CALLBACK, &Impl::Unescape, nullptr,  //
        MHD_OPTION_NOTIFY_COMPLETED, &Impl::OnCompleted, this,   //
        MHD_OPTION_NOTIFY_CONNECTION, &Impl::OnConnection, this, MHD_OPTION_END);
    if (daemon_ == nullptr) {
      ::close(listener);
      throw Error("cannot start the HTTP server", "is the limit of threads or open files reached?");
    }
  }

  // Where a path or a query has %00 it would end for whoever reads it as a text of C; so it is another character.
  static size_t Unescape(void*, MHD_Connection*, char* text) {
    const size_t size = MHD_http_unescape(text);
    std::replace(text, text + size, '\0', '\x01');
    return size;
  }

  static void OnConnection(void* self, MHD_Connection* connection, void**, MHD_ConnectionNotificationCode code) {
    auto* const impl = static_cast<Impl*>(self);
    const std::lock_guard lock(impl->mutex_);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
      impl->connections_.erase(connection);
      return;
    }
    if (static_cast<int>(impl->connections_.size()) >= impl->limits_.connections) impl->CloseIdlest();
    const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    impl->connections_[connection] = {info == nullptr ? -1 : info->connect_fd, Stage::kHeaders, Clock::now(),
                                      After(impl->limits_.header_seconds), nullptr};
  }

  // Of those that are not being answered.
  void CloseIdlest() {
    auto idlest = connections_.end();
    for (auto c = connections_.begin(); c != connections_.end(); ++c) {
      if (c->second.stage == Stage::kAnswer || c->second.socket < 0) continue;
      if (idlest == connections_.end() || c->second.since < idlest->second.since) idlest = c;
    }
    if (idlest != connections_.end()) Close(idlest->second);
  }
  // The library sees an end of the stream, and closes it.
  static void Close(Connection& connection) {
    if (connection.socket >= 0) ::shutdown(connection.socket, SHUT_RDWR);
    connection.socket = -1;
  }

  static void OnCompleted(void* self, MHD_Connection* connection, void** context, MHD_RequestTerminationCode) {
    auto* const impl = static_cast<Impl*>(self);
    auto* const exchange = static_cast<std::shared_ptr<Exchange>*>(*context);
    if (exchange != nullptr) {
      (*exchange)->Forget();
      delete exchange;
      *context = nullptr;
    }
    impl->Enter(connection, Stage::kIdle, impl->limits_.idle_seconds, nullptr);
  }

  void Enter(MHD_Connection* connection, Stage stage, double seconds, std::shared_ptr<Exchange> exchange) {
    const std::lock_guard lock(mutex_);
    const auto found = connections_.find(connection);
    if (found == connections_.end()) return;
    found->second.stage = stage;
    found->second.since = Clock::now();
    found->second.deadline = After(seconds);
    found->second.exchange = std::move(exchange);
  }

  // Exceptions must not pass through the library.
  MHD_Result OnRequest(MHD_Connection* connection, const char* url, const char* method, const char* bytes,
                       size_t* count, void** context) noexcept {
    try {
      auto* exchange = static_cast<std::shared_ptr<Exchange>*>(*context);
      if (exchange == nullptr) return Begin(connection, url, method, context);
      if (*count > 0) return TakeBody(**exchange, bytes, count);
      if (!std::exchange((*exchange)->handled, true)) {
        Enter(connection, Stage::kAnswer, limits_.answer_seconds, *exchange);
        if ((*exchange)->dropped > 0) {
          SendTooLarge(**exchange);
        } else {
          handler_((*exchange)->TakeRequest(), *exchange);
        }
      }
      return (*exchange)->Answer(connection, *exchange);
    } catch (...) {
      return MHD_NO;
    }
  }

  MHD_Result Begin(MHD_Connection* connection, const char* url, const char* method, void** context) {
    auto exchange =
        std::make_unique<std::shared_ptr<Exchange>>(std::make_shared<Exchange>(limits_.unsent_bytes, bodies_, bursts_));
    HttpRequest& request = (*exchange)->request;
    const auto header = [&](const char* name) -> std::string {
      const char* value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
      return value == nullptr ? "" : value;
    };
    request.method = method;
    request.path = url;
    request.host = header("Host");
    request.origin = header("Origin");
    request.authorization = header("Authorization");
    request.asked_headers = header("Access-Control-Request-Headers");
    MHD_get_connection_values(
        connection, MHD_GET_ARGUMENT_KIND,
        [](void* query, MHD_ValueKind, const char* name, const char* value) {
          static_cast<HttpHeaders*>(query)->emplace_back(name, value == nullptr ? "" : value);
          return MHD_YES;
        },
        &request.query);
    const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info != nullptr) request.peer = TextOf(info->client_addr);
    Enter(connection, Stage::kBody, limits_.body_seconds, *exchange);
    // Said before the body comes: most clients wait for that.
    const std::string announced = header("Content-Length");
    const bool too_large = announced.size() > 18 || std::strtoull(announced.c_str(), nullptr, 10) > limits_.body_bytes;
    Exchange& made = **exchange;
    *context = exchange.release();
    if (Closing()) return MHD_NO;
    if (!too_large) return MHD_YES;
    made.handled = true;
    SendTooLarge(made);
    return made.Answer(connection, *static_cast<std::shared_ptr<Exchange>*>(*context));
  }

  // Asked after the exchange is in the table: whoever comes later than the closing is not suspended any more.
  bool Closing() const {
    const std::lock_guard lock(mutex_);
    return closing_;
  }

  MHD_Result TakeBody(Exchange& exchange, const char* bytes, size_t* count) const {
    exchange.TakeBody({bytes, *count}, limits_.body_bytes, limits_.all_bodies);
    *count = 0;
    return exchange.dropped > kDroppedBodies * limits_.body_bytes ? MHD_NO : MHD_YES;
  }

  void SendTooLarge(Exchange& exchange) const {
    const auto error = [](const std::string& message, const char* type, const char* code) {
      return fmt::format(R"({{"error":{{"message":"{}","type":"{}","param":null,"code":"{}"}}}})", message, type, code);
    };
    if (exchange.busy) {
      return exchange.Send(MHD_HTTP_SERVICE_UNAVAILABLE, "application/json",
                           error("too many large requests at once; try again later", "server_error", "busy"),
                           {{"Retry-After", "1"}});
    }
    exchange.Send(MHD_HTTP_CONTENT_TOO_LARGE, "application/json",
                  error(fmt::format("the request's body has more than {} bytes", limits_.body_bytes),
                        "invalid_request_error", "request_too_large"),
                  {});
  }

  std::vector<std::shared_ptr<Exchange>> Exchanges() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Exchange>> all;
    for (const auto& [connection, of] : connections_) {
      if (of.exchange) all.push_back(of.exchange);
    }
    return all;
  }

  // The library bounds pauses, not the whole time that a request may take, and does not look at connections that wait
  // for an answer.
  void Watch() {
    std::unique_lock lock(mutex_);
    while (!closed_.wait_for(lock, std::chrono::milliseconds(100), [this] { return closing_; })) {
      std::vector<std::shared_ptr<Exchange>> lost;
      const auto now = Clock::now();
      for (auto& [connection, of] : connections_) {
        const bool late = now > of.deadline;
        if (!late && !(of.stage == Stage::kAnswer && HungUp(of.socket))) continue;
        if (of.exchange) lost.push_back(of.exchange);
        Close(of);
      }
      lock.unlock();
      for (const std::shared_ptr<Exchange>& exchange : lost) exchange->Abort();
      lock.lock();
    }
  }

  static bool HungUp(int socket) {
    if (socket < 0) return false;
    pollfd asked{socket, POLLRDHUP, 0};
    return ::poll(&asked, 1, 0) > 0 && (asked.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
  }

  HttpLimits limits_;
  HttpHandler handler_;
  std::shared_ptr<std::atomic<int64_t>> bodies_ = std::make_shared<std::atomic<int64_t>>(0);  // bytes coming in
  MHD_Daemon* daemon_ = nullptr;
  int port_ = 0;
  bool listening_ = true;
  mutable std::mutex mutex_;
  std::condition_variable closed_;
  bool closing_ = false;
  std::map<MHD_Connection*, Connection> connections_;
  const std::shared_ptr<Bursts> bursts_ = std::make_shared<Bursts>();
  std::thread watcher_, writer_;
};

HttpServer::HttpServer(const std::string& host, int port, const HttpLimits& limits, HttpHandler handler)
    : impl_(std::make_unique<Impl>(host, port, limits, std::move(handler))) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return impl_->port(); }
void HttpServer::StopListening() { impl_->StopListening(); }
int HttpServer::connections() const { return impl_->connections(); }
int HttpServer::answering() const { return impl_->answering(); }

bool IsLoopback(const std::string& host) {
  const Addresses addresses = Resolve(host, 0);
  for (const addrinfo* a = addresses.get(); a != nullptr; a = a->ai_next) {
    const std::string text = TextOf(a->ai_addr);
    if (!text.starts_with("127.") && text != "::1") return false;
  }
  return true;
}

}  // namespace flashlm
