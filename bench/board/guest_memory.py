#!/usr/bin/env python3
"""Peak resident memory of a program of another architecture, without what QEMU takes for itself.

  bench/board/guest_memory.py qemu-aarch64 build/aarch64/bin/runnel-device run --bundle ...

The program's whole address space is put into one range of QEMU's (-B, -R), and the resident pages of that range are added up
from /proc/PID/smaps a hundred times a second: what the program has, its own code as far as it ran included. A peak between
two looks is missed.
"""
import subprocess
import sys
import time

BASE = 0x200000000000
SIZE = 0x100000000


def resident(pid):
    """Bytes of the range, of files (the program itself) and of all else."""
    of_files = of_memory = 0
    inside = named = False
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as maps:
        for line in maps:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                start = int(words[0].split("-")[0], 16)
                inside = BASE <= start < BASE + SIZE
                named = len(words) > 5 and words[5].startswith("/")
            elif inside and words[0] == "Rss:":
                if named:
                    of_files += int(words[1]) << 10
                else:
                    of_memory += int(words[1]) << 10
    return of_files, of_memory


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    # A 32-bit program has no other addresses.
    bounds = [] if sys.argv[1].endswith("qemu-arm") else ["-R", hex(SIZE)]
    process = subprocess.Popen([sys.argv[1], "-B", hex(BASE), *bounds, *sys.argv[2:]])
    peak = (0, 0)
    while process.poll() is None:
        try:
            peak = max(peak, resident(process.pid), key=sum)
        except (FileNotFoundError, ProcessLookupError):
            break
        time.sleep(0.01)
    status = process.wait()
    print(f"peak {sum(peak)} bytes: {peak[0]} of the program's file, {peak[1]} of memory")
    sys.exit(status)


if __name__ == "__main__":
    main()
