// Who may talk to whom: authorities, roles, expiry, revocation, tickets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>

#include "runtime/host/channel_message.h"
#include "runtime/host/session_ticket.h"
#include "tests/unit/host/channel_pair.h"
#include "tests/unit/host/hostile_peer.h"

namespace runnel::host {
namespace {

using ::testing::HasSubstr;

class IdentityTest : public ChannelTest {
 protected:
  // Connects and expects both sides to have given up.
  void expect_refusal() {
    connect();
    EXPECT_FALSE(device->established());
    EXPECT_EQ(coordinator->open_sessions(), 0U);
    EXPECT_EQ(coordinator->half_open_sessions(), 0U);
    const auto on_device = events_of<ChannelEvent>(*device);
    ASSERT_EQ(on_device.size(), 1U);
    EXPECT_EQ(on_device[0].kind, ChannelEvent::Kind::kFailed);
    device_failure = on_device[0].failure;
    const auto on_coordinator = events_of<CoordinatorEvent>(*coordinator);
    ASSERT_EQ(on_coordinator.size(), 1U);
    EXPECT_EQ(on_coordinator[0].kind, CoordinatorEvent::Kind::kFailed);
    coordinator_failure = on_coordinator[0].failure;
    refused = on_coordinator[0].device;
  }

  // A restarted device: a new channel with what the old one saved.
  void restart_device() {
    device_options.saved_session = device->save_session();
    device = make_device(test_fleet().device);
  }

  Failure device_failure = Error::kOk;
  Failure coordinator_failure = Error::kOk;
  CertificateInfo refused;
};

TEST_F(IdentityTest, TheCoordinatorLearnsWhoTheDeviceIs) {
  make_both();
  connect();
  const auto events = events_of<CoordinatorEvent>(*coordinator);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].kind, CoordinatorEvent::Kind::kOpened);
  EXPECT_FALSE(events[0].resumed);
  auto certificate = parse_certificate(test_fleet().device.certificate_pem);
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(events[0].device.name, "pump-7");
  EXPECT_EQ(events[0].device.serial, certificate->serial);
  EXPECT_EQ(events[0].device.not_after_s, certificate->not_after_s);
  EXPECT_EQ(events[0].device.fingerprint, certificate->fingerprint);
  EXPECT_EQ(device->coordinator().name, "coordinator-1");
  ASSERT_NE(coordinator->device_of(events[0].session), nullptr);
  EXPECT_EQ(coordinator->device_of(events[0].session)->name, "pump-7");
  EXPECT_EQ(coordinator->device_of(events[0].session + 1), nullptr);
}

TEST_F(IdentityTest, ADeviceTrustsNoCoordinatorOfAnotherFleet) {
  coordinator = make_coordinator(test_fleet().coordinator);
  device = make_device(foreign_fleet().device);
  expect_refusal();
  EXPECT_EQ(device_failure.error(), Error::kUntrusted);
  EXPECT_THAT(device_failure.text(), HasSubstr("coordinator certificate not signed by this fleet's CA"));
  EXPECT_EQ(coordinator_failure.error(), Error::kUntrusted);
}

TEST_F(IdentityTest, CredentialsOfTheWrongRoleDoNotEvenStart) {
  EXPECT_EQ(DeviceChannel::create(test_fleet().coordinator, device_options, test_entropy()).error(), Error::kUntrusted);
  EXPECT_EQ(CoordinatorChannels::create(test_fleet().device, coordinator_options, test_entropy()).error(),
            Error::kUntrusted);
}

