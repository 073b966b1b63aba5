#include "runtime/data/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "runtime/base/rng.h"

namespace runnel::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Parts = std::vector<std::vector<uint32_t>>;

std::vector<uint16_t> random_labels(uint32_t rows, uint32_t classes, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint16_t> labels(rows);
  for (uint16_t& label : labels) label = static_cast<uint16_t>(rng.below(classes));
  return labels;
}

PartitionSpec spec_of(PartitionKind kind, double alpha = 0.0, uint32_t shards = 0) {
  PartitionSpec spec;
  spec.kind = kind;
  spec.alpha = alpha;
  spec.shards = shards;
  return spec;
}

Parts parts_of(const Result<Partition>& partition) {
  EXPECT_TRUE(partition.ok()) << partition.failure().text();
  Parts parts;
  if (!partition.ok()) return parts;
  for (uint32_t device = 0; device < partition->device_count(); ++device) parts.push_back(partition->rows_of(device));
  return parts;
}

void expect_disjoint_and_complete(const Parts& parts, uint32_t rows) {
  std::vector<uint32_t> owners(rows);
  for (const auto& part : parts) {
    EXPECT_TRUE(std::is_sorted(part.begin(), part.end()));
    for (const uint32_t row : part) {
      ASSERT_LT(row, rows);
      ++owners[row];
    }
  }
  EXPECT_EQ(std::count(owners.begin(), owners.end(), 1U), rows);
}

size_t distinct_labels(const std::vector<uint32_t>& rows, const std::vector<uint16_t>& labels) {
  std::set<uint16_t> seen;
  for (const uint32_t row : rows) seen.insert(labels[row]);
  return seen.size();
}

// Total variation distance between a device's labels and the fleet's, averaged over devices: 0 is no skew.
double label_skew(const Parts& parts, const std::vector<uint16_t>& labels, uint32_t classes) {
  std::vector<double> all(classes);
  for (const uint16_t label : labels) all[label] += 1.0 / static_cast<double>(labels.size());
  double sum = 0.0;
  for (const auto& part : parts) {
    std::vector<double> own(classes);
    for (const uint32_t row : part) own[labels[row]] += 1.0 / static_cast<double>(part.size());
    for (uint32_t k = 0; k < classes; ++k) sum += std::abs(own[k] - all[k]) / 2.0;
  }
  return sum / static_cast<double>(parts.size());
}

class EveryRowOnce : public ::testing::TestWithParam<std::tuple<PartitionSpec, uint32_t, uint32_t>> {};

TEST_P(EveryRowOnce, DisjointCompleteAndTheSameForEverybody) {
  const auto& [spec, rows, devices] = GetParam();
  const auto labels = random_labels(rows, 10, 5);
  const Parts parts = parts_of(Partition::by_labels(spec, labels, devices, 42));
  ASSERT_EQ(parts.size(), devices);
  expect_disjoint_and_complete(parts, rows);
  EXPECT_EQ(parts, parts_of(Partition::by_labels(spec, labels, devices, 42)));
  for (const auto& part : parts) EXPECT_GE(part.size(), std::min(kPartitionRowsMin, rows / devices));
  if (devices > 1 && rows > 100) {
    EXPECT_NE(parts, parts_of(Partition::by_labels(spec, labels, devices, 43)));
  }
}

INSTANTIATE_TEST_SUITE_P(Partition, EveryRowOnce,
                         ::testing::Values(std::tuple(spec_of(PartitionKind::kIid), 1000, 7),
                                           std::tuple(spec_of(PartitionKind::kIid), 5, 5),
                                           std::tuple(spec_of(PartitionKind::kIid), 17, 1),
                                           std::tuple(spec_of(PartitionKind::kDirichlet, 0.3), 6000, 20),
                                           std::tuple(spec_of(PartitionKind::kDirichlet, 0.01), 1000, 90),
                                           std::tuple(spec_of(PartitionKind::kDirichlet, 0.001), 500, 10),
                                           std::tuple(spec_of(PartitionKind::kDirichlet, 100.0), 50, 50),
                                           std::tuple(spec_of(PartitionKind::kShards, 0.0, 2), 1003, 20),
                                           std::tuple(spec_of(PartitionKind::kShards, 0.0, 1), 10, 10)));

