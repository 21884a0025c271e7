// Continues a text with a trained model: story MODEL "Once upon a time"
#include <flashlm/flashlm.hpp>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: story MODEL PROMPT (FlashLM " << flashlm::Version() << ")\n";
    return 2;
  }
  try {
    const flashlm::Model model = flashlm::Model::Load(argv[1]);
    flashlm::Session session(model);
    std::cout << argv[2];
    flashlm::Generator story(session, argv[2], {.max_tokens = 60, .seed = 7});
    while (story.Next()) std::cout << story.piece() << std::flush;
    std::cout << "\n";
  } catch (const flashlm::Error& e) {
    std::cerr << e.OneLine() << "\n";
    return 1;
  }
}
