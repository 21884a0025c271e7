// Tokens end anywhere, also within a character; what is shown must be whole characters.
#pragma once

#include <string>
#include <string_view>

namespace flashlm {

// Cuts a stream of bytes into pieces of valid UTF-8. The bytes of a character are held back until it is
// complete; bytes that can belong to no character become U+FFFD, one for each longest broken piece (as the
// Unicode Standard recommends), so that the text can always go into JSON.
class Utf8Stream {
 public:
  // What can be shown now; may be empty. Valid until the next call.
  std::string_view Push(std::string_view bytes);
  // What was held back at the end of the stream, as U+FFFD.
  std::string_view Finish();

  // Whether the beginning of a character is held back.
  bool held() const { return !pending_.empty(); }

 private:
  std::string pending_, ready_;
};

}  // namespace flashlm
