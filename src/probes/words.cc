#include "probes/words.h"

#include "base/error.h"

namespace flashlm {
namespace {

// The order decides which pairs are held out (WordDeal::PairUp).
constexpr std::string_view kNames[] = {"Tim", "Lily", "Tom",  "Ben", "Max",  "Sue",  "Sam",   "Mia", "Lucy",  "Anna",
                                       "Bob", "Sara", "Jack", "Amy", "Jane", "John", "Sally", "Joe", "Molly", "Jill"};
constexpr std::string_view kThings[] = {"ball", "car",    "rock",  "boat",    "book", "truck",  "doll",
                                        "kite", "flower", "stick", "train",   "bike", "key",    "balloon",
                                        "bell", "chair",  "drum",  "blanket", "leaf", "button", "rope",
                                        "coin", "robot",  "spoon", "clock",   "lamp", "shell",  "brush"};
constexpr std::string_view kAnimals[] = {"bird",  "dog",  "cat",  "fish",   "bear", "bug",   "rabbit", "frog",
                                         "mouse", "duck", "lion", "bee",    "fox",  "cow",   "monkey", "horse",
                                         "snake", "wolf", "pig",  "turtle", "goat", "sheep", "tiger",  "squirrel"};
constexpr std::string_view kPlaces[] = {"park",  "house", "garden", "forest", "store", "kitchen", "yard", "castle",
                                        "tower", "field", "school", "cave",   "barn",  "zoo",     "tent", "market"};
constexpr std::string_view kContainers[] = {"box",  "hat", "bag",    "bowl",   "bottle", "jar",
                                            "sack", "pot", "basket", "bucket", "cup",    "chest"};
constexpr std::string_view kColors[] = {"red",   "blue",  "green", "yellow", "pink",
                                        "white", "brown", "black", "purple", "gold"};
constexpr std::string_view kFeelings[] = {"happy", "sad", "scared", "proud",  "angry", "brave", "tired",
                                          "cold",  "hot", "hungry", "lonely", "shy",   "sick",  "sleepy"};
constexpr std::string_view kFoods[] = {"cake",  "bread", "soup", "milk", "cheese", "honey", "fruit",
                                       "candy", "jam",   "rice", "corn", "juice",  "pizza", "hay"};
constexpr std::string_view kWeather[] = {"it rains",   "it snows",  "it is sunny",  "it is windy",
                                         "it is cold", "it is hot", "it is cloudy", "it is warm"};
constexpr std::string_view kNewTraining[] = {
    "dax",  "wug",  "fep",  "zorp", "mib",  "tulo", "gorp", "blick", "nupa", "vash", "kelo", "rix",  "zill",
    "moxo", "bipo", "kreb", "lumo", "narf", "pliv", "quab", "rono",  "sefi", "tebi", "vonk", "wopi", "yub",
    "zanu", "blor", "drep", "frop", "gib",  "jek",  "klim", "lod",   "mupo", "nosk", "pimo", "rulf", "skib",
    "tave", "wem",  "zek",  "boro", "defi", "galo", "huni", "jaro",  "kiwu", "lapo", "meva", "nilo", "pafu",
    "ruko", "sibo", "tazi", "viro", "wago", "yoli", "zuma", "chof",  "flun"};
constexpr std::string_view kNewHeldOut[] = {"bem",  "dop", "ziv",  "kugi", "lorp", "snib",
                                            "fanu", "yeg", "trop", "hilo", "quon", "vek"};
// Comparable: so many bytes longer at most.
constexpr size_t kSlack = 2;

bool Comparable(const std::vector<std::string>& words) {
  for (const std::string& a : words) {
    for (const std::string& b : words) {
      if (&a != &b && (a.find(b) != std::string::npos || a.size() > b.size() + kSlack)) return false;
    }
  }
  return true;
}

// Every other word, from `first` on.
std::vector<std::string_view> Half(Words list, size_t first) {
  std::vector<std::string_view> half;
  for (size_t i = first; i < list.size(); i += 2) half.push_back(list[i]);
  return half;
}

}  // namespace

Words NameWords() { return kNames; }
Words ThingWords() { return kThings; }
Words AnimalWords() { return kAnimals; }
Words PlaceWords() { return kPlaces; }
Words ContainerWords() { return kContainers; }
Words ColorWords() { return kColors; }
Words FeelingWords() { return kFeelings; }
Words FoodWords() { return kFoods; }
Words WeatherWords() { return kWeather; }
Words NewWords(ProbeSplit split) { return split == ProbeSplit::kTrain ? Words(kNewTraining) : Words(kNewHeldOut); }

size_t WordDeal::SmallOften(size_t n) {
  constexpr size_t kFine = size_t{1} << 20;
  const double u = static_cast<double>(Below(kFine)) / kFine;
  return static_cast<size_t>(static_cast<double>(n) * u * u * u);
}

std::string_view WordDeal::Choose(std::string_view alternatives) {
  const auto more = static_cast<size_t>(std::count(alternatives.begin(), alternatives.end(), '|'));
  if (more == 0) return alternatives;
  for (size_t skip = Below(more + 1); skip > 0; --skip) alternatives.remove_prefix(alternatives.find('|') + 1);
  return alternatives.substr(0, alternatives.find('|'));
}

std::vector<std::string> WordDeal::Others(Words list, size_t count, const std::vector<std::string>& taken) {
  std::vector<std::string> left;
  for (const std::string_view word : list) {
    if (std::find(taken.begin(), taken.end(), word) == taken.end()) left.emplace_back(word);
  }
  FLASHLM_CHECK(left.size() >= count, "{} words asked of {}", count, left.size());
  Shuffle(left);
  left.resize(count);
  return left;
}

std::vector<std::string> WordDeal::Group(Words list, size_t count) {
  for (;;) {
    std::vector<std::string> words = Others(list, count, {});
    size_t places = 0;
    for (const std::string& word : words) places += std::find(list.begin(), list.end(), word) - list.begin();
    const bool held_out = places % 2 == 1;
    if (held_out == (split_ == ProbeSplit::kHeldOut) && Comparable(words)) return words;
  }
}

WordDeal::Pairs WordDeal::PairUp(Words keys, Words values, size_t key_count, size_t value_count, size_t endings) {
  const size_t of_keys = Below(2);
  const size_t of_values = split_ == ProbeSplit::kTrain ? of_keys : 1 - of_keys;
  const std::vector<std::string_view> half = Half(values, of_values);
  Pairs pairs{Others(Half(keys, of_keys), key_count, {}), {}};
  do {
    pairs.values = Others(half, endings, {});
  } while (!Comparable(pairs.values));
  for (std::string& word : Others(half, value_count - endings, pairs.values)) pairs.values.push_back(std::move(word));
  return pairs;
}

}  // namespace flashlm
