#include "train/data_place.h"

#include <filesystem>

#include "base/error.h"
#include "base/progress.h"
#include "data/shards.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

bool HoldsData(const std::string& folder) {
  std::error_code code;
  return fs::exists(fs::path(folder) / "meta.json", code);
}

}  // namespace

std::string AbsolutePath(const std::string& path) {
  std::error_code code;
  fs::path absolute = fs::weakly_canonical(fs::absolute(path), code);
  if (code) return path;  // whoever opens it says why not
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  return absolute.string();
}

DataPlace DataIn(const std::string& folder) { return {AbsolutePath(folder), DataFingerprint(folder)}; }

DataPlace FindData(const DataPlace& kept, const std::string& named, const std::string& whose) {
  if (named.empty() && !HoldsData(kept.folder)) {
    throw Error(fmt::format("the data of {} is no longer in '{}'", whose, kept.folder),
                "say where it is now: --data NEW_PLACE");
  }
  DataPlace found = DataIn(named.empty() ? kept.folder : named);
  if (kept.fingerprint.empty()) {
    Say(fmt::format("note: {} is of a version that did not keep what its data was; it goes on with that in '{}'", whose,
                    found.folder));
  } else if (found.fingerprint != kept.fingerprint) {
    throw Error(
        fmt::format("the data in '{}' is not that of {}: other text, another validation part or another tokenizer",
                    found.folder, whose),
        named.empty() ? "if it lies elsewhere now, say where: --data NEW_PLACE; other data needs another --out"
                      : "other data needs a run of its own, with another --out");
  }
  return found;
}

}  // namespace flashlm
