// What holds of a fleet that scripts/docker-fleet or scripts/netns-fleet ran behind links that the kernel shapes, as
// its results say (--json): everybody trained, somebody was killed meanwhile, and the links carried what the profile
// says.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace runnel::testing_programs {

// Of `rounds` rounds with updates in fp32 of the built-in model sensor-cnn.
inline void expect_trained_behind_shaped_links(const std::string& json, uint64_t rounds) {
  std::ifstream file(json);
  const auto result = nlohmann::json::parse(file);
  EXPECT_EQ(result.at("rounds").size(), rounds);
  uint64_t restarts = 0;
  double up_bytes = 0.0;
  double up_profile_bytes = 0.0;
  for (const auto& device : result.at("devices")) {
    restarts += device.at("restarts").get<uint64_t>();
    // An update of 15,310 numbers a round went up, with all that is around it.
    EXPECT_GT(device.at("uplink_bytes").get<uint64_t>(), rounds * 4U * 15'310U) << device.at("name");
    up_bytes += device.at("measured_link").at("up").at("bytes").get<double>();
    up_profile_bytes += device.at("measured_link").at("up").at("profile_bytes").get<double>();
  }
  EXPECT_GT(restarts, 0U);
  ASSERT_GT(up_profile_bytes, 100'000.0) << "the links were hardly busy";
  // Wide, for a machine with much else to do; in the mean over the devices it is a few percent.
  EXPECT_NEAR(up_bytes / up_profile_bytes, 1.0, 0.15);
}

}  // namespace runnel::testing_programs
