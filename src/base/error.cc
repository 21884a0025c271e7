#include "base/error.h"

#include <algorithm>
#include <cstring>

namespace flashlm {
namespace {

size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitution = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitution});
    }
  }
  return row.back();
}

}  // namespace

std::string Error::OneLine() const {
  std::string line = what();
  if (!hint_.empty()) line += " (hint: " + hint_ + ")";
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

std::string NearestHint(const std::string& word, const std::vector<std::string>& known) {
  if (known.empty()) return "";
  const auto nearest = std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return EditDistance(word, a) < EditDistance(word, b);
  });
  if (EditDistance(word, *nearest) <= std::max<size_t>(2, word.size() / 2)) {
    return fmt::format("did you mean '{}'?", *nearest);
  }
  return fmt::format("known: {}", fmt::join(known, ", "));
}

namespace internal {

void CheckFailed(const char* file, int line, const char* condition, const std::string& message) {
  const char* room = std::strstr(file, "src/");
  throw Error(fmt::format("{} [{}:{}: {}]", message, room ? room : file, line, condition));
}

}  // namespace internal
}  // namespace flashlm
