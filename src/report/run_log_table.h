// log.jsonl of a run (docs/formats.md) as columns: whatever numbers its lines have, of this architecture or another.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "report/chart_sheet.h"

namespace flashlm {

// A number of some lines. Numbers in objects and lists are columns of their own: "eval.bits_per_byte", "depth.3".
struct LogColumn {
  std::string name;
  std::vector<uint32_t> rows;
  std::vector<double> values;  // NaN: null, which JSON has for what is not finite
};

class LogTable {
 public:
  void Add(const Moment& at, const Json& line);

  const std::vector<Moment>& moments() const { return moments_; }
  const std::vector<LogColumn>& columns() const { return columns_; }
  // Null if there is none.
  const LogColumn* Find(std::string_view name) const;
  // The moments and values of a column, none if there is none of that name.
  Series Of(std::string_view name, size_t owner, const std::string& label) const;

 private:
  void AddNumbers(const std::string& name, const Json& value, int depth);
  LogColumn* ColumnOf(const std::string& name);

  std::vector<Moment> moments_;
  std::vector<LogColumn> columns_;
  size_t next_ = 0;  // where the next number's column most often is: lines have the same keys in the same order
};

// A stretch of steps whose lines have the same "phase".
struct LoggedPhase {
  int64_t number;  // 1-based
  Moment begin, end;
};

struct RunLogFile {
  LogTable steps, evaluations;
  int64_t damaged = 0, first_damaged = 0;  // lines that are not of a log; the number of the first
  int64_t skipped = 0;                     // steps that were not applied
  std::vector<LoggedPhase> phases;
};

// A line that cannot be read is counted and left out. Throws Error if the file cannot be read.
RunLogFile ReadRunLog(const std::string& path);

}  // namespace flashlm
