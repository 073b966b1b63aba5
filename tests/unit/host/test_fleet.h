// A small fleet for tests: an authority, a coordinator, devices, and a calendar that tests can move.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "runtime/host/pki.h"

namespace runnel::host {

inline constexpr int64_t kToday = 1'767'225'600;  // 2026-01-01 00:00:00 UTC
inline constexpr int64_t kYearS = 365 * kDayS;

inline Entropy& test_entropy() {
  static const std::unique_ptr<Entropy> entropy = [] {
    auto created = Entropy::create();
    EXPECT_TRUE(created.ok());
    return std::move(*created);
  }();
  return *entropy;
}

struct TestFleet {
  Authority authority;
  Credentials coordinator;
  Credentials device;

  Credentials issue(const std::string& name, Role role, Validity validity = {kToday - kDayS, kToday + kYearS}) const {
    auto credentials = create_credentials(authority, name, role, validity, test_entropy());
    EXPECT_TRUE(credentials.ok()) << credentials.failure().text();
    return *credentials;
  }
};

inline TestFleet make_fleet(const std::string& name) {
  auto authority = create_authority(name, kToday - kYearS, test_entropy());
  EXPECT_TRUE(authority.ok()) << authority.failure().text();
  TestFleet fleet{*authority, {}, {}};
  fleet.coordinator = fleet.issue("coordinator-1", Role::kCoordinator);
  fleet.device = fleet.issue("pump-7", Role::kDevice);
  return fleet;
}

inline const TestFleet& test_fleet() {
  static const TestFleet fleet = make_fleet("fleet-a");
  return fleet;
}

inline const TestFleet& foreign_fleet() {
  static const TestFleet fleet = make_fleet("fleet-b");
  return fleet;
}

}  // namespace runnel::host
