#include "runtime/host/device_bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/temp_folder.h"

namespace runnel::coordinator {
namespace {

using host::DeviceBundle;
using testing::HasSubstr;

const char* const kCa = "-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n";
const char* const kCertificate = "-----BEGIN CERTIFICATE-----\nRGV2\n-----END CERTIFICATE-----\n";
const char* const kKey = "-----BEGIN EC PRIVATE KEY-----\nS2V5\n-----END EC PRIVATE KEY-----\n";

DeviceBundle bundle() {
  return {"pump-7", "tcp://10.0.0.2:5555", kCa, kCertificate, kKey, ""};
}

TEST(DeviceBundleTest, ComesBackAsItWas) {
  Result<DeviceBundle> read = host::parse_device_bundle(host::device_bundle_toml(bundle()));
  ASSERT_TRUE(read.ok()) << read.failure().text();
  EXPECT_EQ(read->name, "pump-7");
  EXPECT_EQ(read->coordinator, "tcp://10.0.0.2:5555");
  EXPECT_EQ(read->ca_pem, kCa);
  EXPECT_EQ(read->certificate_pem, kCertificate);
  EXPECT_EQ(read->key_pem, kKey);
  EXPECT_EQ(read->key_file, "");
}

TEST(DeviceBundleTest, FindsTheKeyNextToIt) {
  TempFolder folder;
  DeviceBundle without_key = bundle();
  without_key.key_pem.clear();
  without_key.key_file = "pump-7.key";
  const std::string path = folder.file("pump-7.toml");
  write_text(path, host::device_bundle_toml(without_key));
  Result<DeviceBundle> missing = host::load_device_bundle(path);
  EXPECT_EQ(missing.error(), Error::kNotFound);
  EXPECT_THAT(missing.failure().text(), HasSubstr(folder.file("pump-7.key")));
  write_text(folder.file("pump-7.key"), kKey);
  Result<DeviceBundle> loaded = host::load_device_bundle(path);
  ASSERT_TRUE(loaded.ok()) << loaded.failure().text();
  EXPECT_EQ(loaded->key_pem, kKey);
}

TEST(DeviceBundleTest, NamesTheFileThatIsWrong) {
  TempFolder folder;
  EXPECT_EQ(host::load_device_bundle(folder.file("none.toml")).error(), Error::kNotFound);
  write_text(folder.file("bad.toml"), "name = \"x\"\nnick = 1\n");
  Result<DeviceBundle> bad = host::load_device_bundle(folder.file("bad.toml"));
  EXPECT_THAT(bad.failure().text(), HasSubstr(folder.file("bad.toml") + ": line 2: unknown key nick"));
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(DeviceBundleTest, RefusesWhatIsWrongWithLineAndKey) {
  const std::string good = host::device_bundle_toml(bundle());
  const auto text_of = [&good](const std::string& from, const std::string& to) {
    Result<DeviceBundle> read = host::parse_device_bundle(replaced(good, from, to));
    EXPECT_FALSE(read.ok()) << from << " -> " << to;
    return std::string(read.failure().text());
  };
  EXPECT_THAT(text_of("name = \"pump-7\"", "name = \"../pump\""), HasSubstr("line 2: name must be"));
  EXPECT_THAT(text_of("name = \"pump-7\"", "name = 7"), HasSubstr("line 2: name must be a string"));
  EXPECT_THAT(text_of("name = \"pump-7\"", "nome = \"pump-7\""), HasSubstr("line 2: unknown key nome"));
  EXPECT_THAT(text_of("name = \"pump-7\"", ""), HasSubstr("the key name is missing"));
  EXPECT_THAT(text_of("tcp://10.0.0.2:5555", "10.0.0.2:5555"),
              HasSubstr("line 3: coordinator must be tcp://HOST:PORT"));
  EXPECT_THAT(text_of("key = ", "ca = "), HasSubstr("line "));  // the same key twice
  EXPECT_THAT(text_of("-----BEGIN EC", "=====BEGIN EC"), HasSubstr("key is not PEM"));
  EXPECT_THAT(text_of("-----BEGIN CERTIFICATE", "CERTIFICATE"), HasSubstr("line 4: ca is not PEM"));
  EXPECT_THAT(text_of("key = ", "key_file = \"a\"\nkey = "), HasSubstr("key_file stands next to a key"));
}

TEST(DeviceBundleTest, ChecksTheAddress) {
  for (const char* good : {"tcp://127.0.0.1:5555", "tcp://host.example:1", "tcp://[::1]:65535"}) {
    EXPECT_TRUE(host::check_coordinator_address(good).ok()) << good;
  }
  for (const char* bad : {"", "tcp://", "tcp://:5555", "tcp://host", "tcp://host:", "tcp://host:0", "tcp://host:65536",
                          "tcp://host:5555x", "tcp://*:5555", "udp://host:5555", "tcp://a b:5555", "tcp://::1:5555"}) {
    EXPECT_EQ(host::check_coordinator_address(bad).error(), Error::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace runnel::coordinator
