"""Continues a text with a trained model: python story.py MODEL "Once upon a time" """
import sys

import flashlm

if len(sys.argv) != 3:
    sys.exit(f"usage: story.py MODEL PROMPT (FlashLM {flashlm.__version__})")
model = flashlm.load(sys.argv[1])
print(sys.argv[2], end="")
for piece in model.generate(sys.argv[2], max_tokens=60, seed=7):
    print(piece, end="", flush=True)
print()
