#!/usr/bin/env python3
"""Many clients at once against a running `flashlm serve`, each reading a stream: is every text what it is alone?

Usage: serve_load.py URL [--clients 64] [--seconds 120] [--jobs 32] [--tokens 200] [--pid SERVER]

First each of the jobs (a prompt and a seed) is asked alone, then all clients ask for jobs at random until the time is
over. Prints one JSON object: texts, errors, texts that differ from their solo text, tokens per second of all clients
together, times to the first token, the clients' processor seconds, and with --pid the server's, and its memory every
ten seconds. Needs nothing but Python. Exits with 1 if a text differed or a request failed.

What the clients spend on these cores the server has not: hence one loop over plain sockets, and JSON that is not parsed.
"""
import argparse
import json
import os
import random
import re
import selectors
import socket
import sys
import time
from urllib.parse import urlsplit

BEGINNINGS = ["Once upon a time", "One day, a girl named Lily", "Tim had a", "The little fox", "There was a big dog who",
              "It was a sunny day and", "A bird sat on a tree.", "Mom said"]
TEXT = re.compile(rb'"text":"((?:[^"\\]|\\.)*)"')  # a text's JSON, which is the same where the text is
USED = re.compile(rb'"completion_tokens":(\d+)')
PAUSE = 0.1  # seconds before a client that was refused asks again


class Answer:
    """A text that was asked for. job: (prompt, seed)."""

    def __init__(self, address, job, tokens):
        self.job, self.pieces, self.first = job, [], None
        body = json.dumps({"prompt": job[0], "seed": job[1], "max_tokens": tokens, "temperature": 0.8, "top_p": 0.95,
                           "stream": True, "stream_options": {"include_usage": True}}).encode()
        self.begun = time.perf_counter()
        self.socket = socket.create_connection(address)
        self.socket.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def read(self):
        """Takes what has come; false at the end."""
        piece = self.socket.recv(1 << 16)
        self.pieces.append(piece)
        if self.first is None and b"data: " in piece:
            self.first = time.perf_counter() - self.begun
        return bool(piece)

    def text(self):
        """The text (as JSON has it), and its tokens."""
        head, _, rest = b"".join(self.pieces).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.split(b"\r\n")[0].decode() + " " + rest[:200].decode("utf-8", "replace"))
        events = unchunked(rest)
        if not events.endswith(b"data: [DONE]\n\n"):
            raise RuntimeError("the stream has no end")
        if b'"error":' in events:
            raise RuntimeError(events[-500:].decode("utf-8", "replace"))
        return b"".join(TEXT.findall(events)), int(USED.search(events).group(1))


def unchunked(raw):
    chunks, at = [], 0
    while True:
        line = raw.index(b"\r\n", at)
        size = int(raw[at:line], 16)
        if size == 0:
            return b"".join(chunks)
        chunks.append(raw[line + 2:line + 2 + size])
        at = line + 2 + size + 2


def resident_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return round(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:")), 1)


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def part(values, share):
    return round(1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))], 1) if values else None


class Load:
    def __init__(self, args):
        parts = urlsplit(args.url)
        self.args, self.address = args, (parts.hostname, parts.port or 80)
        self.jobs = [(BEGINNINGS[i % len(BEGINNINGS)], 1000 + i) for i in range(args.jobs)]
        self.solo = {job: self.alone(job) for job in self.jobs}
        self.result = {"clients": args.clients, "texts": 0, "errors": 0, "different": 0, "tokens": 0}
        self.firsts, self.problems, self.memory = [], [], []

    def alone(self, job):
        answer = Answer(self.address, job, self.args.tokens)
        with answer.socket:
            while answer.read():
                pass
        return answer.text()[0]

    def failed(self, problem):
        self.result["errors"] += 1
        self.problems.append(str(problem))

    def count(self, answer):
        text, used = answer.text()
        self.result["texts"] += 1
        self.result["tokens"] += used
        self.result["different"] += text != self.solo[answer.job]
        self.firsts.append(answer.first)

    def run(self):
        args, picks = self.args, [random.Random(number) for number in range(self.args.clients)]
        reading = selectors.DefaultSelector()
        server_begun = processor_seconds(args.pid) if args.pid else 0
        begun, own_begun = time.perf_counter(), time.process_time()
        asks_at = dict.fromkeys(range(args.clients), 0.0)  # of clients that read nothing, in seconds from the beginning
        while asks_at or reading.get_map():
            now = time.perf_counter() - begun
            if args.pid and now >= 10 * (len(self.memory) + 1):
                self.memory.append(resident_mb(args.pid))
            if now >= args.seconds:
                asks_at.clear()
                if not reading.get_map():
                    break
            for number in [number for number, when in asks_at.items() if when <= now]:
                try:
                    answer = Answer(self.address, picks[number].choice(self.jobs), args.tokens)
                except OSError as problem:
                    self.failed(problem)
                    asks_at[number] = now + PAUSE
                    continue
                del asks_at[number]
                reading.register(answer.socket, selectors.EVENT_READ, (number, answer))
            for key, _ in reading.select(timeout=PAUSE):
                number, answer = key.data
                again = time.perf_counter() - begun
                try:
                    if answer.read():
                        continue
                    self.count(answer)
                except (OSError, RuntimeError, ValueError) as problem:
                    self.failed(problem)
                    again += PAUSE
                reading.unregister(answer.socket)
                answer.socket.close()
                asks_at[number] = again
        seconds = time.perf_counter() - begun
        self.result.update({"seconds": round(seconds, 2), "tokens_per_s": round(self.result["tokens"] / seconds, 1),
                            "first_token_ms": {"p50": part(self.firsts, 0.5), "p99": part(self.firsts, 0.99)},
                            "clients_cpu_s": round(time.process_time() - own_begun, 2)})
        if args.pid:
            self.result["server_cpu_s"] = round(processor_seconds(args.pid) - server_begun, 2)
            self.result["rss_mb_every_10_s"] = self.memory
        if self.problems:
            self.result["first_error"] = self.problems[0]
        return self.result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--jobs", type=int, default=32, help="different prompts and seeds")
    parser.add_argument("--tokens", type=int, default=200, help="most tokens of a text")
    parser.add_argument("--pid", type=int, help="of the server, to look at its processor time and memory")
    result = Load(parser.parse_args()).run()
    print(json.dumps(result, indent=1))
    return 1 if result["errors"] or result["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
