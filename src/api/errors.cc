#include "api/errors.h"

#include <new>
#include <utility>

#include "base/error.h"

namespace flashlm::api {

Error::Error(Kind kind, const std::string& what, std::string hint)
    : std::runtime_error(what), hint_(std::move(hint)), kind_(kind) {}

Error::~Error() = default;

std::string Error::OneLine() const { return flashlm::Error(what(), hint_).OneLine(); }

void Translate() {
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const UsageError& e) {
    throw Error(Error::Kind::kUsage, e.what(), e.hint());
  } catch (const flashlm::Error& e) {
    throw Error(Error::Kind::kFailed, e.what(), e.hint());
  } catch (const std::exception& e) {
    throw Error(Error::Kind::kDefect, e.what(), "this is a defect of FlashLM; please report it");
  }
}

}  // namespace flashlm::api
