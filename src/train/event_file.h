// TensorBoard's event files, for whoever looks at a run there: the numbers of log.jsonl as scalars.
//
// A file is records {uint64 length, uint32 checksum of it, data, uint32 checksum of the data}, little-endian, the
// checksum being CRC-32C, masked (tensorflow/core/lib/io/record_writer.h); data is an Event message in the encoding of
// Protocol Buffers (tensorflow/core/util/event.proto).
#pragma once

#include <cstdint>
#include <string>

#include "base/files.h"
#include "base/json.h"

namespace flashlm {

class EventFile {
 public:
  // Makes a new file in the folder, beside those of a run's earlier sessions, and tells readers that what those wrote
  // of steps after `last_step` is void. Throws Error if that fails.
  EventFile(const std::string& run_folder, int64_t last_step);

  // A line of log.jsonl: numbers of a step as train/NAME, objects of an evaluation as eval/NAME and the like. As in
  // log.jsonl, a full disk costs lines, not the run.
  void Write(const Json& line);

 private:
  void WriteEvent(int64_t step, const std::string& content);

  FilePointer file_;
};

// CRC-32C (Castagnoli) of bytes: of "123456789" it is 0xe3069283.
uint32_t Crc32c(std::string_view bytes);

}  // namespace flashlm
