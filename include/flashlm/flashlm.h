/* FlashLM for C, and for whatever can call C: opaque handles, a status, a message. Nothing is thrown across it.
 *
 * What a function gives back through an `out` argument is set only if it returns FLASHLM_OK. Handles are freed by the
 * function of their kind (NULL is fine); memory that is said to be the caller's by flashlm_free. Text goes in and out
 * with its size in bytes and may hold any bytes; where it is said to be a string it ends with a zero. Which calls
 * threads may make at the same time is said at each handle.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FLASHLM_C_API __attribute__((visibility("default")))

typedef enum flashlm_status {
  FLASHLM_OK = 0,
  FLASHLM_FAILED = 1, /* a file is missing or damaged, a disk is full, a shape does not fit */
  FLASHLM_USAGE = 2,  /* the call is wrong: an unknown name, a value out of range */
  FLASHLM_MEMORY = 3  /* there is not enough of it */
} flashlm_status;

/* "MAJOR.MINOR.PATCH" of the library. */
FLASHLM_C_API const char* flashlm_version(void);
/* Why the calling thread's last call of a function that returns a status failed: one line, what happened and where, as
 * a string that is valid until the thread's next such call. */
FLASHLM_C_API const char* flashlm_error(void);
FLASHLM_C_API void flashlm_free(void* memory);

/* Gives the handler what the program flashlm would tell on its screen; the library itself prints nothing. It may be
 * called by any thread that uses the library, by one at a time, and may set another handler. NULL ends it. */
typedef void (*flashlm_message_handler)(const char* line, size_t size, void* user);
FLASHLM_C_API flashlm_status flashlm_set_message_handler(flashlm_message_handler handler, void* user);

/* --- Tokenizer: never changes; for any number of threads at once ------------------------------------------------ */

typedef struct flashlm_tokenizer flashlm_tokenizer;

/* Of every vocabulary: stands before and behind every document. No text encodes to it. */
#define FLASHLM_EOS 3

/* Reads a tokenizer.json. */
FLASHLM_C_API flashlm_status flashlm_tokenizer_load(const char* path, flashlm_tokenizer** out);
/* Learns a vocabulary of 260 to 65,536 entries from `count` documents; fewer where no pair of entries occurs twice any
 * more. */
FLASHLM_C_API flashlm_status flashlm_tokenizer_train(const char* const* texts, const size_t* sizes, size_t count,
                                                     int vocab, flashlm_tokenizer** out);
FLASHLM_C_API flashlm_status flashlm_tokenizer_save(const flashlm_tokenizer* tokenizer, const char* path);
FLASHLM_C_API void flashlm_tokenizer_free(flashlm_tokenizer* tokenizer);
/* Ids are 0 .. vocab - 1; 0 of NULL. */
FLASHLM_C_API int flashlm_tokenizer_vocab(const flashlm_tokenizer* tokenizer);
/* The `count` ids are the caller's. */
FLASHLM_C_API flashlm_status flashlm_tokenizer_encode(const flashlm_tokenizer* tokenizer, const char* text, size_t size,
                                                      int32_t** ids, size_t* count);
/* The text, which has a zero behind its `size` bytes, is the caller's. */
FLASHLM_C_API flashlm_status flashlm_tokenizer_decode(const flashlm_tokenizer* tokenizer, const int32_t* ids,
                                                      size_t count, char** text, size_t* size);

/* --- Model: for any number of threads at once; it computes for one at a time, in the order in which they asked ---- */

typedef struct flashlm_model flashlm_model;

/* Opens a run folder (its best checkpoint, or else the newest), one of its checkpoints, a model folder, or a packed
   file. */
FLASHLM_C_API flashlm_status flashlm_model_load(const char* path, flashlm_model** out);
/* Sessions of the model live on. */
FLASHLM_C_API void flashlm_model_free(flashlm_model* model);
/* A tokenizer of the caller's. */
FLASHLM_C_API flashlm_status flashlm_model_tokenizer(const flashlm_model* model, flashlm_tokenizer** out);
FLASHLM_C_API int flashlm_model_vocab(const flashlm_model* model);
/* {"architecture", "parameters", "vocab", "folder", "step" (-1 for a model folder), "config": what config.json has}, as
 * a string of JSON that is the caller's. */
FLASHLM_C_API flashlm_status flashlm_model_describe(const flashlm_model* model, char** json);
/* How often every token passes through the model's reasoning engine from now on; 0: as often as the model finds right.
 */
FLASHLM_C_API flashlm_status flashlm_model_set_depth(flashlm_model* model, int depth);

/* In all of these, `precision` is what matrix products read: "f32", "bf16", "int8", or NULL: the type in which the
 * model's run was trained and evaluated, where this CPU has it. */

/* nats[i] = -ln p(ids[i] | <eos>, ids[0] .. ids[i-1]), [count]: a document is scored if ids end with FLASHLM_EOS. */
FLASHLM_C_API flashlm_status flashlm_model_score(const flashlm_model* model, const char* precision, const int32_t* ids,
                                                 size_t count, float* nats);
/* What follows each token of a stream that begins with ids[0], which for a document is FLASHLM_EOS: natural logarithms
 * of probabilities, [count, vocab]. */
FLASHLM_C_API flashlm_status flashlm_model_logits(const flashlm_model* model, const char* precision, const int32_t* ids,
                                                  size_t count, float* logits);

typedef struct flashlm_evaluation {
  double bits_per_byte, bits_per_char, nats_per_token;
  double stderr_bits_per_byte; /* over documents; 0 for a single one */
  int64_t bytes, tokens, documents;
  double seconds;
} flashlm_evaluation;

