#include "runtime/data/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>

#include "runtime/base/rng.h"

namespace runnel::data {
namespace {

// Independent streams from one seed: which decision is drawn, then what for.
enum class Draw : uint64_t { kOrder = 0x706172740001, kShards, kShares };

Rng draw_rng(uint64_t seed, Draw draw, uint64_t part) {
  return Rng(derive_key(seed, static_cast<uint64_t>(draw), part));
}

// Fisher and Yates.
void shuffle(std::span<uint32_t> items, Rng rng) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[static_cast<size_t>(rng.below(i))]);
}

// Where the `part`-th of `parts` nearly equal stretches of `count` begins.
uint32_t cut(uint64_t count, uint64_t part, uint64_t parts) {
  return static_cast<uint32_t>(count * part / parts);
}

struct LabelGroups {
  std::vector<uint32_t> order;   // rows grouped by label, shuffled within a label
  std::vector<uint32_t> starts;  // of each label that occurs, and the end
};

LabelGroups group_by_label(std::span<const uint16_t> labels, uint64_t seed) {
  std::vector<uint32_t> starts(size_t{*std::max_element(labels.begin(), labels.end())} + 2);
  for (const uint16_t label : labels) ++starts[label + 1U];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());

  LabelGroups groups;
  groups.order.resize(labels.size());
  std::vector<uint32_t> next(starts.begin(), starts.end() - 1);
  for (uint32_t row = 0; row < labels.size(); ++row) groups.order[next[labels[row]]++] = row;
  for (uint32_t label = 0; label + 1 < starts.size(); ++label) {
    const uint32_t rows = starts[label + 1] - starts[label];
    if (rows == 0) continue;
    shuffle(std::span(groups.order).subspan(starts[label], rows), draw_rng(seed, Draw::kOrder, label));
    groups.starts.push_back(starts[label]);
  }
  groups.starts.push_back(static_cast<uint32_t>(labels.size()));
  return groups;
}

// counts[device * classes + k]: how many rows of class k the device gets.
class CountTable {
 public:
  CountTable(uint32_t devices, uint32_t classes)
      : devices_(devices), classes_(classes), counts_(size_t{devices} * classes) {}

  uint32_t& at(uint32_t device, uint32_t k) { return counts_[size_t{device} * classes_ + k]; }

  // Deals `rows` rows of class `k` by one draw of a symmetric Dirichlet: gamma variates divided by their sum.
  void deal_class(uint32_t k, uint32_t rows, double alpha, Rng rng) {
    std::vector<double> shares(devices_);
    double sum = 0.0;
    for (double& share : shares) sum += share = rng.gamma(alpha);
    if (!(sum > 0.0)) {  // a tiny alpha: every variate underflowed, and the limit is one device with everything
      at(static_cast<uint32_t>(rng.below(devices_)), k) += rows;
      return;
    }
    double cumulative = 0.0;
    uint32_t dealt = 0;
    for (uint32_t device = 0; device < devices_; ++device) {
      cumulative += shares[device];
      const bool last = device + 1 == devices_;
      const auto end = last ? rows : std::min(rows, static_cast<uint32_t>(cumulative / sum * rows));
      at(device, k) += end - dealt;
      dealt = end;
    }
  }

  // Terminates because rows_min * devices is at most the number of rows: while one device is below, another is above.
  void repair(uint32_t rows_min) {
    using Entry = std::pair<uint32_t, uint32_t>;  // rows, and the device's distance from the last: lowest number first
    std::priority_queue<Entry> richest;
    for (uint32_t device = 0; device < devices_; ++device) richest.emplace(total(device), devices_ - 1 - device);
    for (uint32_t poor = 0; poor < devices_; ++poor) {
      for (uint32_t rows = total(poor); rows < rows_min; ++rows) {
        const auto [donor_rows, key] = richest.top();
        const uint32_t donor = devices_ - 1 - key;
        RUNNEL_ASSERT(donor_rows > rows_min);
        richest.pop();
        const uint32_t k = largest_class(donor);
        --at(donor, k);
        ++at(poor, k);
        richest.emplace(donor_rows - 1, key);
      }
    }
  }

 private:
  std::span<const uint32_t> row(uint32_t device) const {
    return std::span(counts_).subspan(size_t{device} * classes_, classes_);
  }
  uint32_t total(uint32_t device) const { return std::reduce(row(device).begin(), row(device).end()); }
  uint32_t largest_class(uint32_t device) const {
    const auto counts = row(device);
    return static_cast<uint32_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
  }

  uint32_t devices_;
  uint32_t classes_;
  std::vector<uint32_t> counts_;
};

Failure check_devices(uint32_t device_count, size_t rows) {
  if (device_count == 0 || device_count > kPartitionDevicesMax) {
    return fail(Error::kInvalidArgument, "%u devices; 1 to %u are possible", device_count, kPartitionDevicesMax);
  }
  if (device_count > rows) {
    return fail(Error::kInvalidArgument, "%u devices cannot share %zu training rows", device_count, rows);
  }
  return Error::kOk;
}

}  // namespace

