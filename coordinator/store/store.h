// What the coordinator keeps durably, as one small interface: a fleet that outgrows one machine brings another
// implementation.
//
// Every method is one transaction: on return it is on disk (fsync), on failure nothing of it is. Times are unix
// seconds. Threads: one at a time. Trust: the store's own files; unreadable ones give kCorrupt, never a guess.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/byte_buffer.h"
#include "runtime/base/result.h"

namespace runnel::coordinator {

// One training run: the plan and the model it trains, as the text of the files that described them.
struct RunRecord {
  uint64_t run = 0;  // random, never 0
  std::string plan_toml;
  std::string model_toml;
};

struct ModelRecord {
  uint64_t version = 0;  // 1 is the initial model
  std::vector<float> parameters;
};

// How a version follows from the one before it, in what devices hold: parameter += step * multiple.
struct ModelDelta {
  uint64_t version = 0;       // the one that results; 0 = no delta
  float step = 0.0F;          // a power of two; 0 = nothing changed, and the blob is empty
  std::vector<uint8_t> blob;  // the multiples, as codec::kDeadzone encodes them
};

// What a device found on examples of its own (plan::LocalEvaluation), with the update that said so.
struct DeviceEvaluation {
  uint32_t round = 0;
  std::string device;
  uint64_t sequence = 0;
  uint8_t metric = 0;        // plan::Metric
  uint32_t examples = 0;     // 0: nothing
  double loss_before = 0.0;  // of the model that it was given
  double value_before = 0.0;
  double loss_after = 0.0;  // of its own, after training
  double value_after = 0.0;
  uint32_t tuned_steps = 0;  // of fine-tuning for itself; 0: none
  double loss_tuned = 0.0;
  double value_tuned = 0.0;
};

// An accepted update; (device, sequence) is its identity. `blob` is the Update message exactly as received; it is
// dropped when the round that it was merged into closes.
struct UpdateRecord {
  uint32_t round = 0;        // that it was trained for
  uint32_t merged_into = 0;  // the round whose aggregate it is in; at least `round`
  std::string device;
  uint64_t sequence = 0;
  uint64_t model_version = 0;
  uint32_t sample_count = 0;
  float mean_loss = 0.0F;
  uint64_t coordinates = 0;
  uint64_t payload_bytes = 0;  // of the encoded tensors, for bits per coordinate
  int64_t accepted_at = 0;
  ByteBuffer blob;
  uint32_t checksum = 0;        // CRC-32C of `blob`, as the device said and as it was checked
  DeviceEvaluation evaluation;  // as the blob says; a snapshot leaves it out
};

struct RoundRecord {
  uint32_t round = 0;
  uint64_t base_version = 0;          // the model that its devices start from
  std::vector<std::string> selected;  // the cohort, ascending by name
  int64_t opened_at = 0;
};

struct RoundResult {
  uint32_t round = 0;
  ModelRecord model;  // the new version: what devices hold, evaluate and export see
  // With a quantized downlink, the same version before it was quantized. What it differs by is made up for later; empty
  // without one.
  std::vector<float> exact;
  std::vector<uint8_t> optimizer_state;  // of the server's optimizer after this step; opaque, may be empty
  ModelDelta delta;                      // to the new version; version 0 when it does not follow by a delta
  uint64_t oldest_delta = 0;             // deltas to versions below this one are dropped
  uint32_t participants = 0;
  uint64_t sample_count = 0;
  double mean_loss = 0.0;  // of the devices' own examples, weighted by sample count
  double bits_per_coordinate = 0.0;
  // How much the devices agree: sum_i w_i ||u_i||^2 / sum_i w_i over the accepted updates as decoded, and the squared
  // norm of their weighted mean. NaN for rounds of a store from before they were kept.
  double update_energy = 0.0;
  double mean_energy = 0.0;
  int64_t closed_at = 0;
  double seconds = 0.0;
};

struct Evaluation {
  uint64_t model_version = 0;
  uint32_t round = 0;
  uint32_t examples = 0;
  double accuracy = 0.0;  // NaN where there is nothing to be right about
  double loss = 0.0;
  uint8_t metric = 1;   // plan::Metric by which the model is judged; accuracy in stores from before there were others
  double value = 0.0;   // of that metric
  std::string details;  // JSON: other metrics, the confusion matrix; may be empty
};

struct DeviceRecord {
  std::string name;
  std::string serial;  // of its current certificate, hexadecimal
  int64_t enrolled_at = 0;
  bool revoked = false;
};

struct RoundHistory {
  RoundResult result;  // without the model's parameters
  bool evaluated = false;
  Evaluation evaluation;
};

// Bytes of an update that is not complete yet, with what its offer said. Nothing of it was acknowledged as durable, but
// its device need not send these bytes again. In a snapshot: all contiguous bytes of that update, from offset 0.
struct UploadPart {
  std::string device;
  uint64_t run = 0;
  uint64_t sequence = 0;
  uint32_t round = 0;
  uint64_t model_version = 0;
  uint64_t total_bytes = 0;
  uint32_t checksum = 0;  // CRC-32C of the whole update
  uint64_t offset = 0;
  int64_t saved_at = 0;
  std::vector<uint8_t> bytes;
};

// What a restarted coordinator goes on from.
struct Snapshot {
  RunRecord run;
  ModelRecord model;                     // the newest version
  std::vector<float> exact;              // see RoundResult; empty if the newest version has none
  std::vector<uint8_t> optimizer_state;  // see RoundResult; empty if the newest version has none
  std::vector<ModelDelta> deltas;        // kept ones, ascending by version
  bool round_open = false;
  RoundRecord round;                   // REQUIRES round_open
  std::vector<UpdateRecord> accepted;  // merged into the open round, with blobs, ascending by device and sequence
  std::vector<UploadPart> uploads;     // unfinished ones, at most one a device, ascending by device
  uint32_t rounds_closed = 0;
  std::vector<RoundHistory> history;  // the closed rounds, ascending
};

// One line of the ledger, for reports: an update that was accepted, at any time.
struct LedgerEntry {
  uint32_t round = 0;
  std::string device;
  uint64_t sequence = 0;
  uint32_t sample_count = 0;
  uint64_t payload_bytes = 0;
  uint32_t merged_into = 0;
  uint64_t model_version = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // Starts a run with its initial model (version 1). kDuplicate if the store already holds a run.
  virtual Failure create_run(const RunRecord& run, const ModelRecord& initial) = 0;
  virtual Result<Snapshot> load() = 0;

