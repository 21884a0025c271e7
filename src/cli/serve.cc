// flashlm serve
#include <malloc.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <memory>
#include <regex>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "serve/heap.h"
#include "serve/service.h"

namespace flashlm::cli {
namespace {

struct ServeArguments {
  ServiceOptions service;
  HttpLimits http;
  std::string host = "127.0.0.1", keys;
  int port = 8080, cache_mb = 64, body_kb = 4096;
  double grace = 10;
  bool no_auth = false, json = false;
};

// As browsers say it: in small letters, without the port that goes without saying. It becomes part of an answer's head.
void TakeOrigin(const char* option, std::string& origin) {
  static const std::regex kOrigin(R"(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?)"),
      kUsualPort("^(http:.*):80$|^(https:.*):443$");
  if (!origin.empty() && !std::regex_match(origin, kOrigin)) {
    throw UsageError(fmt::format("{} '{}' is no origin", option, origin), "as https://example.org, without a path");
  }
  std::transform(origin.begin(), origin.end(), origin.begin(), [](unsigned char c) { return std::tolower(c); });
  origin = std::regex_replace(origin, kUsualPort, "$1$2");
}

// Whoever lets others in says so.
void CheckOptions(ServeArguments& options) {
  if (options.service.models.empty() && options.service.run.empty()) {
    throw UsageError("serve needs --model RUN, or --run RUN to watch", "a run folder or a model folder");
  }
  if (options.service.models.size() > 2) throw UsageError("--model more than twice", "two models stand side by side");
  TakeOrigin("--cors-origin", options.service.cors_origin);
  TakeOrigin("--frame-origin", options.service.frame_origin);
  TakeOrigin("--public-origin", options.service.public_origin);
  options.service.loopback = IsLoopback(options.host);
  if (!options.keys.empty()) options.service.api_keys = ReadApiKeys(options.keys);
  if (!options.service.loopback && options.keys.empty() && !options.no_auth) {
    throw UsageError(fmt::format("--host {} lets other machines in", options.host),
                     "name the keys that may ask with --api-key-file, or say --no-auth");
  }
  options.service.engine.cache_bytes = int64_t{options.cache_mb} << 20;
  options.http.body_bytes = static_cast<size_t>(options.body_kb) << 10;
  options.http.answer_seconds = options.service.seconds + 60;
}

std::string UrlOf(const std::string& host, int port) {
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("http://{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

void Run(ServeArguments& options) {
  CheckOptions(options);
  ShareOneHeap();
  InstallInterruptHandler();
  Service service(options.service);
  HttpServer http(
      options.host, options.port, options.http,
      [&](HttpRequest request, const std::shared_ptr<HttpReply>& reply) { service.Handle(std::move(request), reply); });
  service.Watch(&http);
  malloc_trim(0);  // what loading has left
  const std::string url = UrlOf(options.host, http.port());
  if (options.json) PrintJson({{"url", url}, {"port", http.port()}, {"models", service.ids()}});
  Say(fmt::format(
      "serving {} at {}/",
      options.service.models.empty() ? options.service.run : fmt::format("{}", fmt::join(service.ids(), ", ")), url));
  while (!Interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  http.StopListening();
  Say(fmt::format("finishing what was begun, {:g} s at most; a second signal ends at once", options.grace));
  if (!service.Finish(options.grace)) Say("some texts were cut off; their clients are told");
  service.Stop();
  // The last answers leave.
  for (int i = 0; i < 100 && http.answering() > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

void AddLimits(CLI::App& verb, ServeArguments& options) {
  EngineLimits& engine = options.service.engine;
  RequestLimits& request = options.service.request;
  verb.add_option("--streams", engine.streams, "texts written at once")->check(CLI::Range(1, 1024));
  verb.add_option("--queue", engine.waiting, "texts that wait for their turn; more: 429")->check(CLI::Range(1, 100000));
  verb.add_option("--cache-mb", options.cache_mb, "memory for prompts that were read, MB per model; 0: none")
      ->check(CLI::Range(0, 1 << 20));
  verb.add_option("--max-prompt", request.prompt_tokens, "tokens of a prompt")->check(CLI::Range(1, 1 << 24));
  verb.add_option("--max-tokens", request.new_tokens, "tokens of a text")->check(CLI::Range(1, 1 << 24));
  verb.add_option("--max-body-kb", options.body_kb, "kB of a request's body; more: 413")->check(CLI::Range(1, 1 << 20));
  verb.add_option("--max-connections", options.http.connections, "connections at once; beyond, idle ones are closed")
      ->check(CLI::Range(16, 100000));
  verb.add_option("--time-limit", options.service.seconds, "seconds that a request may take, waiting included")
      ->check(CLI::Range(0.1, 86400.0));
  verb.add_option("--grace", options.grace, "seconds for what was begun when Ctrl-C or SIGTERM ends the server")
      ->check(CLI::Range(0.0, 3600.0));
}

}  // namespace

void AddServe(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("serve", "an HTTP server with OpenAI's API, and a page for writing with a model");
  auto options = std::make_shared<ServeArguments>();
  verb->add_option("--model", options->service.models,
                   "run folder, checkpoint, model folder or packed file; a second one stands beside it on the page")
      ->take_all()
      ->allow_extra_args(false);
  verb->add_option("--run", options->service.run, "a run whose curves are shown at /run while it trains");
  verb->add_option("--host", options->host,
                   "address to listen at; one that other machines reach needs --api-key-file or --no-auth");
  verb->add_option("--port", options->port, "port; 0: any free one, which is said")->check(CLI::Range(0, 65535));
  CLI::Option* keys = verb->add_option("--api-key-file", options->keys, "a file with one API key a line");
  verb->add_flag("--no-auth", options->no_auth, "let everybody ask who reaches the address")->excludes(keys);
  verb->add_option("--cors-origin", options->service.cors_origin,
                   "another site whose pages may ask, as https://example.org");
  verb->add_option("--frame-origin", options->service.frame_origin,
                   "another site that may show the page inside its own, as https://huggingface.co");
  verb->add_option("--public-origin", options->service.public_origin,
                   "what the server is called where a proxy stands before it, as https://stories.example");
  AddLimits(*verb, *options);
  verb->add_option("--threads", options->service.engine.threads, "compute threads; 0: all")->check(CLI::Range(0, 1024));
  verb->add_option("--precision", options->service.precision,
                   "of matrix products: auto (what is fastest here; scores: the run's own), f32, bf16 or int8");
  verb->add_flag("--json", options->json, "print {\"url\", \"port\", \"models\"} once it listens");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
