// What runnel-device, linked statically, leaves out beyond runtime/host/left_out.c: the server's side of a handshake. The
// channel code is the same on both sides, and a device's only ever asks for the client's.
#include <stdio.h>
#include <stdlib.h>

int mbedtls_ssl_handshake_server_step(void* ssl);
void mbedtls_ssl_conf_dtls_cookies(void* config, void* write, void* check, void* context);

int mbedtls_ssl_handshake_server_step(void* ssl) {
  (void)ssl;
  fputs("runnel-device: no server\n", stderr);
  abort();
}

void mbedtls_ssl_conf_dtls_cookies(void* config, void* write, void* check, void* context) {
  (void)config;
  (void)write;
  (void)check;
  (void)context;
  fputs("runnel-device: no server\n", stderr);
  abort();
}
