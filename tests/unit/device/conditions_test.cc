// When a device may train and upload: the rules, and what is read of a system laid out as Linux does.
#include "device/conditions/conditions.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "device/conditions/linux_conditions.h"

namespace runnel::device {
namespace {

namespace fs = std::filesystem;

Observed on_battery(double percent) {
  Observed observed;
  observed.has_battery = true;
  observed.battery_percent = percent;
  observed.external_power = false;
  return observed;
}

TEST(Hours, AreReadAsSpans) {
  const Result<Hours> hours = parse_hours("22:00-06:30,12:00-24:00");
  ASSERT_TRUE(hours.ok()) << hours.failure().text();
  ASSERT_EQ(hours->size(), 2U);
  EXPECT_EQ((*hours)[0].from, 22U * 60);
  EXPECT_EQ((*hours)[0].to, 6U * 60 + 30);
  EXPECT_EQ((*hours)[1].to, 24U * 60);
  EXPECT_TRUE(parse_hours("")->empty());
}

TEST(Hours, WhatIsNoSpanIsNamed) {
  for (const char* bad : {"22-6", "22:00", "22:60-06:00", "25:00-06:00", "06:00-06:00", "6:0-7:00", "24:00-06:00",
                          "x:00-06:00", "22:00-06:00-07:00", "-06:00"}) {
    const Result<Hours> hours = parse_hours(bad);
    ASSERT_FALSE(hours.ok()) << bad;
    EXPECT_EQ(hours.error(), Error::kMalformed);
    EXPECT_NE(std::string(hours.failure().text()).find(bad), std::string::npos) << hours.failure().text();
  }
  EXPECT_EQ(parse_hours("1:00-2:00,3:00-4:00,5:00-6:00,7:00-8:00,9:00-10:00").error(), Error::kLimit);
}

TEST(Gate, AsksForNothingByDefault) {
  Gate gate{ConditionSpec{}};
  EXPECT_FALSE(gate.update(Observed{}));
  EXPECT_TRUE(gate.open());
}

TEST(Gate, ABatteryThatHoversAroundItsLimitOpensOnlyWellAboveIt) {
  ConditionSpec spec;
  spec.battery_min = 30.0;
  Gate gate(spec);
  EXPECT_FALSE(gate.update(on_battery(30)));
  EXPECT_TRUE(gate.update(on_battery(29)));
  EXPECT_FALSE(gate.open());
  EXPECT_NE(gate.why().find("29 %"), std::string::npos) << gate.why();
  EXPECT_FALSE(gate.update(on_battery(34)));
  EXPECT_TRUE(gate.update(on_battery(35)));
  EXPECT_TRUE(gate.open());
  // On a charger the level does not matter.
  EXPECT_TRUE(gate.update(on_battery(10)));
  Observed charging = on_battery(10);
  charging.external_power = true;
  EXPECT_TRUE(gate.update(charging));
  EXPECT_TRUE(gate.open());
}

TEST(Gate, ALimitOfAHundredPercentCanBeReached) {
  ConditionSpec spec;
  spec.battery_min = 98.0;
  Gate gate(spec);
  EXPECT_TRUE(gate.update(on_battery(90)));
  EXPECT_TRUE(gate.update(on_battery(100)));
  EXPECT_TRUE(gate.open());
}

TEST(Gate, HeatClosesItUntilItIsWellCooler) {
  ConditionSpec spec;
  spec.temperature_max = 60.0;
  Gate gate(spec);
  Observed observed;
  observed.temperature = 60.0;
  EXPECT_FALSE(gate.update(observed));
  observed.temperature = 61.0;
  EXPECT_TRUE(gate.update(observed));
  observed.temperature = 56.0;
  EXPECT_FALSE(gate.update(observed));
  observed.temperature = 55.0;
  EXPECT_TRUE(gate.update(observed));
}

TEST(Gate, HoursMayGoOverMidnight) {
  ConditionSpec spec;
  spec.hours = *parse_hours("22:00-06:00");
  Gate gate(spec);
  const auto open_at = [&](uint32_t minute) {
    Observed observed;
    observed.minute_of_day = minute;
    gate.update(observed);
    return gate.open();
  };
  EXPECT_TRUE(open_at(22 * 60));
  EXPECT_TRUE(open_at(0));
  EXPECT_TRUE(open_at(6 * 60 - 1));
  EXPECT_FALSE(open_at(6 * 60));
  EXPECT_FALSE(open_at(22 * 60 - 1));
}

TEST(Gate, WhatCannotBeToldClosesIt) {
  const Observed nothing;
  Observed battery;
  battery.has_battery = true;
  const auto closed_by = [](const ConditionSpec& spec, const Observed& observed) {
    Gate gate(spec);
    gate.update(observed);
    return gate.why();
  };
  ConditionSpec spec;
  spec.external_power = true;
  EXPECT_NE(closed_by(spec, nothing).find("external power"), std::string::npos);
  spec = {};
  spec.battery_min = 20.0;
  EXPECT_NE(closed_by(spec, battery).find("battery"), std::string::npos);
  EXPECT_EQ(closed_by(spec, nothing), "");  // there is none
  spec = {};
  spec.temperature_max = 70.0;
  EXPECT_NE(closed_by(spec, nothing).find("temperature"), std::string::npos);
  spec = {};
  spec.hours = *parse_hours("00:00-24:00");
  EXPECT_NE(closed_by(spec, nothing).find("clock"), std::string::npos);
  spec = {};
  spec.unmetered = true;
  EXPECT_NE(closed_by(spec, nothing).find("network"), std::string::npos);
}

// A folder that looks like the root of a Linux system.
class FakeSystem {
 public:
  FakeSystem() {
    std::string pattern = (fs::temp_directory_path() / "runnel-sysfs-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    options_.root = root_.string();
    options_.unix_time_s = [this] { return time_; };
  }
  ~FakeSystem() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  FakeSystem(const FakeSystem&) = delete;
  FakeSystem& operator=(const FakeSystem&) = delete;

  void put(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << '\n';
  }
  void set_time(int64_t time) { time_ = time; }
  LinuxConditionOptions& options() { return options_; }
  Observed observe() { return LinuxConditions(options_).observe(); }

 private:
  fs::path root_;
  int64_t time_ = 1'750'000'000;
  LinuxConditionOptions options_;
};

TEST(LinuxConditions, ABoardWithoutABatteryIsFed) {
  FakeSystem system;
  const Observed observed = system.observe();
  EXPECT_FALSE(observed.has_battery);
  EXPECT_EQ(observed.external_power, true);
  EXPECT_FALSE(observed.temperature.has_value());
  EXPECT_FALSE(observed.metered.has_value());
  EXPECT_TRUE(observed.minute_of_day.has_value());
}

TEST(LinuxConditions, TheEmptiestBatteryCountsAndAMousesDoesNot) {
  FakeSystem system;
  system.put("sys/class/power_supply/BAT0/type", "Battery");
  system.put("sys/class/power_supply/BAT0/capacity", "80");
  system.put("sys/class/power_supply/BAT0/status", "Discharging");
  system.put("sys/class/power_supply/BAT1/type", "Battery");
  system.put("sys/class/power_supply/BAT1/energy_now", "20");
  system.put("sys/class/power_supply/BAT1/energy_full", "50");
  system.put("sys/class/power_supply/hid/type", "Battery");
  system.put("sys/class/power_supply/hid/scope", "Device");
  system.put("sys/class/power_supply/hid/capacity", "3");
  system.put("sys/class/power_supply/AC/type", "Mains");
  system.put("sys/class/power_supply/AC/online", "0");
  Observed observed = system.observe();
  EXPECT_TRUE(observed.has_battery);
  EXPECT_EQ(observed.battery_percent, 40.0);
  EXPECT_EQ(observed.external_power, false);
  system.put("sys/class/power_supply/AC/online", "1");
  EXPECT_EQ(system.observe().external_power, true);
  system.put("sys/class/power_supply/BAT1/energy_full", "rubbish");
  EXPECT_FALSE(system.observe().battery_percent.has_value());
}

TEST(LinuxConditions, AChargingBatteryIsFedWithoutAnyOtherSupply) {
  FakeSystem system;
  system.put("sys/class/power_supply/bq/type", "Battery");
  system.put("sys/class/power_supply/bq/capacity", "250");
  EXPECT_FALSE(system.observe().external_power.has_value());
  EXPECT_FALSE(system.observe().battery_percent.has_value());
  system.put("sys/class/power_supply/bq/status", "Charging");
  EXPECT_EQ(system.observe().external_power, true);
}

TEST(LinuxConditions, TheHottestPlausibleSensorCounts) {
  FakeSystem system;
  system.put("sys/class/thermal/thermal_zone0/temp", "41500");
  system.put("sys/class/thermal/thermal_zone1/temp", "-274000");
  system.put("sys/class/thermal/cooling_device0/temp", "99000");
  system.put("sys/class/power_supply/BAT0/type", "Battery");
  system.put("sys/class/power_supply/BAT0/temp", "452");
  EXPECT_EQ(system.observe().temperature, 45.2);
}

TEST(LinuxConditions, TheDefaultRouteSaysWhetherTheNetworkIsMetered) {
  FakeSystem system;
  const std::string header = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
  const std::string mobile = "wwan0\t00000000\t0100000A\t0003\t0\t0\t700\t00000000\t0\t0\t0\n";
  const std::string cable = "eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0";
  system.put("sys/class/net/wwan0/uevent", "DEVTYPE=wwan\nINTERFACE=wwan0");
  system.put("sys/class/net/eth0/uevent", "INTERFACE=eth0");
  system.put("proc/net/route", header + mobile + cable);
  EXPECT_EQ(system.observe().metered, false);
  system.put("proc/net/route", header + mobile);
  EXPECT_EQ(system.observe().metered, true);
  system.put("proc/net/route", header + cable);
  system.options().metered_interfaces = {"eth0"};
  EXPECT_EQ(system.observe().metered, true);
  system.put("proc/net/route", header);
  EXPECT_FALSE(system.observe().metered.has_value());
  const std::string none(32, '0');
  const std::string next_hop(32, 'f');
  system.put("proc/net/ipv6_route",
             none + " 00 " + none + " 00 " + next_hop + " 00000400 00000001 00000000 00000003 ppp0");
  system.put("sys/class/net/ppp0/type", "512");
  EXPECT_EQ(system.observe().metered, true);
}

TEST(LinuxConditions, AClockThatWasNeverSetTellsNoHour) {
  FakeSystem system;
  system.set_time(86400);
  EXPECT_FALSE(system.observe().minute_of_day.has_value());
}

}  // namespace
}  // namespace runnel::device