// A peer that skips all checks of its own, so that only the other side's are left.
TEST_F(IdentityTest, TheCoordinatorRefusesWhoIsNotADeviceOfTheFleet) {
  struct Case {
    Credentials shown;
    bool show;
    Error error;
    const char* words;
  };
  const Case cases[] = {
      {foreign_fleet().device, true, Error::kUntrusted, "device certificate not signed by this fleet's CA"},
      {test_fleet().coordinator, true, Error::kUntrusted, "role coordinator where a device was expected"},
      {{"", test_fleet().authority.certificate_pem, test_fleet().authority.key_pem},
       true,
       Error::kUntrusted,
       "role authority where a device was expected"},
      {{"", foreign_fleet().authority.certificate_pem, foreign_fleet().authority.key_pem},
       true,
       Error::kUntrusted,
       "not signed by this fleet's CA"},
      {test_fleet().device, false, Error::kMalformed, "handshake with the device"},
  };
  for (const Case& each : cases) {
    coordinator = make_coordinator(test_fleet().coordinator);
    HostilePeer hostile(each.shown, false, each.show);
    Bytes records = hostile.step({});
    for (int turn = 0; turn < 10 && !records.empty(); ++turn) {
      coordinator->handle_message(route, make_message(MessageKind::kDtls, 99, records), now);
      records.clear();
      for (const Sent& sent : messages_of(*coordinator)) {
        const Bytes answer = hostile.step({sent.message.begin() + kMessageHeaderBytes, sent.message.end()});
        records.insert(records.end(), answer.begin(), answer.end());
      }
    }
    EXPECT_FALSE(hostile.finished) << each.words;
    EXPECT_EQ(coordinator->open_sessions(), 0U) << each.words;
    EXPECT_EQ(coordinator->half_open_sessions(), 0U) << each.words;
    const auto events = events_of<CoordinatorEvent>(*coordinator);
    ASSERT_EQ(events.size(), 1U) << each.words;
    EXPECT_EQ(events[0].failure.error(), each.error) << events[0].failure.text();
    EXPECT_THAT(events[0].failure.text(), HasSubstr(each.words));
  }
}

TEST_F(IdentityTest, ADeviceRefusesWhoIsNotTheCoordinatorOfTheFleet) {
  struct Case {
    Credentials shown;
    const char* words;
  };
  const Case cases[] = {
      {foreign_fleet().coordinator, "coordinator certificate not signed by this fleet's CA"},
      {test_fleet().issue("pump-8", Role::kDevice), "role device where a coordinator was expected"},
      {{"", test_fleet().authority.certificate_pem, test_fleet().authority.key_pem}, "role authority"},
  };
  for (const Case& each : cases) {
    device = make_device(test_fleet().device);
    HostilePeer hostile(each.shown, true);
    device->handle_connected(now);
    for (int turn = 0; turn < 10; ++turn) {
      for (const Bytes& message : messages_of(*device)) {
        const Bytes answer = hostile.step({message.begin() + kMessageHeaderBytes, message.end()});
        if (!answer.empty())
          device->handle_message(make_message(MessageKind::kDtls, device->session_id(), answer), now);
      }
    }
    EXPECT_FALSE(device->established()) << each.words;
    EXPECT_FALSE(hostile.finished) << each.words;
    const auto events = events_of<ChannelEvent>(*device);
    ASSERT_EQ(events.size(), 1U) << each.words;
    EXPECT_EQ(events[0].failure.error(), Error::kUntrusted);
    EXPECT_THAT(events[0].failure.text(), HasSubstr(each.words));
  }
}

TEST_F(IdentityTest, TicketsOfOthersOrChangedOnesDoNotOpen) {
  TicketKey key{};
  key.fill(1);
  SessionTicket ticket;
  ticket.secret.suite = 0xCCA9;
  ticket.secret.master[5] = 9;
  ticket.issued_s = kToday;
  ticket.device = *parse_certificate(test_fleet().device.certificate_pem);
  auto sealed = seal_ticket(key, ticket, test_entropy());
  ASSERT_TRUE(sealed.ok());
  auto opened = open_ticket(key, *sealed);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->device.name, ticket.device.name);
  EXPECT_EQ(opened->device.serial, ticket.device.serial);
  EXPECT_EQ(opened->device.not_after_s, ticket.device.not_after_s);
  EXPECT_EQ(opened->secret.master[5], 9);
  for (size_t i = 0; i < sealed->size(); ++i) {
    Bytes changed = *sealed;
    changed[i] = static_cast<uint8_t>(changed[i] ^ 1);
    EXPECT_EQ(open_ticket(key, changed).error(), Error::kChecksum) << i;
    changed = Bytes(sealed->begin(), sealed->begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_FALSE(open_ticket(key, changed).ok()) << i;
  }
  key.fill(2);
  EXPECT_EQ(open_ticket(key, *sealed).error(), Error::kChecksum);
}

TEST_F(IdentityTest, ExpiredCoordinatorIsNamedWithItsDay) {
  make_both();
  device_clock_s = kToday + kYearS + 1;
  expect_refusal();
  EXPECT_EQ(device_failure.error(), Error::kExpired);
  EXPECT_THAT(device_failure.text(), HasSubstr("coordinator certificate of coordinator-1 expired 2027-01-01"));
  EXPECT_EQ(coordinator_failure.error(), Error::kExpired) << coordinator_failure.text();
  EXPECT_THAT(coordinator_failure.text(), HasSubstr("refused by the device"));
}

