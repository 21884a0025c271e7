#!/usr/bin/env python3
"""Many clients at once against a running `flashlm serve`, each reading a stream: is every text what it is alone?

Usage: serve_load.py URL [--clients 64] [--seconds 120] [--jobs 32] [--tokens 200] [--pid SERVER]

First each of the jobs (a prompt and a seed) is asked alone, then all clients ask for jobs at random until the time is
over. Prints one JSON object: texts, errors, texts that differ from their solo text, tokens per second of all clients
together, times to the first token, and with --pid the server's memory at 10 s and at the end. Needs nothing but Python.
Exits with 1 if a text differed or a request failed.
"""
import argparse
import asyncio
import json
import random
import re
import sys
import time
from urllib.parse import urlsplit

BEGINNINGS = ["Once upon a time", "One day, a girl named Lily", "Tim had a", "The little fox", "There was a big dog who",
              "It was a sunny day and", "A bird sat on a tree.", "Mom said"]
TEXT = re.compile(rb'"text":"((?:[^"\\]|\\.)*)"')  # a text's JSON, which is the same where the text is
USED = re.compile(rb'"completion_tokens":(\d+)')


class Client:
    def __init__(self, url):
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 80

    async def write(self, job, tokens):
        """The text of a job (as JSON has it), its tokens, and the seconds to its first token."""
        body = json.dumps({"prompt": job[0], "seed": job[1], "max_tokens": tokens, "temperature": 0.8, "top_p": 0.95,
                           "stream": True, "stream_options": {"include_usage": True}}).encode()
        begun = time.perf_counter()
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
        try:
            writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                         b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            pieces, first = [], None
            while piece := await reader.read(1 << 16):
                pieces.append(piece)
                if first is None and b"data: " in piece:
                    first = time.perf_counter() - begun
        finally:
            writer.close()
        head, _, rest = b"".join(pieces).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.split(b"\r\n")[0].decode() + " " + rest[:200].decode("utf-8", "replace"))
        events = unchunked(rest)
        if not events.endswith(b"data: [DONE]\n\n"):
            raise RuntimeError("the stream has no end")
        if b'"error":' in events:
            raise RuntimeError(events[-500:].decode("utf-8", "replace"))
        # Not parsed: what a client spends on these cores the server has not.
        text = b"".join(TEXT.findall(events))
        return text, int(USED.search(events).group(1)), first


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
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))


def part(values, share):
    return round(1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))], 1) if values else None


async def load(args):
    client = Client(args.url)
    jobs = [(BEGINNINGS[i % len(BEGINNINGS)], 1000 + i) for i in range(args.jobs)]
    solo = {job: (await client.write(job, args.tokens))[0] for job in jobs}
    result = {"clients": args.clients, "texts": 0, "errors": 0, "different": 0, "tokens": 0}
    firsts, problems, memory = [], [], {}
    begun = time.perf_counter()

    async def ask(number):
        pick = random.Random(number)
        while time.perf_counter() - begun < args.seconds:
            job = pick.choice(jobs)
            try:
                text, used, first = await client.write(job, args.tokens)
            except (OSError, RuntimeError, ValueError) as problem:
                result["errors"] += 1
                problems.append(str(problem))
                await asyncio.sleep(0.1)
                continue
            result["texts"] += 1
            result["tokens"] += used
            result["different"] += text != solo[job]
            firsts.append(first)

    async def look():
        for when in (10, args.seconds):
            await asyncio.sleep(max(0, when - (time.perf_counter() - begun)))
            memory[f"rss_mb_at_{when:g}_s"] = round(resident_mb(args.pid), 1)

    await asyncio.gather(*(ask(number) for number in range(args.clients)), *([look()] if args.pid else []))
    seconds = time.perf_counter() - begun
    result.update({"seconds": round(seconds, 2), "tokens_per_s": round(result["tokens"] / seconds, 1),
                   "first_token_ms": {"p50": part(firsts, 0.5), "p99": part(firsts, 0.99)}, **memory})
    if problems:
        result["first_error"] = problems[0]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--jobs", type=int, default=32, help="different prompts and seeds")
    parser.add_argument("--tokens", type=int, default=200, help="most tokens of a text")
    parser.add_argument("--pid", type=int, help="of the server, to look at its memory")
    result = asyncio.run(load(parser.parse_args()))
    print(json.dumps(result, indent=1))
    return 1 if result["errors"] or result["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
