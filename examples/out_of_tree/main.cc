// Says which FlashLM it was compiled for and which one it runs with.
#include <flashlm/version.h>

#include <cstdio>

int main() {
  std::printf("compiled for FlashLM %s, linked with %s %s\n", FLASHLM_VERSION, flashlm::Version(), flashlm::Revision());
}