TEST_F(IdentityTest, ExpiredDeviceIsNamedWithItsDay) {
  make_both();
  coordinator_clock_s = kToday + kYearS + 1;
  device_clock_s = 0;  // and has no calendar of its own
  expect_refusal();
  EXPECT_EQ(coordinator_failure.error(), Error::kExpired);
  EXPECT_THAT(coordinator_failure.text(), HasSubstr("device certificate of pump-7 expired 2027-01-01"));
  EXPECT_EQ(refused.name, "pump-7");
  EXPECT_EQ(device_failure.error(), Error::kExpired) << device_failure.text();
  EXPECT_THAT(device_failure.text(), HasSubstr("refused by the coordinator"));
}

TEST_F(IdentityTest, NotYetValidIsRefusedToo) {
  make_both();
  coordinator_clock_s = kToday - 2 * kDayS;
  expect_refusal();
  EXPECT_EQ(coordinator_failure.error(), Error::kExpired);
  EXPECT_THAT(coordinator_failure.text(), HasSubstr("not valid before"));
}

TEST_F(IdentityTest, WithoutACalendarADeviceSkipsExpiryOnly) {
  make_both();
  device_clock_s = 0;
  connect();
  EXPECT_TRUE(device->established());
}

TEST_F(IdentityTest, AdmissionRefusesWithItsOwnReason) {
  coordinator_options.admit = [](const CertificateInfo& who) {
    return who.name == "pump-7" ? fail(Error::kRevoked, "revoked on Monday: %s", who.name.c_str())
                                : Failure(Error::kOk);
  };
  make_both();
  expect_refusal();
  EXPECT_EQ(coordinator_failure.error(), Error::kRevoked);
  EXPECT_STREQ(coordinator_failure.text(), "revoked on Monday: pump-7");
  EXPECT_EQ(device_failure.error(), Error::kRevoked);

  coordinator_options.admit = [](const CertificateInfo&) { return fail(Error::kUnknownDevice, "not enrolled"); };
  make_both();
  expect_refusal();
  EXPECT_EQ(coordinator_failure.error(), Error::kUnknownDevice);
  EXPECT_EQ(device_failure.error(), Error::kUnknownDevice);
}

TEST_F(IdentityTest, ASecondSessionOfTheSameDeviceReplacesTheFirst) {
  make_both();
  establish();
  const SessionId first = session;
  device = make_device(test_fleet().device);
  connect();
  EXPECT_EQ(coordinator->open_sessions(), 1U);
  const auto events = events_of<CoordinatorEvent>(*coordinator);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, CoordinatorEvent::Kind::kClosed);
  EXPECT_EQ(events[0].session, first);
  EXPECT_EQ(events[0].failure.error(), Error::kDuplicate);
  EXPECT_EQ(events[1].kind, CoordinatorEvent::Kind::kOpened);
  EXPECT_EQ(coordinator->send(first, bytes_of("x")).error(), Error::kNotFound);
}

TEST_F(IdentityTest, ARestartedDeviceResumesWithFarFewerBytes) {
  make_both();
  connect();
  const uint64_t full_up = device->counters().bytes_sent;
  const uint64_t full_down = device->counters().bytes_received;
  expect_talk("first life");
  restart_device();
  route = routing(2);
  connect();
  ASSERT_TRUE(device->established());
  EXPECT_EQ(device->counters().handshakes_resumed, 1U);
  const auto events = events_of<CoordinatorEvent>(*coordinator);
  EXPECT_TRUE(events.back().resumed);
  EXPECT_EQ(events.back().device.name, "pump-7");
  auto certificate = parse_certificate(test_fleet().device.certificate_pem);
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(events.back().device.serial, certificate->serial);
  EXPECT_EQ(events.back().device.fingerprint, certificate->fingerprint);
  EXPECT_EQ(events.back().device.not_after_s, certificate->not_after_s);
  EXPECT_EQ(device->coordinator().name, "coordinator-1");

  const uint64_t resumed_up = device->counters().bytes_sent;
  const uint64_t resumed_down = device->counters().bytes_received;
  std::cout << "handshake bytes: full " << full_up << " up + " << full_down << " down, resumed " << resumed_up
            << " up + " << resumed_down << " down\n";
  EXPECT_LE(full_up + full_down, 1900U);
  EXPECT_LE(resumed_up + resumed_down, 650U);
  EXPECT_LT((resumed_up + resumed_down) * 2, full_up + full_down);
  expect_talk("second life");
}

