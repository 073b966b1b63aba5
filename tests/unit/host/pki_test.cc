#include "runtime/host/pki.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/unit/host/test_fleet.h"

namespace runnel::host {
namespace {

using ::testing::HasSubstr;

constexpr Validity kOneYear{kToday, kToday + kYearS};

Failure check(const Credentials& credentials, Role role, int64_t now_s) {
  return check_credentials(credentials, role, now_s, test_entropy()).failure();
}

TEST(Names, AllowLettersDigitsAndThreeSigns) {
  for (const char* good : {"a", "pump-7", "A.b_c-9", "coordinator-1"}) EXPECT_TRUE(valid_name(good)) << good;
  EXPECT_TRUE(valid_name(std::string(63, 'x')));
  for (const char* bad : {"", "a b", "a/b", "a,OU=x", "é", "a\n", "a=b"}) EXPECT_FALSE(valid_name(bad)) << bad;
  EXPECT_FALSE(valid_name(std::string(64, 'x')));
  EXPECT_FALSE(valid_name(std::string_view("a\0b", 3)));
}

TEST(Times, AreWrittenInUtc) {
  EXPECT_EQ(utc_text(kToday), "2026-01-01 00:00:00 UTC");
  EXPECT_EQ(utc_text(951'827'696), "2000-02-29 12:34:56 UTC");
}

TEST(Pki, AuthorityIsValidForTenYears) {
  auto info = parse_certificate(test_fleet().authority.certificate_pem);
  ASSERT_TRUE(info.ok()) << info.failure().text();
  EXPECT_EQ(info->name, "fleet-a");
  EXPECT_EQ(info->role, Role::kAuthority);
  EXPECT_EQ(info->not_before_s, kToday - kYearS);
  EXPECT_EQ(info->not_after_s, kToday - kYearS + kAuthorityValidityS);
}

TEST(Pki, RequestBecomesACertificateOfTheGivenRole) {
  auto key = create_private_key(test_entropy());
  ASSERT_TRUE(key.ok());
  auto request = create_request(*key, "pump-8", test_entropy());
  ASSERT_TRUE(request.ok()) << request.failure().text();
  for (const Role role : {Role::kDevice, Role::kCoordinator}) {
    auto pem = sign_request(test_fleet().authority, *request, "pump-8", role, kOneYear, test_entropy());
    ASSERT_TRUE(pem.ok()) << pem.failure().text();
    auto info = parse_certificate(*pem);
    ASSERT_TRUE(info.ok()) << info.failure().text();
    EXPECT_EQ(info->name, "pump-8");
    EXPECT_EQ(info->role, role);
    EXPECT_EQ(info->not_before_s, kOneYear.not_before_s);
    EXPECT_EQ(info->not_after_s, kOneYear.not_after_s);
    EXPECT_EQ(info->serial.size(), 32U);
    auto checked =
        check_credentials({test_fleet().authority.certificate_pem, *pem, *key}, role, kToday + 1, test_entropy());
    EXPECT_TRUE(checked.ok()) << checked.failure().text();
  }
}

TEST(Pki, SerialsAndFingerprintsDiffer) {
  std::set<std::string> serials;
  std::set<std::string> fingerprints;
  for (int i = 0; i < 4; ++i) {
    auto info = parse_certificate(test_fleet().issue("same-name", Role::kDevice).certificate_pem);
    ASSERT_TRUE(info.ok());
    serials.insert(info->serial);
    fingerprints.insert(hex_text(info->fingerprint));
  }
  EXPECT_EQ(serials.size(), 4U);
  EXPECT_EQ(fingerprints.size(), 4U);
}

TEST(Pki, ValidityBeyondTheYear2050Survives) {
  auto authority = create_authority("late", 2'600'000'000, test_entropy());
  ASSERT_TRUE(authority.ok()) << authority.failure().text();
  auto info = parse_certificate(authority->certificate_pem);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->not_before_s, 2'600'000'000);
}

TEST(Pki, RefusesWhatItShouldNotSign) {
  const Authority& authority = test_fleet().authority;
  auto key = create_private_key(test_entropy());
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(create_request(*key, "a b", test_entropy()).error(), Error::kInvalidArgument);
  auto request = create_request(*key, "pump-9", test_entropy());
  ASSERT_TRUE(request.ok());

  auto other_name = sign_request(authority, *request, "pump-10", Role::kDevice, kOneYear, test_entropy());
  EXPECT_EQ(other_name.error(), Error::kInvalidArgument);
  EXPECT_THAT(other_name.failure().text(), HasSubstr("pump-9"));
  EXPECT_TRUE(sign_request(authority, *request, "", Role::kDevice, kOneYear, test_entropy()).ok());
  EXPECT_EQ(sign_request(authority, *request, "", Role::kAuthority, kOneYear, test_entropy()).error(),
            Error::kInvalidArgument);
  const Validity backwards{kToday, kToday};
  EXPECT_EQ(sign_request(authority, *request, "", Role::kDevice, backwards, test_entropy()).error(),
            Error::kInvalidArgument);
  const Validity too_long{kToday, kToday + 20 * kYearS};
  auto beyond = sign_request(authority, *request, "", Role::kDevice, too_long, test_entropy());
  EXPECT_EQ(beyond.error(), Error::kInvalidArgument);
  EXPECT_THAT(beyond.failure().text(), HasSubstr("fleet CA's own"));
}

TEST(Pki, ADeviceCannotSign) {
  const Credentials& device = test_fleet().device;
  auto request = create_request(device.key_pem, "sub", test_entropy());
  ASSERT_TRUE(request.ok());
  auto signed_pem =
      sign_request({device.certificate_pem, device.key_pem}, *request, "", Role::kDevice, kOneYear, test_entropy());
  EXPECT_EQ(signed_pem.error(), Error::kInvalidArgument);
}

TEST(Pki, RefusesARequestWhoseKeyIsNotTheSigners) {
  auto key = create_private_key(test_entropy());
  ASSERT_TRUE(key.ok());
  auto request = create_request(*key, "pump-9", test_entropy());
  ASSERT_TRUE(request.ok());
  // Every changed character in the middle of the base64 either breaks the grammar or the signature.
  int untrusted = 0;
  const size_t begin = request->find('\n') + 1;
  const size_t end = request->rfind("\n-----END");
  for (size_t i = begin; i < end; i += 7) {
    std::string changed = *request;
    if (changed[i] == '\n' || changed[i] == '=') continue;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    auto result = sign_request(test_fleet().authority, changed, "pump-9", Role::kDevice, kOneYear, test_entropy());
    if (changed != *request) {
      EXPECT_FALSE(result.ok()) << "character " << i;
    }
    untrusted += result.error() == Error::kUntrusted ? 1 : 0;
  }
  EXPECT_GT(untrusted, 5);
}

TEST(Pki, MalformedTextsAreNamed) {
  Credentials bad = test_fleet().device;
  bad.certificate_pem = "no certificate";
  Failure result = check(bad, Role::kDevice, kToday);
  EXPECT_EQ(result.error(), Error::kMalformed);
  EXPECT_THAT(result.text(), HasSubstr("device certificate"));

  bad = test_fleet().device;
  bad.key_pem = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
  result = check(bad, Role::kDevice, kToday);
  EXPECT_EQ(result.error(), Error::kMalformed);
  EXPECT_THAT(result.text(), HasSubstr("device key"));

  bad = test_fleet().device;
  bad.ca_pem.resize(bad.ca_pem.size() / 2);
  result = check(bad, Role::kDevice, kToday);
  EXPECT_EQ(result.error(), Error::kMalformed);
  EXPECT_THAT(result.text(), HasSubstr("fleet CA"));

  EXPECT_EQ(parse_certificate("").error(), Error::kMalformed);
  EXPECT_EQ(parse_certificate(test_fleet().device.certificate_pem + test_fleet().device.certificate_pem).error(),
            Error::kMalformed);
}

TEST(Pki, CredentialsAreCheckedWithoutAPeer) {
  const TestFleet& fleet = test_fleet();
  Credentials mixed = fleet.device;
  mixed.key_pem = fleet.coordinator.key_pem;
  Failure result = check(mixed, Role::kDevice, kToday);
  EXPECT_EQ(result.error(), Error::kInvalidArgument);
  EXPECT_THAT(result.text(), HasSubstr("the key does not match"));

  mixed = fleet.device;
  mixed.ca_pem = foreign_fleet().authority.certificate_pem;
  result = check(mixed, Role::kDevice, kToday);
  EXPECT_EQ(result.error(), Error::kUntrusted);
  EXPECT_THAT(result.text(), HasSubstr("not signed by this fleet's CA"));

  result = check(fleet.device, Role::kCoordinator, kToday);
  EXPECT_EQ(result.error(), Error::kUntrusted);
  EXPECT_THAT(result.text(), HasSubstr("its role is device"));
}

TEST(Pki, ExpiryNamesTheDay) {
  const Credentials old = test_fleet().issue("old", Role::kDevice, {kToday - 2 * kDayS, kToday});
  EXPECT_TRUE(check(old, Role::kDevice, kToday).ok());
  Failure result = check(old, Role::kDevice, kToday + 1);
  EXPECT_EQ(result.error(), Error::kExpired);
  EXPECT_THAT(result.text(), HasSubstr("old expired 2026-01-01 00:00:00 UTC"));
  result = check(old, Role::kDevice, kToday - 3 * kDayS);
  EXPECT_EQ(result.error(), Error::kExpired);
  EXPECT_THAT(result.text(), HasSubstr("not valid before"));
  EXPECT_TRUE(check(old, Role::kDevice, 0).ok()) << "without a clock, no opinion";
}

}  // namespace
}  // namespace runnel::host