Result<Partition> Partition::by_labels(const PartitionSpec& spec, std::span<const uint16_t> labels,
                                       uint32_t device_count, uint64_t seed) {
  RUNNEL_TRY(check_devices(device_count, labels.size()));
  Partition partition;
  switch (spec.kind) {
    case PartitionKind::kIid:
      partition.order_.resize(labels.size());
      partition.deal_iid(device_count, seed);
      break;
    case PartitionKind::kShards:
      RUNNEL_TRY(partition.deal_shards(labels, device_count, spec.shards, seed));
      break;
    case PartitionKind::kDirichlet:
      RUNNEL_TRY(partition.deal_dirichlet(labels, device_count, spec.alpha, seed));
      break;
    case PartitionKind::kKey:
    case PartitionKind::kSpeaker:
      RUNNEL_ASSERT(spec.kind == PartitionKind::kIid);
  }
  return partition;
}

Result<Partition> Partition::by_keys(std::span<const int32_t> keys, uint32_t device_count) {
  RUNNEL_TRY(check_devices(device_count, keys.size()));
  Partition partition;
  std::vector<uint32_t>& order = partition.order_;
  order.resize(keys.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [keys](uint32_t a, uint32_t b) { return keys[a] != keys[b] ? keys[a] < keys[b] : a < b; });
  partition.first_segment_.push_back(0);
  for (uint32_t begin = 0; begin < order.size() && partition.segments_.size() < device_count;) {
    uint32_t end = begin;
    while (end < order.size() && keys[order[end]] == keys[order[begin]]) ++end;
    partition.segments_.push_back({begin, end});
    partition.first_segment_.push_back(static_cast<uint32_t>(partition.segments_.size()));
    begin = end;
  }
  if (partition.segments_.size() < device_count) {
    return fail(Error::kInvalidArgument, "%u devices, but the training rows have %zu distinct keys", device_count,
                partition.segments_.size());
  }
  return partition;
}

std::vector<uint32_t> Partition::rows_of(uint32_t device) const {
  RUNNEL_ASSERT(device < device_count());
  const auto own =
      std::span(segments_).subspan(first_segment_[device], first_segment_[device + 1] - first_segment_[device]);
  size_t count = 0;
  for (const Segment& segment : own) count += segment.end - segment.begin;
  std::vector<uint32_t> rows;
  rows.reserve(count);
  for (const Segment& segment : own)
    rows.insert(rows.end(), order_.begin() + segment.begin, order_.begin() + segment.end);
  std::sort(rows.begin(), rows.end());
  return rows;
}

void Partition::deal_iid(uint32_t device_count, uint64_t seed) {
  std::iota(order_.begin(), order_.end(), 0U);
  shuffle(order_, draw_rng(seed, Draw::kOrder, 0));
  for (uint32_t device = 0; device < device_count; ++device) {
    first_segment_.push_back(device);
    segments_.push_back({cut(order_.size(), device, device_count), cut(order_.size(), device + 1U, device_count)});
  }
  first_segment_.push_back(device_count);
}

Failure Partition::deal_shards(std::span<const uint16_t> labels, uint32_t device_count, uint32_t shards,
                               uint64_t seed) {
  const uint64_t shard_count = uint64_t{device_count} * shards;
  if (shards == 0 || shard_count > labels.size()) {
    return fail(Error::kInvalidArgument, "%u devices with %u shards each cannot share %zu training rows", device_count,
                shards, labels.size());
  }
  order_ = group_by_label(labels, seed).order;
  std::vector<uint32_t> dealt(static_cast<size_t>(shard_count));
  std::iota(dealt.begin(), dealt.end(), 0U);
  shuffle(dealt, draw_rng(seed, Draw::kShards, 0));
  for (uint32_t device = 0; device <= device_count; ++device) first_segment_.push_back(device * shards);
  for (const uint32_t shard : dealt) {
    segments_.push_back({cut(order_.size(), shard, shard_count), cut(order_.size(), shard + 1U, shard_count)});
  }
  return Error::kOk;
}

Failure Partition::deal_dirichlet(std::span<const uint16_t> labels, uint32_t device_count, double alpha,
                                  uint64_t seed) {
  constexpr uint64_t kCountsMax = 1U << 24;
  if (!(alpha > 0.0) || !std::isfinite(alpha)) return fail(Error::kInvalidArgument, "dirichlet alpha %g", alpha);
  LabelGroups groups = group_by_label(labels, seed);
  order_ = std::move(groups.order);
  const auto classes = static_cast<uint32_t>(groups.starts.size() - 1);
  if (uint64_t{device_count} * classes > kCountsMax) {
    return fail(Error::kLimit, "%u devices times %u classes is more than %llu", device_count, classes,
                static_cast<unsigned long long>(kCountsMax));
  }

  CountTable counts(device_count, classes);
  for (uint32_t k = 0; k < classes; ++k) {
    counts.deal_class(k, groups.starts[k + 1] - groups.starts[k], alpha, draw_rng(seed, Draw::kShares, k));
  }
  counts.repair(std::min(kPartitionRowsMin, static_cast<uint32_t>(labels.size()) / device_count));

  std::vector<uint32_t> next(groups.starts.begin(), groups.starts.end() - 1);
  for (uint32_t device = 0; device < device_count; ++device) {
    first_segment_.push_back(static_cast<uint32_t>(segments_.size()));
    for (uint32_t k = 0; k < classes; ++k) {
      const uint32_t count = counts.at(device, k);
      if (count > 0) segments_.push_back({next[k], next[k] + count});
      next[k] += count;
    }
  }
  first_segment_.push_back(static_cast<uint32_t>(segments_.size()));
  return Error::kOk;
}

}  // namespace runnel::data
