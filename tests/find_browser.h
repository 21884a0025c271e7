// The browser in which tests look at pages.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>

namespace flashlm {

// The first Chromium of PATH; "" if there is none.
inline std::string FindBrowser() {
  std::istringstream path(std::getenv("PATH") == nullptr ? "" : std::getenv("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) {
    for (const char* name : {"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"}) {
      if (std::filesystem::exists(folder + "/" + name)) return folder + "/" + name;
    }
  }
  return "";
}

}  // namespace flashlm