/* How well the model predicts `count` documents, each read from <eos> on to its closing <eos>, without white space
 * around it. */
FLASHLM_C_API flashlm_status flashlm_model_evaluate(const flashlm_model* model, const char* precision,
                                                    const char* const* documents, const size_t* sizes, size_t count,
                                                    flashlm_evaluation* out);
/* The same of the documents of a file, separated by lines <|endoftext|>. */
FLASHLM_C_API flashlm_status flashlm_model_evaluate_file(const flashlm_model* model, const char* precision,
                                                         const char* path, flashlm_evaluation* out);

/* --- Session: a stream of tokens through a model; for one thread at a time (a second one is refused). Sessions of one
 * model may run at the same time: they take turns, token by token ------------------------------------------------- */

typedef struct flashlm_session flashlm_session;

/* precision: as above, but NULL is what decodes fastest here. */
FLASHLM_C_API flashlm_status flashlm_session_new(const flashlm_model* model, const char* precision,
                                                 flashlm_session** out);
FLASHLM_C_API void flashlm_session_free(flashlm_session* session);
/* Reads `count` >= 1 more tokens. log_probs, [vocab], are the natural logarithms of the probabilities of what follows;
 * NULL: not wanted. */
FLASHLM_C_API flashlm_status flashlm_session_feed(flashlm_session* session, const int32_t* ids, size_t count,
                                                  float* log_probs);
/* Back to the beginning. */
FLASHLM_C_API flashlm_status flashlm_session_reset(flashlm_session* session);
/* Tokens read since the beginning; any thread may ask. -1 of NULL. */
FLASHLM_C_API int64_t flashlm_session_position(const flashlm_session* session);

/* --- Generator: a text being written, through its session, whose thread's it is ------------------------------------
 */

typedef struct flashlm_generator flashlm_generator;

typedef struct flashlm_generate_options {
  int max_tokens;
  double temperature;       /* divides the logits; 0: always the most probable token */
  int top_k;                /* keep the k most probable tokens; 0: all */
  double top_p;             /* keep the shortest list of tokens whose mass exceeds p; 1: all */
  double min_p;             /* drop tokens below this fraction of the best one's probability */
  double frequency_penalty; /* taken from a logit per recent occurrence */
  int penalty_window;       /* tokens back that count as recent */
  int64_t seed;             /* the same seed writes the same text */
  int search;               /* weigh this many candidates with the model's value head; 0: sample */
  double search_beta;       /* weight of the value head in the search */
} flashlm_generate_options;

/* What the program flashlm has when nothing is asked for. */
FLASHLM_C_API flashlm_generate_options flashlm_generate_defaults(void);
/* Begins a text: reads <eos> and the prompt. Whatever else the session is then used for ends it. options: NULL for the
 * defaults. The generator keeps its session alive. */
FLASHLM_C_API flashlm_status flashlm_generator_new(flashlm_session* session, const char* prompt, size_t size,
                                                   const flashlm_generate_options* options, flashlm_generator** out);
FLASHLM_C_API void flashlm_generator_free(flashlm_generator* generator);
/* Writes one token more and gives what has become readable by it: whole characters of UTF-8, maybe none, valid until
 * the next call. piece is NULL when the text has ended. */
FLASHLM_C_API flashlm_status flashlm_generator_next(flashlm_generator* generator, const char** piece, size_t* size);
/* {"text", "tokens", "stop_reason": "eos", "length" or "request", "prompt_tokens", "prompt_tokens_per_s",
 * "tokens_per_s"} of what was written so far, as a string of JSON that is the caller's. Any thread may ask. */
FLASHLM_C_API flashlm_status flashlm_generator_describe(const flashlm_generator* generator, char** json);

/* --- Training: on the calling thread, with as many others as OpenMP has for it --------------------------------------
 */

/* In the words of `flashlm train --help`; NULL is what is left out. Initialise with {0}. */
typedef struct flashlm_train_config {
  const char* data;   /* folder made by `flashlm data prepare` */
  const char* out;    /* run folder to make */
  const char* resume; /* instead of out: the run folder to go on with */
  const char* start;  /* a model whose values and shape a new run starts with; needs a preset */
  const char* preset;
  const char* recipe;
  const char* time; /* the budget is one of four: "10m" of training */
  const char* hours;
  const char* tokens;
  const char* steps;
  const char* const* set; /* settings, as "train.checkpoint_every=100" */
  size_t set_count;
  const uint64_t* seed;
  int tensorboard; /* not 0: write TensorBoard event files into the run folder, too */
} flashlm_train_config;

/* Given after every step and every evaluation. */
typedef struct flashlm_train_progress {
  int evaluation; /* not 0: of held-out text, after a step; else of the step's own */
  int64_t step, tokens;
  double fraction;      /* of the budget that is done, 0 to 1 */
  double loss;          /* nats per token */
  double bits_per_byte; /* the same */
  double tokens_per_s;
  const char* line; /* of log.jsonl, as JSON; valid during the call */
  size_t line_size;
} flashlm_train_progress;

/* 0 ends training; all is saved first. */
typedef int (*flashlm_on_progress)(const flashlm_train_progress* progress, void* user);

/* Trains until the budget is done or on_progress (which may be NULL) ends it. result: {"finished", "run" (its folder),
 * "step", "tokens", "results": what results.json has, or null if not finished}, as a string of JSON that is the
 * caller's. */
FLASHLM_C_API flashlm_status flashlm_train(const flashlm_train_config* config, flashlm_on_progress on_progress,
                                           void* user, char** result);

#ifdef __cplusplus
}
#endif
