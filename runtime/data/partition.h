// Which training rows belong to which device, when one file is dealt out to a fleet. Every device works the partition
// out for itself from the labels (or keys) and the seed, and all of them arrive at the same one.
//
// - iid: an equal random share each (sizes differ by at most one).
// - dirichlet:ALPHA: for each class, the devices' shares of its rows are drawn from a symmetric Dirichlet(ALPHA): the
// label
//   skew of Hsu et al. 2019 in its per-class form. Small ALPHA: a few classes a device. Afterwards a device with fewer
//   than min(kPartitionRowsMin, rows / devices) rows is given some, one at a time, from the device that has the most
//   then, out of that device's largest class (the lowest number wins a tie).
// - shards:K: rows sorted by label are cut into devices * K runs of (nearly) equal length, and each device is dealt K
// of
//   them at random (McMahan et al. 2017).
// - key: device i has all rows of the i-th smallest key; keys beyond the last device are left out.
// - speaker: of a text; device i has what the i-th of the speakers says (text_windows.h).
//
// iid, dirichlet and shards give every row to exactly one device. iid, shards and key use integers only; dirichlet's
// shares go through the C library's log and pow, so devices that compare rows should run the same one. Memory: 4 bytes
// a row, and for dirichlet 4 bytes for each device and class while it is worked out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace runnel::data {

inline constexpr uint32_t kPartitionRowsMin = 10;
inline constexpr uint32_t kPartitionDevicesMax = 1U << 20;

enum class PartitionKind : uint8_t { kIid, kDirichlet, kShards, kKey, kSpeaker };

struct PartitionSpec {
  PartitionKind kind = PartitionKind::kIid;
  double alpha = 0.0;    // dirichlet; [0.001, 1000000]
  uint32_t shards = 0;   // shards a device; 1..65536
  std::string key_path;  // key: an IDX file with one key a row
};

class Partition {
 public:
  // iid, dirichlet or shards. Fails with kInvalidArgument when there are more devices (or shards) than rows, or no
  // device; kLimit when devices times classes is beyond 2^24. REQUIRES: spec.kind is one of these.
  static Result<Partition> by_labels(const PartitionSpec& spec, std::span<const uint16_t> labels, uint32_t device_count,
                                     uint64_t seed);

  // key. Fails with kInvalidArgument when there are fewer distinct keys than devices.
  static Result<Partition> by_keys(std::span<const int32_t> keys, uint32_t device_count);

  uint32_t device_count() const { return static_cast<uint32_t>(first_segment_.size() - 1); }

  // The device's rows in ascending order. REQUIRES: device < device_count().
  std::vector<uint32_t> rows_of(uint32_t device) const;

 private:
  struct Segment {
    uint32_t begin = 0;
    uint32_t end = 0;
  };
  Partition() = default;
  void deal_iid(uint32_t device_count, uint64_t seed);
  Failure deal_shards(std::span<const uint16_t> labels, uint32_t device_count, uint32_t shards, uint64_t seed);
  Failure deal_dirichlet(std::span<const uint16_t> labels, uint32_t device_count, double alpha, uint64_t seed);

  std::vector<uint32_t> order_;          // all rows; segments are stretches of it
  std::vector<Segment> segments_;        // grouped by device
  std::vector<uint32_t> first_segment_;  // of each device, and the end
};

}  // namespace runnel::data
