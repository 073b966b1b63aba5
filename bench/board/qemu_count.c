// A plugin of QEMU's user mode that counts the guest's instructions, for figures that do not depend on the machine:
//   gcc -O1 -shared -fPIC bench/board/qemu_count.c -o qemu_count.so
//   qemu-aarch64 -plugin ./qemu_count.so -d plugin PROGRAM ...
// What it prints at the end, "instructions: N", is of all threads. Debian's qemu-user has no header for plugins, so what
// is needed of version 1 of that interface is declared here.
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

typedef uint64_t PluginId;
struct PluginInfo;
struct TranslatedBlock;
enum InlineOperation { kInlineAdd };

void qemu_plugin_register_vcpu_tb_trans_cb(PluginId id, void (*callback)(PluginId, struct TranslatedBlock*));
void qemu_plugin_register_vcpu_tb_exec_inline(struct TranslatedBlock* block, enum InlineOperation operation,
                                              void* counter, uint64_t addend);
size_t qemu_plugin_tb_n_insns(const struct TranslatedBlock* block);
void qemu_plugin_register_atexit_cb(PluginId id, void (*callback)(PluginId, void*), void* data);
void qemu_plugin_outs(const char* text);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
int qemu_plugin_install(PluginId id, const struct PluginInfo* info, int argc, char** argv);

static uint64_t instructions;

static void count_block(PluginId id, struct TranslatedBlock* block) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(block, kInlineAdd, &instructions, qemu_plugin_tb_n_insns(block));
}

static void print_count(PluginId id, void* data) {
  (void)id;
  (void)data;
  char text[64];
  snprintf(text, sizeof text, "instructions: %" PRIu64 "\n", instructions);
  qemu_plugin_outs(text);
}

int qemu_plugin_install(PluginId id, const struct PluginInfo* info, int argc, char** argv) {
  (void)info;
  (void)argc;
  (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
  qemu_plugin_register_atexit_cb(id, print_count, NULL);
  return 0;
}
