// What the coordinator hands a device so that a later handshake can be abbreviated (RFC 5077): the session's secret and
// who the device is, sealed with AES-256-GCM under a key that only the coordinator has. It keeps nothing per ticket, so
// a ticket also works after its restart. About 160 bytes: a quarter of one that carries the peer's certificate, as
// mbedTLS's own does.
//
// Trust: a ticket is a stranger's bytes until its tag matches.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/host/pki.h"
#include "runtime/host/tls_compat.h"

namespace runnel::host {

using TicketKey = std::array<uint8_t, 32>;

struct SessionTicket {
  tls::SessionSecret secret;
  int64_t issued_s = 0;
  CertificateInfo device;
};

// The nonce is random; one key is good for 2^32 tickets (NIST SP 800-38D, 8.3).
Result<std::vector<uint8_t>> seal_ticket(const TicketKey& key, const SessionTicket& ticket, Entropy& entropy);

// kChecksum: not sealed under this key. kVersion, kTruncated, kMalformed: sealed by something else with the same key.
Result<SessionTicket> open_ticket(const TicketKey& key, ByteView sealed);

}  // namespace runnel::host
