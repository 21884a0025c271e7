// One declaration per configuration field: a struct lists its fields once, and from that list come reading (TOML and
// JSON), writing, `--set` overrides, range checks and the documentation in `--help`.
//
//   struct CortexConfig {
//     int d_model = 256;
//     void VisitFields(FieldVisitor& v) { v.Int("d_model", d_model, 16, 4096, "width of the residual stream"); }
//   };
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace flashlm {

class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  virtual void Bool(const char* name, bool& value, const char* doc) = 0;
  // Allowed range: low <= value <= high.
  virtual void Int(const char* name, int& value, int64_t low, int64_t high, const char* doc) = 0;
  virtual void Int64(const char* name, int64_t& value, int64_t low, int64_t high, const char* doc) = 0;
  virtual void Real(const char* name, double& value, double low, double high, const char* doc) = 0;
  // One of `choices`; any text if `choices` is empty.
  virtual void Text(const char* name, std::string& value, const std::vector<std::string>& choices, const char* doc) = 0;
};

namespace internal {

class JsonWriter final : public FieldVisitor {
 public:
  Json object = Json::object();
  void Bool(const char* name, bool& value, const char*) override { object[name] = value; }
  void Int(const char* name, int& value, int64_t, int64_t, const char*) override { object[name] = value; }
  void Int64(const char* name, int64_t& value, int64_t, int64_t, const char*) override { object[name] = value; }
  void Real(const char* name, double& value, double, double, const char*) override { object[name] = value; }
  void Text(const char* name, std::string& value, const std::vector<std::string>&, const char*) override {
    object[name] = value;
  }
};

class JsonReader final : public FieldVisitor {
 public:
  // `where` prefixes keys in messages, as in "model" for "model.d_model".
  JsonReader(const Json& object, std::string where);
  void Bool(const char* name, bool& value, const char* doc) override;
  void Int(const char* name, int& value, int64_t low, int64_t high, const char* doc) override;
  void Int64(const char* name, int64_t& value, int64_t low, int64_t high, const char* doc) override;
  void Real(const char* name, double& value, double low, double high, const char* doc) override;
  void Text(const char* name, std::string& value, const std::vector<std::string>& choices, const char* doc) override;
  // Throws UsageError for the first key that no field asked for, naming the nearest known one.
  // `others`: keys that somebody else reads.
  void RefuseUnknownKeys(const std::vector<std::string>& others) const;

 private:
  const Json* Find(const char* name);
  std::string Path(const char* name) const { return where_ + "." + name; }

  const Json& object_;
  std::string where_;
  std::vector<std::string> known_;
};

class HelpWriter final : public FieldVisitor {
 public:
  std::string text;
  void Bool(const char* name, bool& value, const char* doc) override;
  void Int(const char* name, int& value, int64_t low, int64_t high, const char* doc) override;
  void Int64(const char* name, int64_t& value, int64_t low, int64_t high, const char* doc) override;
  void Real(const char* name, double& value, double low, double high, const char* doc) override;
  void Text(const char* name, std::string& value, const std::vector<std::string>& choices, const char* doc) override;
};

}  // namespace internal

template <class Config>
Json FieldsToJson(const Config& config) {
  internal::JsonWriter writer;
  const_cast<Config&>(config).VisitFields(writer);  // visiting for writing does not change the fields
  return writer.object;
}

// Fields that `object` lacks keep their values. Unknown keys, wrong types and values out of range: UsageError.
// `others`: keys that are known, too, and not of `config`.
template <class Config>
void FieldsFromJson(const Json& object, const std::string& where, Config& config,
                    const std::vector<std::string>& others = {}) {
  internal::JsonReader reader(object, where);
  config.VisitFields(reader);
  reader.RefuseUnknownKeys(others);
}

// The same of an object that has others' fields too: those of `config` are taken out of it.
template <class Config>
void TakeFields(Json& object, const std::string& where, Config& config) {
  Json own = Json::object();
  const Json known = FieldsToJson(config);
  for (const auto& [key, value] : known.items()) {
    if (!object.contains(key)) continue;
    own[key] = object[key];
    object.erase(key);
  }
  FieldsFromJson(own, where, config);
}

// One line per field: name, default, range, meaning.
template <class Config>
std::string FieldsHelp(Config config = {}) {
  internal::HelpWriter writer;
  config.VisitFields(writer);
  return writer.text;
}

// Applies `--set section.key=value` to a configuration document; the value is read as TOML ("0.1", "true", "\"text\"",
// or bare text). Throws UsageError if there is no '=' or no section.
void ApplyOverride(const std::string& assignment, Json& document);

}  // namespace flashlm
