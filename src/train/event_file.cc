#include "train/event_file.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "base/paths.h"

namespace flashlm {
namespace {

// Field numbers of Event, SessionLog, Summary and Summary.Value; how a field's value is encoded.
enum EventField : uint32_t { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7 };
constexpr uint32_t kStatus = 1, kStatusStart = 1, kValue = 1, kTag = 1, kSimpleValue = 2;
enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// What is written is little-endian, as this program's CPUs are.
template <class T>
void AppendRaw(T value, std::string& out) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void AppendKey(uint32_t field, Wire wire, std::string& out) { AppendVarint(field << 3 | wire, out); }

void AppendBytes(uint32_t field, std::string_view bytes, std::string& out) {
  AppendKey(field, kBytes, out);
  AppendVarint(bytes.size(), out);
  out += bytes;
}

void AppendScalar(const std::string& tag, double value, std::string& summary) {
  std::string scalar;
  AppendBytes(kTag, tag, scalar);
  AppendKey(kSimpleValue, kFixed32, scalar);
  AppendRaw(static_cast<float>(value), scalar);
  AppendBytes(kValue, scalar, summary);
}

void AppendNumbers(const std::string& group, const Json& numbers, std::string& summary) {
  for (const auto& [name, value] : numbers.items()) {
    if (value.is_number() && name != "step") AppendScalar(group + "/" + name, value.get<double>(), summary);
  }
}

uint32_t MaskedCrc(std::string_view bytes) { return std::rotr(Crc32c(bytes), 15) + 0xa282ead8u; }

double Now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// TensorBoard knows its files by how their names begin and reads them in the order of their names.
std::string FileName(int64_t last_step) {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) std::strcpy(host, "host");
  return fmt::format("events.out.tfevents.{:010}.{}.{}.{}", static_cast<int64_t>(Now()), host, ::getpid(), last_step);
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> entries{};
    for (uint32_t i = 0; i < entries.size(); ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
      entries[i] = crc;
    }
    return entries;
  }();
  uint32_t crc = ~0u;
  for (const char byte : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<uint8_t>(byte)) & 0xff];
  return ~crc;
}

EventFile::EventFile(const std::string& run_folder, int64_t last_step) {
  const std::string path = FileIn(run_folder, FileName(last_step));
  file_.reset(std::fopen(path.c_str(), "ab"));
  if (file_ == nullptr) throw Error(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
  std::string version;
  AppendBytes(kFileVersion, "brain.Event:2", version);
  WriteEvent(0, version);
  if (last_step == 0) return;
  std::string status, session;
  AppendKey(kStatus, kVarint, status);
  AppendVarint(kStatusStart, status);
  AppendBytes(kSessionLog, status, session);
  WriteEvent(last_step + 1, session);
}

void EventFile::Write(const Json& line) {
  std::string summary, event;
  const bool evaluation = line.contains("eval_step");
  if (evaluation) {
    for (const auto& [name, part] : line.items()) {
      if (part.is_object()) AppendNumbers(name, part, summary);
    }
  } else {
    AppendNumbers("train", line, summary);
  }
  AppendBytes(kSummary, summary, event);
  WriteEvent(line.at(evaluation ? "eval_step" : "step").get<int64_t>(), event);
}

void EventFile::WriteEvent(int64_t step, const std::string& content) {
  std::string event;
  AppendKey(kWallTime, kFixed64, event);
  AppendRaw(Now(), event);
  AppendKey(kStep, kVarint, event);
  AppendVarint(static_cast<uint64_t>(step), event);
  event += content;
  std::string record;
  AppendRaw(uint64_t{event.size()}, record);
  AppendRaw(MaskedCrc(record), record);
  record += event;
  AppendRaw(MaskedCrc(event), record);
  std::fwrite(record.data(), 1, record.size(), file_.get());
  std::fflush(file_.get());
}

}  // namespace flashlm