TEST_F(IdentityTest, ResumesWithACoordinatorThatRestartedWithTheSameKey) {
  make_both();
  establish();
  restart_device();
  coordinator = make_coordinator(test_fleet().coordinator);
  connect();
  EXPECT_EQ(device->counters().handshakes_resumed, 1U);
  EXPECT_EQ(coordinator->counters().handshakes_resumed, 1U);
  expect_talk("again");
}

TEST_F(IdentityTest, AnotherTicketKeyMeansAFullHandshake) {
  make_both();
  establish();
  restart_device();
  coordinator_options.ticket_key.fill(8);
  coordinator = make_coordinator(test_fleet().coordinator);
  connect();
  ASSERT_TRUE(device->established());
  EXPECT_EQ(device->counters().handshakes_resumed, 0U);
  expect_talk("again");
  restart_device();
  connect();
  EXPECT_EQ(device->counters().handshakes_resumed, 1U) << "the new ticket has replaced the old one";
}

TEST_F(IdentityTest, ATicketEndsWithItsLifetime) {
  coordinator_options.ticket_lifetime = seconds(kDayS);
  make_both();
  establish();
  coordinator_clock_s += kDayS;
  restart_device();
  connect();
  EXPECT_EQ(device->counters().handshakes_resumed, 1U);
  coordinator_clock_s += 1;
  restart_device();
  connect();
  ASSERT_TRUE(device->established());
  EXPECT_EQ(device->counters().handshakes_resumed, 0U);
}

TEST_F(IdentityTest, ATicketDoesNotOutliveTheCertificate) {
  coordinator_options.ticket_lifetime = seconds(10 * kYearS);
  make_both();
  establish();
  coordinator_clock_s = kToday + kYearS + 1;
  device_clock_s = 0;
  restart_device();
  events_of<CoordinatorEvent>(*coordinator);
  coordinator =
      make_coordinator(test_fleet().issue("coordinator-2", Role::kCoordinator, {kToday, kToday + 3 * kYearS}));
  expect_refusal();
  EXPECT_EQ(coordinator_failure.error(), Error::kExpired);
  EXPECT_EQ(device_failure.error(), Error::kExpired);
}

TEST_F(IdentityTest, ASavedSessionDoesNotOutliveTheCoordinatorsCertificate) {
  make_both();
  establish();
  device_options.saved_session = device->save_session();
  device = make_device(test_fleet().issue("pump-7", Role::kDevice, {kToday, kToday + 3 * kYearS}));
  connect();
  EXPECT_EQ(device->counters().handshakes_resumed, 0U) << "another certificate, so the saved session is not used";

  restart_device();
  device_clock_s = kToday + kYearS;  // the last second of both
  coordinator_clock_s = kToday;
  device->handle_connected(now);
  device_clock_s += 1;
  carry();
  EXPECT_FALSE(device->established());
  const auto events = events_of<ChannelEvent>(*device);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].failure.error(), Error::kExpired);
}

TEST_F(IdentityTest, ARevokedDeviceCannotResume) {
  bool revoked = false;
  coordinator_options.admit = [&revoked](const CertificateInfo&) {
    return revoked ? fail(Error::kRevoked, "revoked") : Failure(Error::kOk);
  };
  make_both();
  establish();
  restart_device();
  revoked = true;
  coordinator->close(session);
  messages_of(*coordinator);
  expect_refusal();
  EXPECT_EQ(device_failure.error(), Error::kRevoked);
}

TEST_F(IdentityTest, RubbishInPlaceOfASavedSessionIsHarmless) {
  make_both();
  establish();
  const Bytes saved = device->save_session();
  ASSERT_GT(saved.size(), 100U);
  for (size_t length : {size_t{1}, size_t{33}, size_t{34}, saved.size() / 2, saved.size() - 1}) {
    device_options.saved_session.assign(saved.begin(), saved.begin() + static_cast<std::ptrdiff_t>(length));
    device = make_device(test_fleet().device);
    connect();
    EXPECT_TRUE(device->established()) << length;
    EXPECT_EQ(device->counters().handshakes_resumed, 0U) << length;
  }
  EXPECT_LE(saved.size(), 1200U);
}

TEST_F(IdentityTest, WithoutATicketKeyThereIsNothingToSave) {
  coordinator_options.ticket_key.fill(0);
  make_both();
  establish();
  EXPECT_TRUE(device->save_session().empty());
  expect_talk("fine");
}

}  // namespace
}  // namespace runnel::host
