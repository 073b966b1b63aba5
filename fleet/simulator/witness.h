// What a simulation saw, as far as its promises are concerned, and which of them were broken.
//
// It hears of every update that the store took, of every answer that reached a device, and of every round that closed;
// at the end it looks at all of it together. Memory: with keep_updates every accepted Update message of the run; else a
// few bytes an update. Threads: one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/store/store.h"
#include "fleet/simulator/promises.h"
#include "fleet/simulator/simulation.h"

namespace runnel::fleet {

struct BrokenPromise {
  Promise promise;
  std::string what;
};

class Witness {
 public:
  using Identity = std::pair<std::string, uint64_t>;  // device, sequence
  struct Round {
    coordinator::RoundRecord record;  // with all devices that were asked
    std::vector<float> model;         // that it gave; empty unless updates are kept
  };

  explicit Witness(bool keep_updates) : keep_updates_(keep_updates) {}

  // Notes it, once a promise and text, and at most twenty.
  void broken(Promise promise, std::string what);

  // The coordinator's store took these.
  void accepted(const std::vector<coordinator::UpdateRecord>& updates);
  // A round closed, with that result.
  void closed(const coordinator::RoundRecord& record, const coordinator::RoundResult& result);
  // Its device was told that the update is durable, and believed it.
  void acknowledged(const std::string& device, uint64_t sequence, bool stored);
  // Its device was told that the update does not count, and believed it.
  void refused(const std::string& device, uint64_t sequence);
  // What the update holds is made up for by a later one.
  void carried(const std::string& device, uint64_t sequence);

  // Looks at everything once more: the ledger as the store has it, the model that resulted.
  void check_at_end(const SimulationOptions& options, const plan::ModelLayout& layout,
                    const std::vector<coordinator::LedgerEntry>& ledger, const std::vector<float>& model);

  const std::vector<BrokenPromise>& broken_promises() const { return broken_; }
  const std::vector<coordinator::UpdateRecord>& updates() const { return updates_; }  // in order of arrival
  const std::vector<Round>& rounds() const { return rounds_; }

 private:
  bool keep_updates_;
  std::vector<BrokenPromise> broken_;
  std::vector<coordinator::UpdateRecord> updates_;
  std::vector<Round> rounds_;
  std::set<Identity> counted_;
  std::set<Identity> acknowledged_;
  std::set<Identity> refused_;
  std::set<Identity> carried_;
};

}  // namespace runnel::fleet
