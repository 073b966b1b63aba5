#include "gateway/gateway_command.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "gateway/board_relay.h"
#include "runtime/host/device_bundle.h"
#include "runtime/host/entropy.h"
#include "runtime/host/log.h"
#include "runtime/host/monotonic_clock.h"
#include "runtime/host/service_manager.h"
#include "runtime/host/stop_signal.h"

namespace runnel::gateway {
namespace {

using host::log_line;
using host::LogLevel;
using Relays = std::vector<std::unique_ptr<BoardRelay>>;

Failure make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(Error::kIo, "--state: %s: %s", folder.c_str(), error.message().c_str());
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  return Error::kOk;
}

Result<std::unique_ptr<BoardRelay>> make_relay(const GatewayOptions& options, const BoardOption& board,
                                               host::ZmqContext& context, host::Entropy& entropy, Instant now) {
  const Result<host::DeviceBundle> bundle = host::load_device_bundle(board.bundle_path);
  if (!bundle) return Failure(bundle.failure()).prefix("--board");
  RelayOptions relay;
  relay.name = bundle->name;
  relay.coordinator = options.coordinator.empty() ? bundle->coordinator : options.coordinator;
  if (Failure bad = host::check_coordinator_address(relay.coordinator); !bad.ok()) return bad.prefix("--coordinator");
  relay.session_path = options.state_folder + "/" + relay.name + ".session";
  relay.address = board.address;
  const host::Credentials credentials{bundle->ca_pem, bundle->certificate_pem, bundle->key_pem};
  Result<std::unique_ptr<BoardRelay>> made = BoardRelay::create(relay, credentials, context, entropy, now);
  if (!made) return Failure(made.failure()).prefix("%s", board.bundle_path.c_str());
  return made;
}

class Loop {
 public:
  Loop(Relays& relays, Duration report_every) : relays_(relays), report_every_(report_every) {}

  Failure run() {
    service_.tell_ready();
    report_at_ = clock_.now() + report_every_;
    while (!host::stop_requested()) RUNNEL_TRY(turn());
    service_.tell_stopping();
    for (const auto& relay : relays_) relay->log_counters();
    return Error::kOk;
  }

 private:
  Failure turn() {
    const Instant now = clock_.now();
    service_.handle_timeout(now);
    const auto unix_s = static_cast<uint64_t>(std::max<int64_t>(0, host::unix_seconds()));
    sockets_.clear();
    descriptors_.clear();
    Instant next = std::min(service_.next_timeout(), report_at_);
    bool wait = true;
    for (const auto& relay : relays_) {
      relay->turn(now, unix_s);
      next = std::min(next, relay->next_timeout());
      if (relay->congested()) next = std::min<Instant>(next, now + milliseconds(20));
      wait = relay->add_waits(sockets_, descriptors_) && wait;
    }
    tell_status();
    if (now >= report_at_) {
      report_at_ = now + report_every_;
      for (const auto& relay : relays_) relay->log_counters();
    }
    const Duration pause = wait ? std::max(Duration::zero(), next - clock_.now()) : Duration::zero();
    return host::wait_on_sockets(sockets_, pause, descriptors_);
  }

  void tell_status() {
    const auto there = std::count_if(relays_.begin(), relays_.end(), [](const auto& r) { return r->board_there(); });
    const auto up = std::count_if(relays_.begin(), relays_.end(), [](const auto& r) { return r->with_coordinator(); });
    service_.tell_status(std::to_string(there) + " of " + std::to_string(relays_.size()) + " boards, " +
                         std::to_string(up) + " with the coordinator");
  }

  Relays& relays_;
  const Duration report_every_;
  host::MonotonicClock clock_;
  host::ServiceManager service_;
  Instant report_at_{};
  std::vector<void*> sockets_;
  std::vector<host::WaitFd> descriptors_;
};

}  // namespace

Failure run_gateway(const GatewayOptions& options) {
  std::vector<BoardOption> boards;
  std::set<std::string> addresses;
  for (const std::string& text : options.boards) {
    Result<BoardOption> board = parse_board_option(text);
    if (!board) return board.failure();
    if (!addresses.insert(board->address.text).second)
      return fail(Error::kDuplicate, "--board: two boards on %s", board->address.text.c_str());
    boards.push_back(std::move(board).value());
  }
  RUNNEL_TRY(make_folder(options.state_folder));
  Result<std::unique_ptr<host::Entropy>> entropy = host::Entropy::create();
  if (!entropy) return entropy.failure();
  Result<std::unique_ptr<host::ZmqContext>> context =
      host::ZmqContext::create(static_cast<int>(2 * boards.size() + 16));
  if (!context) return context.failure();
  host::install_stop_signals();
  Relays relays;
  std::set<std::string> names;
  for (const BoardOption& board : boards) {
    Result<std::unique_ptr<BoardRelay>> relay =
        make_relay(options, board, **context, **entropy, host::MonotonicClock().now());
    if (!relay) return relay.failure();
    if (!names.insert((*relay)->name()).second)
      return fail(Error::kDuplicate, "--board: \"%s\" twice", (*relay)->name().c_str());
    relays.push_back(std::move(relay).value());
  }
  log_line(LogLevel::kInfo, "gateway for %zu boards", relays.size());
  RUNNEL_TRY(Loop(relays, seconds(options.report_seconds)).run());
  log_line(LogLevel::kInfo, "stopped; what a board has not delivered is with the board");
  return Error::kOk;
}

}  // namespace runnel::gateway
