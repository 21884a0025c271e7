#include "serve/dashboard.h"

#include <filesystem>

#include "base/error.h"
#include "base/paths.h"
#include "report/run_report.h"
#include "serve/api_error.h"
#include "serve/origin.h"

namespace flashlm {
namespace {

// A long log takes a while to read: it is read for a twentieth of the time at most, for the run needs the cores.
constexpr double kIdleTimesCost = 20;

std::vector<FileStamp> StampsOf(const std::string& run) {
  std::vector<FileStamp> stamps;
  for (const char* file : {"config.toml", "log.jsonl", "samples.txt", "results.json", "probe.json"}) {
    const std::string path = run + "/" + file;
    stamps.push_back(Exists(path) ? StampOf(path) : FileStamp{});
  }
  return stamps;
}

RunRecord ReadRunIfThere(const std::string& folder) {
  try {
    return ReadRun(folder);
  } catch (const Error& e) {
    RunRecord none;
    none.folder = none.name = folder;
    none.notes.push_back(e.what());
    return none;
  }
}

}  // namespace

void Dashboard::Refresh() {
  if (!html_.empty() && age_.Seconds() < kIdleTimesCost * cost_) return;
  const std::vector<FileStamp> stamps = StampsOf(run_);
  if (!html_.empty() && stamps == stamps_) return;
  const Stopwatch watch;
  const RunRecord run = ReadRunIfThere(run_);
  html_ = LiveReportHtml(run);
  parts_ = ToText(LiveReportParts(run));
  stamps_ = stamps;
  cost_ = watch.Seconds();
  age_.Restart();
}

std::string Dashboard::Html() {
  const std::lock_guard lock(mutex_);
  Refresh();
  return html_;
}

std::string Dashboard::Parts() {
  const std::lock_guard lock(mutex_);
  Refresh();
  return parts_;
}

DashboardServer::DashboardServer(const std::string& run, int port) : dashboard_(run) {
  const auto handle = [this](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
    try {
      RefuseForeign(request, {});
      const bool parts = request.path == "/run/data";
      if (!parts && request.path != "/" && request.path != "/run") {
        throw ApiError(404, "there is nothing at this address", "invalid_request_error", "", "not_found");
      }
      if (parts) return reply->Send(200, "application/json", dashboard_.Parts());
      reply->Send(200, "text/html; charset=utf-8", dashboard_.Html(),
                  {{"Content-Security-Policy", "frame-ancestors 'self'"}});  // the page's own tag cannot say that
    } catch (const ApiError& e) {
      reply->Send(e.status(), "application/json", ToText(e.ToJson()));
    } catch (const std::exception&) {
      reply->Send(500, "text/plain", "the run cannot be read");
    }
  };
  http_ = std::make_unique<HttpServer>("127.0.0.1", port, HttpLimits(), handle);
}

}  // namespace flashlm
