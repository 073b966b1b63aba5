// What a static program leaves out of Debian 12's archives. They are built for every use there is: any program with a
// ZeroMQ socket gets all kinds of sockets, all transports and all security mechanisms, and is to be linked with the
// libraries of PGM, NORM, CURVE and Kerberos too, of which the last has no archive at all. Where a name is defined here,
// the linker does not take the member of the archive that has it, nor what that one would need.
//
// No option, address or message that a device takes leads to one of these; were it otherwise, the program would end with
// a line of text. The names are those that g++ makes of the constructors and functions which the rest calls; with other
// versions of the libraries linking fails, and nothing worse.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

// Every libzmq context calls these: nothing to prepare.
int sodium_init(void);
int randombytes_close(void);
int pgm_init(void** error);
int pgm_shutdown(void);
int sodium_init(void) {
  return 0;
}
int randombytes_close(void) {
  return 0;
}
int pgm_init(void** error) {
  (void)error;
  return 1;
}
int pgm_shutdown(void) {
  return 1;
}

static void left_out(void) {
  fputs("a part of a library was asked for that this program is built without\n", stderr);
  abort();
}

static void uncaught(void) {
  fputs("an exception that nobody catches\n", stderr);
  abort();
}

#define LEFT_OUT(name) void name(void) __attribute__((alias("left_out")));

// Kinds of sockets: a device has a DEALER, tests and gateways a ROUTER as well, and monitors a PAIR.
LEFT_OUT(_ZN3zmq9channel_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq8client_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq7dgram_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq14dish_session_tC1EPNS_11io_thread_tEbPNS_13socket_base_tERKNS_9options_tEPNS_9address_tE)
LEFT_OUT(_ZN3zmq6dish_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq8gather_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq6peer_t12connect_peerEPKc)
LEFT_OUT(_ZN3zmq6peer_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq5pub_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq6pull_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq6push_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq15radio_session_tC1EPNS_11io_thread_tEbPNS_13socket_base_tERKNS_9options_tEPNS_9address_tE)
LEFT_OUT(_ZN3zmq7radio_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq5rep_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq13req_session_tC1EPNS_11io_thread_tEbPNS_13socket_base_tERKNS_9options_tEPNS_9address_tE)
LEFT_OUT(_ZN3zmq5req_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq9scatter_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq8server_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq8stream_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq5sub_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq6xpub_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq6xsub_tC1EPNS_5ctx_tEji)
LEFT_OUT(_ZN3zmq12raw_engine_tC1EiRKNS_9options_tERKNS_19endpoint_uri_pair_tE)

