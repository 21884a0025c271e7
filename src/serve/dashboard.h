// A run folder while its run goes on: the page of `flashlm report`, kept up to date.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/progress.h"
#include "serve/http_server.h"

namespace flashlm {

// Thread-safe. The folder need not be there yet.
class Dashboard {
 public:
  explicit Dashboard(std::string run) : run_(std::move(run)) {}

  std::string Html();
  // JSON for report/live.js.
  std::string Parts();

 private:
  void Refresh();

  std::string run_;
  std::mutex mutex_;
  std::vector<FileStamp> stamps_;  // of what was read
  Stopwatch age_;
  double cost_ = 0;  // seconds that reading took
  std::string html_, parts_;
};

// Serves one to this machine: `flashlm train --dashboard PORT`.
class DashboardServer {
 public:
  // port 0: any free one. Throws Error if it is taken.
  DashboardServer(const std::string& run, int port);
  int port() const { return http_->port(); }

 private:
  Dashboard dashboard_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace flashlm
