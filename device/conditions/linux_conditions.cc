#include "device/conditions/linux_conditions.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace runnel::device {
namespace {

namespace fs = std::filesystem;

// A board without a battery-backed clock starts in 1970; everything before this build is not a time.
constexpr int64_t kClockSetAfter = 1'700'000'000;

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    found.push_back(it->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The first word of a file; empty if there is none.
std::string word_of(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

std::optional<double> number_of(const fs::path& path) {
  const std::string word = word_of(path);
  if (word.empty()) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  if (end != word.c_str() + word.size()) return std::nullopt;
  return value;
}

std::optional<double> percent_of(const fs::path& battery) {
  if (const auto capacity = number_of(battery / "capacity"); capacity && *capacity >= 0.0 && *capacity <= 100.0)
    return capacity;
  for (const char* kind : {"energy", "charge"}) {
    const auto now = number_of(battery / (std::string(kind) + "_now"));
    const auto full = number_of(battery / (std::string(kind) + "_full"));
    if (now && full && *full > 0.0 && *now >= 0.0) return std::min(100.0, 100.0 * *now / *full);
  }
  return std::nullopt;
}

bool plausible(double celsius) {
  return celsius > -50.0 && celsius < 150.0;
}

void note_temperature(std::optional<double>& hottest, double celsius) {
  if (plausible(celsius)) hottest = std::max(hottest.value_or(celsius), celsius);
}

}  // namespace

void LinuxConditions::observe_power(Observed& observed) const {
  bool supply_known = false;
  bool fed = false;
  for (const fs::path& supply : entries(options_.root + "/sys/class/power_supply")) {
    const std::string type = word_of(supply / "type");
    if (type.empty()) continue;
    if (type != "Battery") {
      const auto online = number_of(supply / "online");
      supply_known = supply_known || online.has_value();
      fed = fed || online.value_or(0.0) > 0.0;
      continue;
    }
    if (word_of(supply / "scope") == "Device") continue;  // of a mouse or a headset
    const bool first = !observed.has_battery;
    observed.has_battery = true;
    const auto percent = percent_of(supply);
    if (!percent || (!first && !observed.battery_percent)) {
      observed.battery_percent.reset();
    } else {
      observed.battery_percent = first ? *percent : std::min(*percent, *observed.battery_percent);
    }
    const std::string status = word_of(supply / "status");  // "Not charging" is full, or held below full, on a charger
    supply_known = supply_known || (!status.empty() && status != "Unknown");
    fed = fed || status == "Charging" || status == "Full" || status == "Not";
    if (const auto tenths = number_of(supply / "temp")) note_temperature(observed.temperature, *tenths / 10.0);
  }
  if (!observed.has_battery) {
    observed.external_power = true;  // it runs, so it is fed
  } else if (supply_known) {
    observed.external_power = fed;
  }
}

void LinuxConditions::observe_temperature(Observed& observed) const {
  for (const fs::path& zone : entries(options_.root + "/sys/class/thermal")) {
    if (zone.filename().string().rfind("thermal_zone", 0) != 0) continue;
    if (const auto thousandths = number_of(zone / "temp"))
      note_temperature(observed.temperature, *thousandths / 1000.0);
  }
}

// The interface of the default route with the smallest metric; IPv6 when IPv4 has none.
std::optional<std::string> LinuxConditions::outgoing_interface() const {
  std::optional<std::string> best;
  uint64_t best_metric = 0;
  const auto consider = [&](const std::string& name, uint64_t metric) {
    if (name == "lo" || (best && best_metric <= metric)) return;
    best = name;
    best_metric = metric;
  };
  std::ifstream routes(options_.root + "/proc/net/route");
  std::string line;
  for (std::getline(routes, line); std::getline(routes, line);) {
    std::istringstream fields(line);
    std::string name, destination, gateway, flags, references, uses, metric, mask;
    fields >> name >> destination >> gateway >> flags >> references >> uses >> metric >> mask;
    if (destination == "00000000" && mask == "00000000") consider(name, std::strtoull(metric.c_str(), nullptr, 10));
  }
  if (best) return best;
  std::ifstream routes6(options_.root + "/proc/net/ipv6_route");
  while (std::getline(routes6, line)) {
    std::istringstream fields(line);
    std::string destination, length, source, source_length, hop, metric, references, uses, flags, name;
    fields >> destination >> length >> source >> source_length >> hop >> metric >> references >> uses >> flags >> name;
    if (length == "00" && destination == std::string(32, '0'))
      consider(name, std::strtoull(metric.c_str(), nullptr, 16));
  }
  return best;
}

bool LinuxConditions::is_metered(const std::string& interface) const {
  const auto& named = options_.metered_interfaces;
  if (std::find(named.begin(), named.end(), interface) != named.end()) return true;
  const fs::path folder = options_.root + "/sys/class/net/" + interface;
  std::ifstream uevent(folder / "uevent");
  for (std::string line; std::getline(uevent, line);) {
    if (line == "DEVTYPE=wwan") return true;
  }
  return number_of(folder / "type").value_or(0.0) == 512.0;  // ARPHRD_PPP: a modem's serial line
}

Observed LinuxConditions::observe() {
  Observed observed;
  observe_power(observed);
  observe_temperature(observed);
  if (const auto interface = outgoing_interface()) observed.metered = is_metered(*interface);
  const int64_t now = options_.unix_time_s();
  if (now > kClockSetAfter) {
    const auto seconds = static_cast<std::time_t>(now);
    std::tm local{};
    if (localtime_r(&seconds, &local) != nullptr)
      observed.minute_of_day = static_cast<uint32_t>(local.tm_hour * 60 + local.tm_min);
  }
  return observed;
}

}  // namespace runnel::device
