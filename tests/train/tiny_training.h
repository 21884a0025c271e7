// A small model to be trained, as tests of training steps take it.
#pragma once

#include <memory>
#include <string>

#include "models/registry.h"

namespace flashlm {

// The architecture's tiny configuration, changed by `overrides`, with gradients and random parameters.
inline std::unique_ptr<Model> TinyForTraining(const std::string& architecture, const Json& overrides = Json::object()) {
  Json config = FindModel(architecture).tiny();
  config["architecture"] = architecture;
  config.update(overrides);
  std::unique_ptr<Model> model = MakeModel(config, /*for_training=*/true);
  model->bank().Initialize(5);
  return model;
}

}  // namespace flashlm