TEST(Partition, IidSharesAreEqualAndUnskewed) {
  const auto labels = random_labels(10007, 10, 1);
  const Parts parts = parts_of(Partition::by_labels(spec_of(PartitionKind::kIid), labels, 10, 3));
  for (const auto& part : parts) EXPECT_THAT(part.size(), ::testing::AnyOf(1000U, 1001U));
  EXPECT_LT(label_skew(parts, labels, 10), 0.06);
}

TEST(Partition, DirichletSkewGrowsAsAlphaFalls) {
  const auto labels = random_labels(20000, 10, 1);
  double skew[3];
  const double alphas[3] = {0.1, 1.0, 10.0};
  for (int i = 0; i < 3; ++i) {
    skew[i] = label_skew(parts_of(Partition::by_labels(spec_of(PartitionKind::kDirichlet, alphas[i]), labels, 20, 9)),
                         labels, 10);
  }
  EXPECT_GT(skew[0], 0.5);
  EXPECT_LT(skew[2], 0.2);
  EXPECT_GT(skew[0], skew[1] + 0.1);
  EXPECT_GT(skew[1], skew[2] + 0.1);
}

TEST(Partition, ShardsGiveFewLabelsToEachDevice) {
  std::vector<uint16_t> labels(2000);
  for (size_t row = 0; row < labels.size(); ++row) labels[row] = static_cast<uint16_t>(row % 10);
  const Parts parts = parts_of(Partition::by_labels(spec_of(PartitionKind::kShards, 0.0, 2), labels, 20, 4));
  for (const auto& part : parts) {
    EXPECT_EQ(part.size(), 100U);
    EXPECT_LE(distinct_labels(part, labels), 2U) << "40 shards of 50 rows divide 10 classes of 200 evenly";
  }
}

TEST(Partition, KeysGoToDevicesInAscendingOrder) {
  const std::vector<int32_t> keys = {30, -5, 30, 7, -5, 7, 99};
  EXPECT_THAT(parts_of(Partition::by_keys(keys, 3)),
              ElementsAre(ElementsAre(1, 4), ElementsAre(3, 5), ElementsAre(0, 2)));
  EXPECT_THAT(parts_of(Partition::by_keys(keys, 4)).back(), ElementsAre(6));
}

TEST(Partition, RefusesMoreDevicesThanThereAreShares) {
  const auto labels = random_labels(10, 3, 1);
  const auto too_many = Partition::by_labels(spec_of(PartitionKind::kIid), labels, 11, 1);
  EXPECT_EQ(too_many.error(), Error::kInvalidArgument);
  EXPECT_THAT(too_many.failure().text(), HasSubstr("11 devices cannot share 10 training rows"));
  EXPECT_EQ(Partition::by_labels(spec_of(PartitionKind::kIid), labels, 0, 1).error(), Error::kInvalidArgument);
  EXPECT_EQ(Partition::by_labels(spec_of(PartitionKind::kShards, 0.0, 3), labels, 4, 1).error(),
            Error::kInvalidArgument);
  EXPECT_EQ(Partition::by_labels(spec_of(PartitionKind::kDirichlet, 0.5), {}, 1, 1).error(), Error::kInvalidArgument);
  const std::vector<int32_t> keys = {1, 1, 2};
  EXPECT_THAT(Partition::by_keys(keys, 3).failure().text(),
              HasSubstr("3 devices, but the training rows have 2 distinct keys"));
}

TEST(Partition, RefusesATableOfSharesThatWouldNotFit) {
  std::vector<uint16_t> labels(60000);
  for (size_t row = 0; row < labels.size(); ++row) labels[row] = static_cast<uint16_t>(row);
  EXPECT_EQ(Partition::by_labels(spec_of(PartitionKind::kDirichlet, 1.0), labels, 1000, 1).error(), Error::kLimit);
}

}  // namespace
}  // namespace runnel::data
