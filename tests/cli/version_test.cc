// flashlm --version
#include <flashlm/version.h>
#include <gtest/gtest.h>

#include "command.h"

namespace flashlm {
namespace {

TEST(Version, IsOneLineWithTheRevisionIfThereIsOne) {
  const Scratch scratch;
  const CommandResult said = RunCommand({"--version"}, scratch);
  EXPECT_EQ(said.exit_code, 0);
  EXPECT_EQ(said.err, "");
  const std::string revision = Revision();
  EXPECT_EQ(said.out,
            std::string("flashlm ") + FLASHLM_VERSION + (revision.empty() ? "" : " (" + revision + ")") + "\n");
  EXPECT_STREQ(Version(), FLASHLM_VERSION);
}

}  // namespace
}  // namespace flashlm
