// The registry of architectures. A model file ends with
//
//   FLASHLM_REGISTER_MODEL("my-model", MyModel);
//
// where MyModel has `struct Config { int vocab; ...; void VisitFields(FieldVisitor&); void Validate() const; }`,
// a constructor MyModel(const Config&) that declares its parameters in bank(), and `static Config Tiny()`, a small
// instance on which every invariant of docs/architecture.md is tested. If its Forward calls WithInputTables it says so:
// `static constexpr bool kInputTables = true`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "models/model.h"

namespace flashlm {

struct ModelEntry {
  std::string name;
  // Reads the fields of `config` (without "architecture"), validates, builds; writes the complete fields back.
  std::function<std::unique_ptr<Model>(Json& config)> make;
  std::function<Json()> tiny;
  std::function<std::string()> help;  // the configuration fields, one line each
  bool input_tables = false;          // n-gram tables can be added to its input
};

void RegisterModel(ModelEntry entry);
const std::vector<ModelEntry>& RegisteredModels();
// Throws UsageError naming the nearest known one.
const ModelEntry& FindModel(const std::string& name);

template <class M>
concept TakesInputTables = M::kInputTables;

template <class M>
bool RegisterModelType(const char* name) {
  RegisterModel({name,
                 [](Json& config) -> std::unique_ptr<Model> {
                   typename M::Config fields;
                   FieldsFromJson(config, "model", fields);
                   fields.Validate();
                   config = FieldsToJson(fields);
                   return std::make_unique<M>(fields);
                 },
                 [] { return FieldsToJson(M::Tiny()); }, [] { return FieldsHelp<typename M::Config>(); },
                 TakesInputTables<M>});
  return true;
}

}  // namespace flashlm

#define FLASHLM_REGISTER_MODEL(name, Type) \
  [[maybe_unused]] static const bool kRegistered##Type = ::flashlm::RegisterModelType<Type>(name)
