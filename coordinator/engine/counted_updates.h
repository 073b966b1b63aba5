// What is known of every device's updates that count, over all rounds: which are durable, which wait for the disk, and
// for which round the newest was trained.
//
// Time: none. Memory: a few numbers for each device that ever took part. Threads: one at a time. Trust: sequence
// numbers come from devices; whatever they are, only the newest and the 64 before it are told apart.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace runnel::coordinator {

class CountedUpdates {
 public:
  struct OfDevice {
    uint64_t sequence = 0;  // newest durable
    uint64_t before = 0;    // bit i: sequence - 1 - i counts too
    uint64_t waiting = 0;   // newest in the sums that is not durable yet; 0 = none
    uint32_t round = 0;     // that the newest in the sums was trained for
    uint32_t of_round = 0;  // updates of that round
  };
  OfDevice of(const std::string& device) const;

  // Of the newest durable update of that device; 0 when there is none.
  uint64_t last_sequence(const std::string& device) const { return of(device).sequence; }
  bool is_durable(const std::string& device, uint64_t sequence) const;
  // In the sums, and on its way to the disk.
  bool is_waiting(const std::string& device, uint64_t sequence) const;

  // It is in the sums from now on.
  void note_waiting(const std::string& device, uint64_t sequence, uint32_t round);
  void note_durable(const std::string& device, uint64_t sequence);
  // An update of that round counts; rounds of one device never go back.
  void note_round(const std::string& device, uint32_t round);

 private:
  std::unordered_map<std::string, OfDevice> devices_;
};

}  // namespace runnel::coordinator
