// Who hears what the engine says in words (Say in base/progress.h), where that is not stderr.
#pragma once

#include <functional>
#include <string>

namespace flashlm {

// From now on whoever embeds the engine gets those lines, one at a time, and stderr does not, quiet or not; null: as
// before. A listener must not throw; it may set another one.
using Listener = std::function<void(const std::string& line)>;
void SetListener(Listener listener);

}  // namespace flashlm
