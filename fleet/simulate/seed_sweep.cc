#include "fleet/simulate/seed_sweep.h"

#include <algorithm>
#include <mutex>
#include <thread>

#include "fleet/simulator/random_fleet.h"

namespace runnel::fleet {
namespace {

void add(SimulationReport& sums, const SimulationReport& each) {
  sums.rounds += each.rounds;
  sums.updates_counted += each.updates_counted;
  sums.updates_acknowledged += each.updates_acknowledged;
  sums.cuts += each.cuts;
  sums.device_crashes += each.device_crashes;
  sums.coordinator_crashes += each.coordinator_crashes;
  sums.disks_filled += each.disks_filled;
  sums.hostile_frames += each.hostile_frames;
  sums.frames_lost += each.frames_lost;
  sums.frames_repeated += each.frames_repeated;
  sums.frames_delayed += each.frames_delayed;
  sums.partitions += each.partitions;
  sums.clock_jumps += each.clock_jumps;
  sums.gates += each.gates;
  sums.uplink_bytes += each.uplink_bytes;
  sums.downlink_bytes += each.downlink_bytes;
  sums.elapsed += each.elapsed;
}

}  // namespace

SeedSweep sweep_seeds(uint64_t first, uint64_t last, uint64_t twice_every, uint32_t threads,
                      const std::function<void(uint64_t done, uint64_t broken)>& progress) {
  SeedSweep sweep;
  std::mutex mutex;
  uint64_t next = first;
  const auto work = [&] {
    for (;;) {
      uint64_t seed = 0;
      {
        const std::lock_guard<std::mutex> lock(mutex);
        if (next > last) return;
        seed = next++;
      }
      const RandomFleet fleet(seed);
      SimulationReport report = simulate(fleet.options);
      const bool twice = twice_every != 0 && seed % twice_every == 0;
      if (twice && fingerprint(simulate(fleet.options)) != fingerprint(report))
        report.violations.emplace_back("replays (the same seed gives the same history): it gave another one");
      const std::lock_guard<std::mutex> lock(mutex);
      ++sweep.seeds;
      sweep.twice += twice ? 1 : 0;
      add(sweep.sums, report);
      if (!report.violations.empty()) {
        BrokenSeed broken{seed, describe(fleet.options)};
        for (const std::string& each : report.violations) broken.what += "\n  " + each;
        sweep.broken.push_back(std::move(broken));
      }
      progress(sweep.seeds, sweep.broken.size());
    }
  };
  std::vector<std::thread> workers;
  for (uint32_t i = 1; i < threads; ++i) workers.emplace_back(work);
  work();
  for (std::thread& worker : workers) worker.join();
  std::sort(sweep.broken.begin(), sweep.broken.end(),
            [](const BrokenSeed& a, const BrokenSeed& b) { return a.seed < b.seed; });
  return sweep;
}

}  // namespace runnel::fleet
