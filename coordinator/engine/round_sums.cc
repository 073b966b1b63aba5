#include "coordinator/engine/round_sums.h"

#include <algorithm>
#include <array>

namespace runnel::coordinator {
namespace {

// The middle value, the mean of both for an even number. REQUIRES: not empty.
double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2.0;
}

double squared_norm(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value * value;
  return sum;
}

}  // namespace

double squared_norm(std::span<const float> values) {
  constexpr size_t kLanes = 8;  // sums that the compiler can keep side by side, always added up in the same order
  std::array<double, kLanes> sums{};
  const size_t whole = values.size() - values.size() % kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += double{values[i + lane]} * double{values[i + lane]};
  }
  for (size_t i = whole; i < values.size(); ++i) sums[0] += double{values[i]} * double{values[i]};
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

Failure RoundSums::add(const UpdateRecord& update, std::span<const float> values, double energy) {
  // A rule that withstands lies does not weigh; nor may a liar use up the weight that is left for the others.
  RUNNEL_TRY(sums_.add(values, robust_.needed() ? 1 : update.sample_count));
  robust_.add(update.device, update.sequence, values);
  const bool added = merged_
                         .try_emplace({update.device, update.sequence},
                                      Merged{update.sample_count, static_cast<double>(update.mean_loss), energy})
                         .second;
  RUNNEL_ASSERT(added);
  coordinates_ += update.coordinates;
  payload_bytes_ += update.payload_bytes;
  return Error::kOk;
}

std::vector<double> RoundSums::close(RoundResult& result) const {
  RUNNEL_ASSERT(!merged_.empty());
  std::vector<double> aggregate(sums_.sums().size());
  result.participants = static_cast<uint32_t>(merged_.size());
  result.bits_per_coordinate = 8.0 * static_cast<double>(payload_bytes_) / static_cast<double>(coordinates_);
  result.sample_count = 0;
  for (const auto& [identity, update] : merged_) result.sample_count += update.sample_count;
  if (robust_.needed()) {
    robust_.aggregate(aggregate);
    std::vector<double> losses;
    std::vector<double> energies;
    for (const auto& [identity, update] : merged_) {
      losses.push_back(update.loss);
      energies.push_back(update.energy);
    }
    result.mean_loss = median(std::move(losses));
    result.update_energy = median(std::move(energies));
    result.mean_energy = squared_norm(std::span<const double>(aggregate));
    return aggregate;
  }
  sums_.mean(aggregate);
  double loss = 0.0;
  double energies = 0.0;
  for (const auto& [identity, update] : merged_) {
    loss += update.loss * update.sample_count;
    energies += update.energy * update.sample_count;
  }
  const auto weight = static_cast<double>(sums_.weight());
  result.mean_loss = loss / weight;
  result.update_energy = energies / weight;
  result.mean_energy = sums_.mean_energy();
  return aggregate;
}

void RoundSums::reset() {
  sums_.reset();
  robust_.reset();
  merged_.clear();
  coordinates_ = payload_bytes_ = 0;
}

}  // namespace runnel::coordinator
