"""FlashLM: small language models, trained from scratch on plain CPUs.

    import flashlm

    model = flashlm.load("runs/demo")
    for piece in model.generate("Once upon a time"):
        print(piece, end="", flush=True)
    model.logits("Once upon a time")            # NumPy, [T, V]
    flashlm.train({"data": "data/synthetic", "out": "runs/second", "time": "1m"}, print)

Computing happens in libflashlm, on all cores, without the interpreter's lock. It prints nothing; `set_message_handler`
gives what it has to tell.
"""
from flashlm._library import Error, UsageError, __version__, set_message_handler
from flashlm._model import EOS, Evaluation, Generation, Model, Session, Tokenizer, load
from flashlm._train import TrainProgress, TrainResult, train

__all__ = [
    "EOS",
    "Error",
    "Evaluation",
    "Generation",
    "Model",
    "Session",
    "Tokenizer",
    "TrainProgress",
    "TrainResult",
    "UsageError",
    "__version__",
    "load",
    "set_message_handler",
    "train",
]