  virtual Failure open_round(const RoundRecord& round) = 0;
  // More devices in the open round's cohort.
  virtual Failure extend_round(uint32_t round, std::span<const std::string> selected) = 0;
  // All of them or none; `merged_into` is the open round. Stored parts of these updates, and of older ones of the same
  // devices, end with it. kDuplicate, naming it, if (device, sequence) is already there.
  virtual Failure accept_updates(std::span<const UpdateRecord> updates) = 0;
  // First drops all parts of the `forgotten` devices, then appends `parts`, at most one a device: each goes on where
  // the stored ones of the same update end; one at offset 0 of another update replaces what is there of its device.
  // kInvalidArgument for a gap.
  virtual Failure save_uploads(std::span<const UploadPart> parts, std::span<const std::string> forgotten) = 0;
  // The new model, the round's figures, and the end of its updates' blobs, in one transaction.
  virtual Failure close_round(const RoundResult& result) = 0;
  virtual Failure record_evaluation(const Evaluation& evaluation) = 0;

  // True if that update was accepted, in whatever round.
  virtual Result<bool> has_update(const std::string& device, uint64_t sequence) = 0;

  virtual Failure enroll(const DeviceRecord& device) = 0;  // a new certificate for a known name replaces its serial
  virtual Failure revoke(const std::string& name) = 0;     // kUnknownDevice
  virtual Result<DeviceRecord> device(const std::string& name) = 0;  // kUnknownDevice
  virtual Result<std::vector<DeviceRecord>> devices() = 0;

  virtual Result<std::vector<RoundHistory>> history() = 0;
  virtual Result<std::vector<LedgerEntry>> ledger() = 0;
  // The newest one of each device that has sent any, ascending by device.
  virtual Result<std::vector<DeviceEvaluation>> device_evaluations() = 0;
};

}  // namespace runnel::coordinator