// Ways over the network other than TCP (and ipc://, to connect with).
LEFT_OUT(_ZN3zmq12pgm_socket_t12init_addressEPKcPP14pgm_addrinfo_tPt)
LEFT_OUT(_ZN3zmq14pgm_receiver_t4initEbPKc)
LEFT_OUT(_ZN3zmq14pgm_receiver_tC1EPNS_11io_thread_tERKNS_9options_tE)
LEFT_OUT(_ZN3zmq12pgm_sender_t4initEbPKc)
LEFT_OUT(_ZN3zmq12pgm_sender_tC1EPNS_11io_thread_tERKNS_9options_tE)
LEFT_OUT(_ZN3zmq13norm_engine_t4initEPKcbb)
LEFT_OUT(_ZN3zmq13norm_engine_tC1EPNS_11io_thread_tERKNS_9options_tE)
LEFT_OUT(_ZN3zmq13udp_address_t7resolveEPKcbb)
LEFT_OUT(_ZN3zmq13udp_address_tC1Ev)
LEFT_OUT(_ZN3zmq12udp_engine_t4initEPNS_9address_tEbb)
LEFT_OUT(_ZN3zmq12udp_engine_tC1ERKNS_9options_tE)
LEFT_OUT(_ZN3zmq14tipc_address_t7resolveEPKc)
LEFT_OUT(_ZN3zmq14tipc_address_tC1Ev)
LEFT_OUT(_ZNK3zmq14tipc_address_t4addrEv)
LEFT_OUT(_ZNK3zmq14tipc_address_t9is_randomEv)
LEFT_OUT(_ZNK3zmq14tipc_address_t9to_stringERNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE)
LEFT_OUT(_ZN3zmq16tipc_connecter_tC1EPNS_11io_thread_tEPNS_14session_base_tERKNS_9options_tEPNS_9address_tEb)
LEFT_OUT(_ZN3zmq15tipc_listener_t17set_local_addressEPKc)
LEFT_OUT(_ZN3zmq15tipc_listener_tC1EPNS_11io_thread_tEPNS_13socket_base_tERKNS_9options_tE)
LEFT_OUT(_ZN3zmq14ipc_listener_t17set_local_addressEPKc)
LEFT_OUT(_ZN3zmq14ipc_listener_tC1EPNS_11io_thread_tEPNS_13socket_base_tERKNS_9options_tE)
LEFT_OUT(_ZN3zmq12ws_address_t7resolveEPKcbb)
LEFT_OUT(_ZN3zmq12ws_address_tC1Ev)
LEFT_OUT(_ZN3zmq12ws_address_tC2EPK8sockaddrj)
LEFT_OUT(_ZN3zmq12ws_address_tC2Ev)
LEFT_OUT(_ZNK3zmq12ws_address_t4hostEv)
LEFT_OUT(_ZNK3zmq12ws_address_t4pathEv)
LEFT_OUT(_ZNK3zmq12ws_address_t9to_stringERNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE)
LEFT_OUT(_ZN3zmq14ws_connecter_tC1EPNS_11io_thread_tEPNS_14session_base_tERKNS_9options_tEPNS_9address_tEbbRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE)
LEFT_OUT(_ZN3zmq13ws_listener_t17set_local_addressEPKc)
LEFT_OUT(_ZN3zmq13ws_listener_tC1EPNS_11io_thread_tEPNS_13socket_base_tERKNS_9options_tEb)
LEFT_OUT(_ZN3zmq17socks_connecter_t21set_auth_method_basicERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEES8_)
LEFT_OUT(_ZN3zmq17socks_connecter_tC1EPNS_11io_thread_tEPNS_14session_base_tERKNS_9options_tEPNS_9address_tES9_b)

// Security of ZeroMQ itself: the secure channel is mbedTLS, inside the messages.
LEFT_OUT(_ZN3zmq14curve_client_tC1EPNS_14session_base_tERKNS_9options_tEb)
LEFT_OUT(_ZN3zmq14curve_server_tC1EPNS_14session_base_tERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEERKNS_9options_tEb)
LEFT_OUT(_ZN3zmq15gssapi_client_tC1EPNS_14session_base_tERKNS_9options_tE)
LEFT_OUT(_ZN3zmq15gssapi_server_tC1EPNS_14session_base_tERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEERKNS_9options_tE)
LEFT_OUT(_ZN3zmq14plain_client_tC1EPNS_14session_base_tERKNS_9options_tE)
LEFT_OUT(_ZN3zmq14plain_server_tC1EPNS_14session_base_tERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEERKNS_9options_tE)

// What the members that stay ask other libraries for.
LEFT_OUT(crypto_box_keypair)
LEFT_OUT(crypto_scalarmult_base)
LEFT_OUT(pgm_error_free)
LEFT_OUT(pgm_freeaddrinfo)

// Of mbedTLS: certificates for its test of itself.
const char mbedtls_test_ca_crt[1] = "";
const size_t mbedtls_test_ca_crt_len = sizeof mbedtls_test_ca_crt;
const char mbedtls_test_cli_crt[1] = "";
const size_t mbedtls_test_cli_crt_len = sizeof mbedtls_test_cli_crt;

// Of libstdc++: facets of locales as programs older than C++11 have them, and what spells out the type of an exception
// that nobody catches (std::terminate's handler).
LEFT_OUT(_ZNKSt6locale5facet11_M_cow_shimEPKNS_2idE)
LEFT_OUT(_ZNKSt6locale5facet11_M_sso_shimEPKNS_2idE)
void (*_ZN10__cxxabiv119__terminate_handlerE)(void) = uncaught;
