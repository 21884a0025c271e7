"""What FlashLM gives the tokens of some documents: for the tools here that compare it with other programs."""

import json
import pathlib
import subprocess


def documents_of(path: pathlib.Path | None, otherwise: list[str]) -> list[str]:
    """The documents of a file, separated by <|endoftext|>, stripped."""
    if path is None:
        return otherwise
    return [d.strip() for d in path.read_text().split("<|endoftext|>") if d.strip()]


def scores_of(flashlm: str, model: str, documents: list[str], scratch: str) -> list[list[tuple[int, float]]]:
    """The id of every token and its nats in f32, closing <eos> included, document by document."""
    text, tokens = pathlib.Path(scratch, "text"), pathlib.Path(scratch, "tokens.jsonl")
    text.write_text("\n<|endoftext|>\n".join(documents))
    command = [flashlm, "--quiet", "eval", "--model", model, "--text", str(text), "--tokens", str(tokens), "--precision", "f32"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    scores: list[list[tuple[int, float]]] = [[] for _ in documents]
    for line in tokens.open():
        token = json.loads(line)
        scores[token["document"]].append((token["id"], token["nats"]))
    return scores
