// Classes that register themselves under a name, so that a new one is one file and no list elsewhere knows of it. An
// interface (an optimiser rule, a schedule, a term of the objective) gives its macro a name:
//
//   #define FLASHLM_REGISTER_RULE(name, Type) FLASHLM_REGISTER(::flashlm::UpdateRule, name, Type)
//
// and the file that defines a class of that kind ends with FLASHLM_REGISTER_RULE("my-rule", MyRule).
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fields.h"

namespace flashlm {

template <class Interface>
class Registry {
 public:
  struct Entry {
    std::string name;
    std::unique_ptr<Interface> (*make)();
    std::unique_ptr<Interface> (*copy)(const Interface&);
  };

  // Sorted by name: the order in which the files of a program register is nobody's promise.
  static const std::vector<Entry>& All() { return Entries(); }

  static std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const Entry& entry : All()) names.push_back(entry.name);
    return names;
  }

  template <class Type>
  static bool Add(const char* name) {
    const Entry entry{name, [] { return std::unique_ptr<Interface>(std::make_unique<Type>()); },
                      [](const Interface& x) {
                        return std::unique_ptr<Interface>(std::make_unique<Type>(static_cast<const Type&>(x)));
                      }};
    const auto at = std::lower_bound(Entries().begin(), Entries().end(), entry.name,
                                     [](const Entry& x, const std::string& key) { return x.name < key; });
    FLASHLM_CHECK(at == Entries().end() || at->name != entry.name, "'{}' is registered twice", name);
    Entries().insert(at, entry);
    return true;
  }

 private:
  static std::vector<Entry>& Entries() {
    static std::vector<Entry> entries;
    return entries;
  }
};

// An object of every registered class with its own settings, as a value: what a configuration holds. An Interface has
// `virtual void VisitFields(FieldVisitor&)`.
template <class Interface>
class OneOfEach {
 public:
  struct Member {
    std::string name;
    std::unique_ptr<Interface> object;
  };

  OneOfEach() {
    for (const auto& entry : Registry<Interface>::All()) members_.push_back({entry.name, entry.make()});
  }
  OneOfEach(const OneOfEach& other) {
    for (size_t i = 0; i < other.members_.size(); ++i) {
      const Member& member = other.members_[i];
      members_.push_back({member.name, Registry<Interface>::All()[i].copy(*member.object)});
    }
  }
  OneOfEach(OneOfEach&&) noexcept = default;
  OneOfEach& operator=(OneOfEach other) {
    members_.swap(other.members_);
    return *this;
  }

  auto begin() const { return members_.begin(); }
  auto end() const { return members_.end(); }

  // Throws UsageError naming the nearest known one.
  const Interface& Get(const std::string& name) const {
    for (const Member& member : members_) {
      if (member.name == name) return *member.object;
    }
    throw UsageError(fmt::format("'{}' is not known", name), NearestHint(name, Registry<Interface>::Names()));
  }

  void VisitFields(FieldVisitor& v) {
    for (const Member& member : members_) member.object->VisitFields(v);
  }

 private:
  std::vector<Member> members_;  // as in Registry<Interface>::All()
};

}  // namespace flashlm

#define FLASHLM_REGISTER(Interface, name, Type) \
  [[maybe_unused]] static const bool kRegistered##Type = ::flashlm::Registry<Interface>::Add<Type>(name)
