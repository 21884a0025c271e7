// Getting TinyStories (Eldan and Li, 2023; licence CDLA-Sharing-1.0) from the Hugging Face hub.
#pragma once

#include <cstdint>
#include <string>

namespace flashlm {

// What a file must be. The SHA-256 sums are known by their first 8 and last 5 digits, which is what can
// be checked here: 52 bits and the exact size rule out damage and mix-ups, if not a determined forger (TLS is
// there for that).
struct RemoteFile {
  std::string name;
  int64_t bytes;
  std::string sha256_start, sha256_end;
};

inline const RemoteFile kTinyStoriesTrain{"TinyStoriesV2-GPT4-train.txt", 2'227'753'162, "6418d412", "90443"};
inline const RemoteFile kTinyStoriesValid{"TinyStoriesV2-GPT4-valid.txt", 22'502'601, "6874bae9", "0585d"};

// Where the files are: $FLASHLM_TINYSTORIES_URL, else the hub.
std::string TinyStoriesUrl();

// Where downloads are kept, for all data sets to share: $FLASHLM_CACHE, $XDG_CACHE_HOME/flashlm or
// ~/.cache/flashlm.
std::string CacheFolder();

// Fetches URL_BASE/NAME to FOLDER/NAME and returns that path. A file already there in the right size is taken
// as it is. Bytes arrive in NAME.part; a download that broke off (or Ctrl-C) goes on from there. Throws
// Error, with a hint, without a network, and when the size or the checksum is wrong (NAME.part is then
// removed).
std::string Download(const RemoteFile& file, const std::string& url_base, const std::string& folder);

}  // namespace flashlm
