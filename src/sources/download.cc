#include "sources/download.h"

#include <curl/curl.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 5;

const char* NonEmptyVariable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

// One transfer from byte `start` on, appended to `out`.
struct Transfer {
  const RemoteFile& file;
  std::FILE* out;
  int64_t start;
  int64_t received = 0;
  int write_error = 0;
  bool too_long = false;
  Stopwatch watch = {};
};

size_t OnData(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.start + transfer.received + static_cast<int64_t>(size) > transfer.file.bytes) {
    transfer.too_long = true;
    return 0;
  }
  if (std::fwrite(data, 1, size, transfer.out) != size) {
    transfer.write_error = errno;
    return 0;
  }
  transfer.received += static_cast<int64_t>(size);
  return size;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& transfer = *static_cast<Transfer*>(user);
  const int64_t done = transfer.start + transfer.received;
  const double speed = static_cast<double>(transfer.received) / (transfer.watch.Seconds() + 1e-9);
  const double left = static_cast<double>(transfer.file.bytes - done) / (speed + 1.0);
  ShowStatus(fmt::format("{}: {:.1f} of {:.1f} MB, {:.1f} MB/s, {} left", transfer.file.name, done / 1e6,
                         transfer.file.bytes / 1e6, speed / 1e6, FormatDuration(left)));
  return Interrupted() ? 1 : 0;
}

CURLcode Perform(const std::string& url, Transfer& transfer) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), curl_easy_cleanup);
  if (initialised != CURLE_OK || !handle) throw Error("cannot start libcurl");
  CURL* const curl = handle.get();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 20L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1000L);  // bytes per second ...
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 30L);     // ... for so many seconds: the connection is dead
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "flashlm/0.1");
  curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(transfer.start));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnData);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  return curl_easy_perform(curl);
}

[[noreturn]] void FailTransfer(CURLcode code, const Transfer& transfer, const std::string& url) {
  if (Interrupted()) throw Error("the download was interrupted", "run the command again to go on from here");
  if (transfer.too_long) {
    throw Error(fmt::format("'{}' is longer than the {} bytes expected", url, transfer.file.bytes),
                "the file has changed; give another one with --input FILE");
  }
  if (transfer.write_error != 0) {
    throw Error(fmt::format("cannot store '{}': {}", transfer.file.name, std::strerror(transfer.write_error)),
                "free some disk space, or set FLASHLM_CACHE to a folder on another disk");
  }
  throw Error(fmt::format("cannot download '{}': {}", url, curl_easy_strerror(code)),
              "check the network and run again (what was received is kept), or use --input FILE");
}

// One attempt to complete PART; true when all bytes have arrived.
bool FetchRest(const RemoteFile& file, const std::string& url, const std::string& part, bool last_attempt) {
  const int64_t start = fs::exists(part) ? static_cast<int64_t>(fs::file_size(part)) : 0;
  if (start == file.bytes) return true;
  if (start > 0) Say(fmt::format("going on with {} at {:.1f} MB", file.name, start / 1e6));
  const FilePointer out(std::fopen(part.c_str(), "ab"));
  if (!out) throw Error(fmt::format("cannot create '{}': {}", part, std::strerror(errno)));
  Transfer transfer{.file = file, .out = out.get(), .start = start};
  const CURLcode code = Perform(url, transfer);
  if (std::fflush(out.get()) != 0 && transfer.write_error == 0) transfer.write_error = errno;
  if (code == CURLE_RANGE_ERROR || code == CURLE_BAD_DOWNLOAD_RESUME) {
    if (last_attempt) FailTransfer(code, transfer, url);
    fs::remove(part);  // this server cannot resume: from the start
    return false;
  }
  if (code == CURLE_OK && transfer.write_error == 0) {
    if (start + transfer.received == file.bytes) return true;
    fs::remove(part);
    throw Error(fmt::format("'{}' has {} bytes, not the {} expected", url, start + transfer.received, file.bytes),
                "the file has changed; give another one with --input FILE");
  }
  if (transfer.too_long) fs::remove(part);
  // A connection that broke after some bytes is worth another attempt; one that never stood is not.
  if (transfer.received == 0 || last_attempt || Interrupted() || transfer.too_long || transfer.write_error != 0) {
    FailTransfer(code, transfer, url);
  }
  return false;
}

}  // namespace

std::string TinyStoriesUrl() {
  const char* const given = NonEmptyVariable("FLASHLM_TINYSTORIES_URL");
  return given != nullptr ? given : "https://huggingface.co/datasets/roneneldan/TinyStories/resolve/main";
}

std::string CacheFolder() {
  if (const char* const cache = NonEmptyVariable("FLASHLM_CACHE")) return cache;
  if (const char* const cache = NonEmptyVariable("XDG_CACHE_HOME")) return std::string(cache) + "/flashlm";
  if (const char* const home = NonEmptyVariable("HOME")) return std::string(home) + "/.cache/flashlm";
  throw Error("there is no place to keep a download", "set FLASHLM_CACHE to a folder");
}

std::string Download(const RemoteFile& file, const std::string& url_base, const std::string& folder) {
  std::string path = folder + "/" + file.name;
  const std::string part = path + ".part";
  if (fs::exists(path) && static_cast<int64_t>(fs::file_size(path)) == file.bytes) return path;
  MakeFolder(folder);
  const FolderLock lock(folder);
  const std::string url = url_base + "/" + file.name;
  if (fs::exists(part) && static_cast<int64_t>(fs::file_size(part)) > file.bytes) fs::remove(part);
  Say(fmt::format("downloading {} ({:.1f} MB) to {}", file.name, file.bytes / 1e6, folder));
  for (int attempt = 1; !FetchRest(file, url, part, attempt == kAttempts); ++attempt) {
  }
  const std::string sha256 = Sha256OfFile(part);
  if (!sha256.starts_with(file.sha256_start) || !sha256.ends_with(file.sha256_end)) {
    fs::remove(part);
    throw Error(fmt::format("'{}' has SHA-256 {}, not {}...{}: damaged or changed", url, sha256, file.sha256_start,
                            file.sha256_end),
                "run again, or use --input FILE");
  }
  SyncPath(part);
  fs::rename(part, path);
  SyncPath(folder);
  return path;
}

}  // namespace flashlm
