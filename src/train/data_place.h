// The data set of a run, which may move: it is known by what is in it, not by where it lies.
#pragma once

#include <string>

namespace flashlm {

struct DataPlace {
  std::string folder;       // absolute
  std::string fingerprint;  // DataFingerprint (data/shards.h); "" in a run of a version that did not keep it
};

// PATH as it is found from any working directory: absolute, without links, dots and a slash at the end.
std::string AbsolutePath(const std::string& path);

// The data set in `folder`. Throws Error if it holds none.
DataPlace DataIn(const std::string& folder);

// The data set `kept` by `whose` ("the run in 'RUN'"), where it was or in the folder that the caller names (`named`,
// may be empty). Throws Error if it is not there or another one is; the hint says how to name the new place.
DataPlace FindData(const DataPlace& kept, const std::string& named, const std::string& whose);

}  // namespace flashlm
