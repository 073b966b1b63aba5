#include "bench/rate_links.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace runnel::bench {
namespace {

constexpr const char* kTable =
    "tech,protocol,metric,unit,n,p5,p25,p50,p75,p95\n"
    "nbiot,mqtt,latency,ms,156,100,200,400,800,1600\r\n"
    "nbiot,mqtt,Link throughput,bit/s,156,10000,20000,40000,50000,60000\n"
    "nbiot,coap,latency,ms,156,9,8,7,6,5\n"
    "ltem,mqtt,latency,ms,156,1,2,3,4\n";

TEST(RateLinks, FindsTheLineOfAMeasurement) {
  EXPECT_EQ(find_quantiles(kTable, "nbiot", "mqtt", "Link throughput"), (Quantiles{10000, 20000, 40000, 50000, 60000}));
  EXPECT_EQ(find_quantiles(kTable, "nbiot", "mqtt", "latency")[4], 1600.0);
  EXPECT_THROW(find_quantiles(kTable, "nbiot", "mqtt", "lag"), std::runtime_error);
  EXPECT_THROW(find_quantiles(kTable, "ltem", "mqtt", "latency"), std::runtime_error);   // a field is missing
  EXPECT_THROW(find_quantiles(kTable, "nbiot", "coap", "latency"), std::runtime_error);  // they descend
}

TEST(RateLinks, ValuesBetweenQuantilesAreGeometric) {
  const Quantiles quantiles = {100, 200, 400, 800, 1600};
  EXPECT_DOUBLE_EQ(at_quantile(quantiles, 0.5), 400.0);
  EXPECT_NEAR(at_quantile(quantiles, 0.375), 200.0 * std::sqrt(2.0), 1e-9);
  EXPECT_DOUBLE_EQ(at_quantile(quantiles, 0.01), 100.0);
  EXPECT_DOUBLE_EQ(at_quantile(quantiles, 0.99), 1600.0);
}

TEST(RateLinks, AModuleStaysWithinWhatWasMeasuredAndWanders) {
  const Quantiles rates = {10000, 20000, 40000, 50000, 60000};
  const Quantiles trips = {100, 200, 400, 800, 1600};
  const fleet::RateTrace trace = make_module_trace("m", rates, trips, Rng(5));
  const fleet::RateTrace again = make_module_trace("m", rates, trips, Rng(5));
  EXPECT_GE(trace.length(), seconds(900));
  double lowest = 1e9, highest = 0.0;
  for (size_t i = 0; i < trace.rows().size(); ++i) {
    const fleet::LinkRow& row = trace.rows()[i];
    lowest = std::min(lowest, row.up_kbps);
    highest = std::max(highest, row.up_kbps);
    EXPECT_GE(row.latency, milliseconds(50));
    EXPECT_LE(row.latency, milliseconds(800));
    EXPECT_EQ(row.up_kbps, again.rows()[i].up_kbps);
  }
  EXPECT_GE(lowest, 10.0);
  EXPECT_LE(highest, 60.0);
  EXPECT_GT(highest, 1.2 * lowest);
}

TEST(RateLinks, WithoutMeasurementsLinksAreMadeUpByTurns) {
  const std::vector<fleet::RateTrace> links = make_links({}, 5, 1);
  ASSERT_EQ(links.size(), 5U);
  EXPECT_EQ(links[0].name(), "nbiot");
  EXPECT_EQ(links[1].name(), "3g-bus");
  EXPECT_EQ(links[2].name(), "lte-m");
  EXPECT_EQ(links[4].name(), "nbiot");
  EXPECT_NE(links[0].rows()[0].up_kbps, links[4].rows()[0].up_kbps);
  EXPECT_EQ(links[3].rows()[7].up_kbps, make_links({}, 4, 1)[3].rows()[7].up_kbps);
  EXPECT_THROW(make_links("/nowhere", 1, 1), std::exception);
}

}  // namespace
}  // namespace runnel::bench
