/* Continues a text with a trained model: story_c MODEL "Once upon a time" */
#include <flashlm/flashlm.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "usage: story_c MODEL PROMPT (FlashLM %s)\n", flashlm_version()), 2;
  flashlm_model* model = NULL;
  flashlm_session* session = NULL;
  flashlm_generator* story = NULL;
  flashlm_generate_options options = flashlm_generate_defaults();
  options.max_tokens = 60, options.seed = 7;
  const char* piece = argv[2];
  size_t size = strlen(piece);
  int failed = flashlm_model_load(argv[1], &model) || flashlm_session_new(model, NULL, &session) ||
               flashlm_generator_new(session, piece, size, &options, &story);
  for (; !failed && piece; failed = flashlm_generator_next(story, &piece, &size)) fwrite(piece, 1, size, stdout);
  fprintf(failed ? stderr : stdout, "%s\n", failed ? flashlm_error() : "");
  flashlm_generator_free(story);
  flashlm_session_free(session);
  flashlm_model_free(model);
  return failed;
}
