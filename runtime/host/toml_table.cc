#include "runtime/host/toml_table.h"

#include <toml++/toml.h>

#include <charconv>
#include <cstdio>
#include <limits>
#include <set>
#include <utility>

namespace runnel::host {

struct TomlTable::State {
  std::shared_ptr<const toml::table> document;
  const toml::table* table = nullptr;  // within `document`; null for one that is not there
  std::string path;                    // "training." or empty
  std::set<std::string, std::less<>> asked;

  // Null when the key is not there.
  const toml::node* ask(std::string_view key) {
    asked.emplace(key);
    return table == nullptr ? nullptr : table->get(key);
  }
};

namespace {

const char* type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

std::string wanted(const char* type, const toml::node& found) {
  return std::string("must be ") + type + ", not " + type_name(found);
}

template <typename T>
std::string shortest(T value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  std::string result(text, end);
  if (result.find_first_of(".en") == std::string::npos) result += ".0";
  return result;
}

}  // namespace

TomlTable::TomlTable(std::unique_ptr<State> state) : state_(std::move(state)) {}
TomlTable::TomlTable(TomlTable&& other) noexcept = default;
TomlTable& TomlTable::operator=(TomlTable&& other) noexcept = default;
TomlTable::~TomlTable() = default;

Result<TomlTable> TomlTable::parse(std::string_view text) {
  try {
    auto state = std::make_unique<State>();
    state->document = std::make_shared<const toml::table>(toml::parse(text));
    state->table = state->document.get();
    return TomlTable(std::move(state));
  } catch (const toml::parse_error& error) {
    const std::string what(error.description());
    return fail(Error::kMalformed, "line %u: %s", static_cast<unsigned>(error.source().begin.line), what.c_str());
  }
}

bool TomlTable::has(std::string_view key) const {
  return state_->table != nullptr && state_->table->contains(key);
}

bool TomlTable::empty() const {
  return state_->table == nullptr || state_->table->empty();
}

uint32_t TomlTable::line_of(std::string_view key) const {
  if (state_->table == nullptr) return 1;
  if (const toml::node* node = state_->table->get(key)) return static_cast<uint32_t>(node->source().begin.line);
  return static_cast<uint32_t>(state_->table->source().begin.line);
}

Failure TomlTable::at(std::string_view key, Error error, const std::string& what) const {
  return fail(error, "line %u: %s%.*s %s", line_of(key), state_->path.c_str(), static_cast<int>(key.size()), key.data(),
              what.c_str());
}

Failure TomlTable::locate(Failure failure) const {
  const std::string_view text(failure.text());
  const std::string_view key = text.substr(0, text.find_first_of(" :"));
  if (!key.empty() && has(key)) {
    static_cast<void>(failure.prefix("line %u", line_of(key)));
  }
  return failure;
}

Failure TomlTable::read(std::string_view key, bool& value) {
  const toml::node* node = state_->ask(key);
  if (node == nullptr) return Error::kOk;
  const auto* found = node->as_boolean();
  if (found == nullptr) return at(key, Error::kMalformed, wanted("true or false", *node));
  value = found->get();
  return Error::kOk;
}

Failure TomlTable::read(std::string_view key, uint64_t& value) {
  const toml::node* node = state_->ask(key);
  if (node == nullptr) return Error::kOk;
  const auto* found = node->as_integer();
  if (found == nullptr) return at(key, Error::kMalformed, wanted("a whole number", *node));
  if (found->get() < 0)
    return at(key, Error::kOutOfRange, "must not be negative, as " + std::to_string(found->get()) + " is");
  value = static_cast<uint64_t>(found->get());
  return Error::kOk;
}

Failure TomlTable::read(std::string_view key, uint32_t& value) {
  uint64_t wide = value;
  RUNNEL_TRY(read(key, wide));
  if (wide > std::numeric_limits<uint32_t>::max()) {
    return at(key, Error::kOutOfRange, "must be at most 4294967295, not " + std::to_string(wide));
  }
  value = static_cast<uint32_t>(wide);
  return Error::kOk;
}

Failure TomlTable::read(std::string_view key, double& value) {
  const toml::node* node = state_->ask(key);
  if (node == nullptr) return Error::kOk;
  if (const auto* whole = node->as_integer()) {
    value = static_cast<double>(whole->get());
  } else if (const auto* fraction = node->as_floating_point()) {
    value = fraction->get();
  } else {
    return at(key, Error::kMalformed, wanted("a number", *node));
  }
  return Error::kOk;
}

Failure TomlTable::read(std::string_view key, float& value) {
  auto wide = static_cast<double>(value);
  RUNNEL_TRY(read(key, wide));
  value = static_cast<float>(wide);
  return Error::kOk;
}

Failure TomlTable::read(std::string_view key, std::string& value) {
  const toml::node* node = state_->ask(key);
  if (node == nullptr) return Error::kOk;
  const auto* found = node->as_string();
  if (found == nullptr) return at(key, Error::kMalformed, wanted("a string", *node));
  value = found->get();
  return Error::kOk;
}

Failure TomlTable::read(std::string_view key, size_t count_max, std::vector<uint32_t>& values) {
  const toml::node* node = state_->ask(key);
  if (node == nullptr) return Error::kOk;
  const auto* array = node->as_array();
  if (array == nullptr) {
    uint32_t single = 0;
    if (!node->is_integer()) return at(key, Error::kMalformed, wanted("a whole number or an array of them", *node));
    RUNNEL_TRY(read(key, single));
    values = {single};
    return Error::kOk;
  }
  if (array->size() > count_max) {
    return at(key, Error::kLimit,
              "has " + std::to_string(array->size()) + " numbers; at most " + std::to_string(count_max));
  }
  std::vector<uint32_t> found;
  for (const toml::node& element : *array) {
    const auto* number = element.as_integer();
    if (number == nullptr) return at(key, Error::kMalformed, wanted("an array of whole numbers", element) + " within");
    if (number->get() < 0 || number->get() > std::numeric_limits<uint32_t>::max()) {
      return at(key, Error::kOutOfRange, "holds " + std::to_string(number->get()) + ", not within 0..4294967295");
    }
    found.push_back(static_cast<uint32_t>(number->get()));
  }
  values = std::move(found);
  return Error::kOk;
}

Failure TomlTable::read(std::string_view key, size_t count_max, std::vector<std::string>& values) {
  const toml::node* node = state_->ask(key);
  if (node == nullptr) return Error::kOk;
  if (const auto* single = node->as_string()) {
    values = {single->get()};
    return Error::kOk;
  }
  const auto* array = node->as_array();
  if (array == nullptr) return at(key, Error::kMalformed, wanted("a string or an array of them", *node));
  if (array->size() > count_max) {
    return at(key, Error::kLimit,
              "has " + std::to_string(array->size()) + " strings; at most " + std::to_string(count_max));
  }
  std::vector<std::string> found;
  for (const toml::node& element : *array) {
    const auto* text = element.as_string();
    if (text == nullptr) return at(key, Error::kMalformed, wanted("an array of strings", element) + " within");
    found.push_back(text->get());
  }
  values = std::move(found);
  return Error::kOk;
}

Result<TomlTable> TomlTable::table(std::string_view key) {
  const toml::node* node = state_->ask(key);
  auto inner = std::make_unique<State>();
  inner->document = state_->document;
  inner->path = state_->path + std::string(key) + ".";
  if (node != nullptr) {
    inner->table = node->as_table();
    if (inner->table == nullptr) return at(key, Error::kMalformed, wanted("a table", *node));
  }
  return TomlTable(std::move(inner));
}

Result<std::vector<TomlTable>> TomlTable::tables(std::string_view key) {
  std::vector<TomlTable> result;
  const toml::node* node = state_->ask(key);
  if (node == nullptr) return result;
  const auto* array = node->as_array();
  if (array == nullptr) return at(key, Error::kMalformed, "must be tables under [[" + std::string(key) + "]]");
  for (const toml::node& element : *array) {
    auto inner = std::make_unique<State>();
    inner->document = state_->document;
    inner->path = state_->path + std::string(key) + ".";
    inner->table = element.as_table();
    if (inner->table == nullptr) return at(key, Error::kMalformed, "must be tables under [[" + std::string(key) + "]]");
    result.push_back(TomlTable(std::move(inner)));
  }
  return result;
}

Failure TomlTable::refuse_unread() const {
  if (state_->table == nullptr) return Error::kOk;
  // The table is sorted by key; the first one in the file is the one to name.
  const toml::key* first = nullptr;
  for (const auto& [key, node] : *state_->table) {
    if (state_->asked.contains(key.str())) continue;
    if (first == nullptr || key.source().begin.line < first->source().begin.line) first = &key;
  }
  if (first == nullptr) return Error::kOk;
  return fail(Error::kUnknownName, "line %u: unknown key %s%s", static_cast<unsigned>(first->source().begin.line),
              state_->path.c_str(), std::string(first->str()).c_str());
}

std::string toml_quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char character : text) {
    const auto code = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      quoted += '\\';
      quoted += character;
    } else if (code < 0x20 || code == 0x7F) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04X", static_cast<unsigned>(code));
      quoted += escaped;
    } else {
      quoted += character;
    }
  }
  return quoted + "\"";
}

std::string toml_float(float value) {
  return shortest(value);
}
std::string toml_float(double value) {
  return shortest(value);
}

}  // namespace runnel::host
