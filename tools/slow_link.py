#!/usr/bin/env python3
"""Joins two network namespaces by a link of a stated rate and delay, on kernels whose tc has no netem, too.

    sudo tools/slow_link.py --mbit 100 --delay-ms 20        # until Ctrl-C; the namespaces stay
    sudo ip netns exec slow-a ping 10.99.0.2                # in another terminal

The namespaces slow-a (10.99.0.1) and slow-b (10.99.0.2) are made if they are not there. Each gets a TUN device, and this
process carries packets between the two: one way after the other at --mbit each, --delay-ms after its last byte has left.
What would wait for more than --queue-ms is dropped, as in a switch. Packets are large (--mtu), so that carrying them
takes a few per cent of a core at most; the last lines say how many there were.
"""

import argparse
import collections
import contextlib
import ctypes
import fcntl
import math
import os
import pathlib
import select
import signal
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
NAMESPACES = {"slow-a": "10.99.0.1/24", "slow-b": "10.99.0.2/24"}
DEVICE = "slow"
LIBC = ctypes.CDLL(None, use_errno=True)


def ip(*words: str) -> None:
    result = subprocess.run(["ip", *words], stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise OSError(0, f"ip {' '.join(words)}: {result.stderr.strip()}")


def enter(namespace: int) -> None:
    if LIBC.setns(namespace, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def open_device(name: str, address: str, mtu: int) -> int:
    """The namespace's end of the link; closing it removes the device."""
    at = pathlib.Path("/run/netns") / name
    if not at.exists():
        ip("netns", "add", name)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(at, os.O_RDONLY)
    enter(there)
    try:
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    finally:
        enter(home)
        os.close(there)
        os.close(home)
    ip("-n", name, "addr", "add", address, "dev", DEVICE)
    ip("-n", name, "link", "set", "lo", "up")
    ip("-n", name, "link", "set", DEVICE, "mtu", str(mtu), "up")
    return device


class Way:
    """One direction: packets leave one after the other and arrive in that order."""

    def __init__(self, source: int, sink: int, bytes_per_second: float, delay: float, longest_wait: float) -> None:
        self.source, self.sink = source, sink
        self.bytes_per_second, self.delay, self.longest_wait = bytes_per_second, delay, longest_wait
        self.free = 0.0  # when the last packet has left
        self.under_way: collections.deque[tuple[float, bytes]] = collections.deque()
        self.carried = self.dropped = 0

    def take(self, packet: bytes, now: float) -> None:
        if self.free - now > self.longest_wait:
            self.dropped += 1
            return
        self.free = max(self.free, now) + len(packet) / self.bytes_per_second
        self.under_way.append((self.free + self.delay, packet))

    def take_all(self, mtu: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.take(os.read(self.source, mtu), time.monotonic())

    def deliver(self, now: float) -> None:
        while self.under_way and self.under_way[0][0] <= now:
            packet = self.under_way.popleft()[1]
            try:
                os.write(self.sink, packet)
                self.carried += 1
            except OSError:  # the other end has no room, or is down
                self.dropped += 1


def carry(args: argparse.Namespace) -> None:
    devices = [open_device(name, address, args.mtu) for name, address in NAMESPACES.items()]
    rate = (args.mbit * 1e6 / 8, args.delay_ms / 1e3, args.queue_ms / 1e3)
    ways = [Way(devices[0], devices[1], *rate), Way(devices[1], devices[0], *rate)]
    print(f"{' and '.join(NAMESPACES)}: {args.mbit:g} Mbit/s each way, {args.delay_ms:g} ms one way; Ctrl-C ends it",
          flush=True)
    try:
        while True:
            due = [way.under_way[0][0] for way in ways if way.under_way]
            wait = max(0.0, min(due) - time.monotonic()) if due else None
            ready, _, _ = select.select(devices, [], [], wait)
            for way in ways:
                if way.source in ready:
                    way.take_all(args.mtu)
                way.deliver(time.monotonic())
    finally:
        for name, way in zip(NAMESPACES, ways):
            print(f"from {name}: {way.carried} packets carried, {way.dropped} dropped")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mbit", type=float, default=1000, help="Mbit/s each way (default: 1000)")
    parser.add_argument("--delay-ms", type=float, default=0, help="milliseconds one way (default: 0)")
    parser.add_argument("--queue-ms", type=float, default=50, help="longest wait for the link (default: 50)")
    parser.add_argument("--mtu", type=int, default=60000, help="bytes of a packet (default: 60000)")
    args = parser.parse_args()
    within = {"--mbit": (args.mbit, 0.01, 1e5), "--delay-ms": (args.delay_ms, 0, 1e4), "--queue-ms": (args.queue_ms, 1, 1e4),
              "--mtu": (args.mtu, 1280, 65535)}
    for option, (value, least, most) in within.items():
        if not (math.isfinite(value) and least <= value <= most):
            parser.error(f"{option} {value:g}: {least:g} to {most:g}")
    if os.geteuid() != 0:
        sys.exit("error: network namespaces need root (hint: sudo)")
    # A shell leaves SIGINT ignored in what it starts behind itself.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        carry(args)
    except OSError as failure:
        sys.exit(f"error: {failure.strerror or failure} (hint: is another {DEVICE} link up, or `ip` missing? "
                 f"`{'; '.join(f'ip netns del {name}' for name in NAMESPACES)}` begins anew)")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
