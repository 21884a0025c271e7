#!/usr/bin/env python3
"""Whether OpenAI's Python package gets from `flashlm serve` what its types promise. A development tool.

    tools/compare_with_openai.py MODEL [--flashlm build/release/flashlm] [--text FILE]

Serves MODEL and asks it with the package: completions whole, streamed and several at once; the log-probabilities of a
document (echo); a chat; models; and what is refused. Streamed and whole texts must be the same, log-probabilities those
of `flashlm eval --tokens`. Ends with 77 (skipped) where openai is not installed, with 1 if something differs.
"""

import pathlib
import sys
import tempfile

from comparison import comparison_parser, need
from flashlm_scores import documents_of, scores_of
from served_model import served

DOCUMENTS = ["Once upon a time there was a little cat. The cat was happy."]


def check(what: str, holds: bool) -> bool:
    print(f"{'yes' if holds else 'NO '}  {what}")
    return holds


def main() -> int:
    parser = comparison_parser(__doc__)
    parser.add_argument("--text", type=pathlib.Path, help="documents, of which the first is scored (default: one)")
    args = parser.parse_args()
    need("openai")
    import openai

    document = documents_of(args.text, DOCUMENTS)[0]
    with tempfile.TemporaryDirectory() as scratch:
        nats = [nats for _, nats in scores_of(args.flashlm, args.model, [document], scratch)[0]][:-1]  # without <eos>
    with served(args.flashlm, args.model, "--precision", "f32") as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        name = client.models.list().data[0].id
        ask = {"model": name, "prompt": "Once upon a time", "max_tokens": 24, "seed": 5, "temperature": 0.8}
        whole = client.completions.create(**ask)
        *chunks, last = client.completions.create(**ask, stream=True, stream_options={"include_usage": True})
        several = client.completions.create(**ask, n=3)
        echo = client.completions.create(model=name, prompt=document, max_tokens=0, echo=True, logprobs=1)
        scored = echo.choices[0].logprobs
        talk = {"model": name, "messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 16, "seed": 5}
        said = client.chat.completions.create(**talk)
        deltas = [c.choices[0].delta.content or "" for c in client.chat.completions.create(**talk, stream=True)]
        try:
            client.completions.create(model=name, prompt="x", max_tokens=4294967297)
            refused = None
        except openai.BadRequestError as error:
            refused = error.param

        text = whole.choices[0].text
        # The first token has none, by OpenAI's rule: nothing stands before it.
        differ = max(abs(mine + theirs) for mine, theirs in zip(nats[1:], scored.token_logprobs[1:], strict=True))
        counts = [(usage.prompt_tokens, usage.completion_tokens) for usage in (whole.usage, last.usage)]
        held = [
            check("models tells of the model", client.models.retrieve(name).id == name),
            check("a completion has text and counts", bool(text) and whole.usage.completion_tokens <= 24),
            check("streamed it is the same text", "".join(c.choices[0].text for c in chunks) == text),
            check("and its last chunk has the counts", last.choices == [] and counts[0] == counts[1]),
            check("n = 3 gives three, the first as alone", len(several.choices) == 3 and several.choices[0].text == text),
            check("echo gives the prompt back", echo.choices[0].text == document and scored.token_logprobs[0] is None),
            check(f"with the log-probabilities of eval (differ by {differ:.1e})", differ < 1e-5),
            check("a chat answers, streamed the same", "".join(deltas) == said.choices[0].message.content != ""),
            check("what is out of range is refused by name", refused == "max_tokens"),
        ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
