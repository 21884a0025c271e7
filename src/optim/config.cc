#include "optim/config.h"

#include "base/error.h"

namespace flashlm {

void OptimConfig::Validate() const {
  const UpdateRule& chosen = rules.Get(optimizer);
  chosen.Validate();
  if (cautious_decay && !chosen.DecaysCautiously()) {
    throw UsageError(fmt::format("optim.cautious_decay: not known to the rule '{}'", optimizer),
                     "adamw and muon have it");
  }
}

}  // namespace flashlm
