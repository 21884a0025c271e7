// What libflashlm alone has, as cli/main.cc is what the program alone has: a library prints nothing.
#include "base/progress.h"

namespace flashlm {
namespace {

[[maybe_unused]] const bool kQuiet = (SetQuiet(true), true);

}  // namespace
}  // namespace flashlm
