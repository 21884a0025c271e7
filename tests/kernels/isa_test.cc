// What FLASHLM_ISA makes of this CPU, each time in a process of its own.
#include "kernels/isa.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "base/error.h"

namespace flashlm::kernels {
namespace {

// For the test below, which runs it.
TEST(Isa, SaysWhatIsInUse) {
  try {
    fmt::print("<{} {}>\n", NameOf(ActiveIsa()), static_cast<int>(ActiveVnni()));
  } catch (const Error& e) {
    fmt::print("<{}>\n", e.OneLine());
  }
}

std::string InUse(const std::string& forced) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string command = fmt::format("FLASHLM_ISA='{}' '{}' --gtest_filter=Isa.SaysWhatIsInUse", forced, self);
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  std::string output;
  std::array<char, 256> some;
  while (std::fgets(some.data(), some.size(), pipe) != nullptr) output += some.data();
  ::pclose(pipe);
  const size_t begin = output.find('<'), end = output.rfind('>');
  return begin == std::string::npos || end == std::string::npos ? output : output.substr(begin + 1, end - begin - 1);
}

std::string With(Isa isa, Vnni vnni) { return fmt::format("{} {}", NameOf(isa), static_cast<int>(vnni)); }

TEST(Isa, IsWhatIsForcedOrRefused) {
  const std::string features = CpuFeatures() + " ";
  const auto has = [&](const char* feature) { return features.find(std::string(feature) + " ") != std::string::npos; };
  EXPECT_EQ(InUse("scalar"), With(Isa::kScalar, Vnni::kNone));
  EXPECT_NE(InUse("avx").find("FLASHLM_ISA=avx: unknown"), std::string::npos) << InUse("avx");
  if (!has("avx2")) return;
  EXPECT_EQ(InUse("avx2"), With(Isa::kAvx2, Vnni::kNone));
  const std::string integers = InUse("avx2vnni");
  if (has("avx_vnni")) {
    EXPECT_EQ(integers, With(Isa::kAvx2, Vnni::kAvx2));
  } else if (has("avx512_vnni")) {
    EXPECT_EQ(integers, With(Isa::kAvx2, Vnni::kAvx2InEvex));
  } else {
    EXPECT_NE(integers.find("FLASHLM_ISA=avx2vnni: this CPU does not have it"), std::string::npos) << integers;
  }
  if (!has("avx512f")) {
    EXPECT_EQ(InUse(""), With(Isa::kAvx2, has("avx_vnni") ? Vnni::kAvx2 : Vnni::kNone));
    EXPECT_NE(InUse("avx512").find("FLASHLM_ISA=avx512: this CPU does not have it"), std::string::npos);
  } else if (has("avx512_vnni")) {
    EXPECT_EQ(InUse(""), With(Isa::kAvx512, Vnni::kAvx512));
    EXPECT_EQ(InUse("avx512"), With(Isa::kAvx512, Vnni::kAvx512));
  }
}

}  // namespace
}  // namespace flashlm::kernels
