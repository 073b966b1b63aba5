// When a device may train, and when it may use its link: battery, power, hours, temperature, metered networks.
//
// Rules over observed values, without a clock or a file: who observes is replaceable (ConditionSource). What cannot be
// observed, but is asked for, closes the gate: a device that cannot tell how full its battery is must not drain it.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"

namespace runnel::device {

// The world as it is now. nullopt: it cannot be told.
struct Observed {
  bool has_battery = false;
  std::optional<double> battery_percent;  // of the emptiest battery; REQUIRES has_battery
  std::optional<bool> external_power;     // true on a board without a battery
  std::optional<double> temperature;      // of the hottest sensor, degrees Celsius
  std::optional<bool> metered;            // the network that leads out costs by volume
  std::optional<uint32_t> minute_of_day;  // local time, 0..1439; nullopt while the clock is not set
};

// Who observes: Linux's sysfs, or whatever a board has instead.
class ConditionSource {
 public:
  virtual ~ConditionSource() = default;
  virtual Observed observe() = 0;
};

// [from, to) in minutes of the day; to < from is over midnight.
struct HourSpan {
  uint32_t from = 0;
  uint32_t to = 0;
};
inline constexpr size_t kHourSpansMax = 4;
using Hours = StaticVector<HourSpan, kHourSpansMax>;

// "22:00-06:00,12:00-13:30" as spans; kMalformed naming the part that is none, kLimit beyond kHourSpansMax.
Result<Hours> parse_hours(std::string_view text);

// What must hold. The defaults ask for nothing.
struct ConditionSpec {
  double battery_min = 0.0;     // percent; with external power it does not matter. 0..100
  bool external_power = false;  // only while charging or fed
  bool unmetered = false;       // only on a network that does not cost by volume
  double temperature_max = std::numeric_limits<double>::infinity();  // degrees Celsius
  Hours hours;                                                       // empty: always

  bool asks() const {
    return battery_min > 0.0 || external_power || unmetered || !hours.empty() ||
           temperature_max < std::numeric_limits<double>::infinity();
  }
};

// One gate, with a margin so that a value that hovers around its limit does not open and close it every minute: closed
// by the battery it opens 5 points above the limit, closed by the temperature 5 degrees below.
class Gate {
 public:
  static constexpr double kBatteryMargin = 5.0;
  static constexpr double kTemperatureMargin = 5.0;

  explicit Gate(const ConditionSpec& spec) : spec_(spec) {}

  // True if the gate opened or closed by it, or stays closed for another reason.
  bool update(const Observed& now);
  bool open() const { return why_.empty(); }
  const std::string& why() const { return why_; }  // what keeps it closed; empty when it is open

 private:
  std::string reason(const Observed& now);

  ConditionSpec spec_;
  bool battery_low_ = false;
  bool hot_ = false;
  std::string why_;
};

}  // namespace runnel::device
