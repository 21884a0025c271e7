import os
import subprocess
import sys
import threading
import time

import flashlm
import numpy as np
import pytest

TEXT = "Once upon a time there was a little dog."


def test_tokenizer_gives_back_any_bytes(model, tmp_path):
    tokenizer = model.tokenizer
    for text in (TEXT, "", "Größe \N{SNOWMAN}", "a\0b"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    broken = b"\xff\x00dog"
    assert tokenizer.decode_bytes(tokenizer.encode(broken)) == broken
    assert tokenizer.decode(tokenizer.encode(broken)) == "\N{REPLACEMENT CHARACTER}\0dog"
    assert tokenizer.vocab == model.vocab == 512
    tokenizer.save(tmp_path / "tokenizer.json")
    assert flashlm.Tokenizer.load(tmp_path / "tokenizer.json").encode(TEXT) == tokenizer.encode(TEXT)
    assert flashlm.Tokenizer.train([TEXT, TEXT], 270).vocab == 270


def test_logits_are_log_probabilities_of_what_follows(model):
    ids = model.tokenizer.encode(TEXT)
    logits = model.logits(TEXT, precision="f32")
    assert logits.shape == (len(ids) + 1, model.vocab) and logits.dtype == np.float32
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, atol=1e-5)
    nats = model.score(TEXT, closed=True, precision="f32")
    assert nats.shape == (len(ids) + 1,) and nats.dtype == np.float32
    np.testing.assert_allclose(nats, -logits[np.arange(len(ids) + 1), ids + [flashlm.EOS]], atol=1e-5)
    np.testing.assert_array_equal(model.score(TEXT, precision="f32"), nats[:-1])
    np.testing.assert_array_equal(model.score(ids + [flashlm.EOS], precision="f32"), nats)
    np.testing.assert_array_equal(model.logits([flashlm.EOS] + ids, precision="f32"), logits)
    assert model.logits([]).shape == (0, model.vocab)


def test_evaluation_is_the_sum_of_scores(model, tmp_path):
    nats = model.score(TEXT, closed=True).sum(dtype=np.float64)
    evaluation = model.evaluate([TEXT])
    assert evaluation.bits_per_byte == pytest.approx(nats / np.log(2) / len(TEXT), rel=1e-6)
    assert evaluation.documents == 1 and evaluation.bytes == len(TEXT)
    (tmp_path / "text").write_text(f"{TEXT}\n<|endoftext|>\n{TEXT}\n")
    assert model.evaluate_file(tmp_path / "text").documents == 2


def test_generate_writes_what_the_program_writes(model, run):
    story = model.generate(TEXT, max_tokens=30, seed=5, temperature=0.7, precision="f32")
    pieces = list(story)
    command = [sys.executable, "-m", "flashlm", "generate", "--model", run, "-p", TEXT, "-n", "30"]
    written = subprocess.run(
        [*command, "--seed", "5", "--temp", "0.7", "--precision", "f32", "--quiet"], check=True, capture_output=True, text=True
    ).stdout
    assert written == TEXT + "".join(pieces) + "\n"
    assert story.text == "".join(pieces) and all(pieces)
    assert story.stop_reason in ("eos", "length") and len(story.tokens) <= 30
    assert story.tokens_per_s > 0
    with pytest.raises(StopIteration):
        next(story)


def test_generate_computes_a_token_when_one_is_wanted(model):
    session = model.session("f32")
    story = session.generate("The", max_tokens=1000)
    next(story)
    assert session.position < 10
    other = session.generate("A")
    with pytest.raises(flashlm.UsageError, match="something else"):
        next(story)
    next(other)


def test_session_reads_token_by_token(model):
    session = model.session("f32")
    ids = [flashlm.EOS] + model.tokenizer.encode(TEXT)
    rows = np.stack([session.feed([i]) for i in ids])
    np.testing.assert_allclose(rows, model.logits(TEXT, precision="f32"), atol=2e-4)
    assert session.position == len(ids)
    session.reset()
    assert session.position == 0


def test_what_is_wrong_is_an_exception_with_words(model, tmp_path):
    with pytest.raises(flashlm.Error, match="nowhere"):
        flashlm.load(tmp_path / "nowhere")
    with pytest.raises(flashlm.UsageError, match="temperature"):
        model.generate("The", temperature=-1)
    with pytest.raises(ValueError, match="unknown precision"):
        model.session("f16")
    with pytest.raises(flashlm.UsageError, match="outside the vocabulary"):
        model.score([5, 512])
    with pytest.raises(OverflowError):
        model.score([1 << 40])
    with pytest.raises(TypeError, match="max_tokens"):
        model.generate("The", max_token=3)
    with pytest.raises(TypeError, match="list of texts"):
        model.evaluate(TEXT)
    with pytest.raises(flashlm.UsageError, match="depth"):
        model.set_depth(2)


def test_other_threads_run_while_the_library_computes(model):
    ids = model.tokenizer.encode(TEXT) * 4000
    done, ticks = threading.Event(), [0]

    def tick():
        while not done.is_set():
            ticks[0] += 1
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    before = ticks[0]
    start = time.monotonic()
    model.score(ids)
    seconds = time.monotonic() - start
    during = ticks[0] - before
    done.set()
    ticker.join()
    assert during > 5 + 20 * seconds, f"{during} ticks in {seconds} s"


def test_sessions_on_many_threads(model):
    expected = model.generate(TEXT, max_tokens=40, seed=1, precision="f32")
    expected = "".join(expected)
    written = {}

    def write(number):
        written[number] = "".join(model.generate(TEXT, max_tokens=40, seed=1, precision="f32"))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(written.values()) == [expected] * 4


def test_handles_outlive_what_they_came_from(run):
    story = flashlm.load(run).session("f32").generate("The", max_tokens=5)
    assert "".join(story) == story.text


def test_python_m_flashlm_is_the_program():
    version = subprocess.run([sys.executable, "-m", "flashlm", "--version"], check=True, capture_output=True, text=True)
    assert version.stdout.startswith(f"flashlm {flashlm.__version__}")
    unknown = subprocess.run([sys.executable, "-m", "flashlm", "trian"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2 and "train" in unknown.stderr


def test_nothing_is_cut_or_wrapped(model, run, tmp_path):
    for call in (
        lambda: flashlm.load(f"{run}\0/nope"),
        lambda: model.tokenizer.save(f"{tmp_path}/t\0x"),
        lambda: model.evaluate_file("a\0b"),
        lambda: model.session("f32\0zzz"),
    ):
        with pytest.raises(ValueError, match="null"):
            call()
    for call in (
        lambda: model.generate("The", max_tokens=2**32 + 3),
        lambda: model.generate("The", top_k=2**32),
        lambda: model.generate("The", top_k=10**5000),
        lambda: model.generate("The", seed=2**64 + 1),
        lambda: flashlm.Tokenizer.train([TEXT], 2**32 + 300),
        lambda: model.score([2**31]),
    ):
        with pytest.raises(OverflowError, match="bits"):
            call()
    for call in (
        lambda: model.tokenizer.encode(5),
        lambda: model.tokenizer.encode([72, 105]),
        lambda: model.evaluate([40]),
        lambda: model.generate(3),
        lambda: model.generate("The", max_tokens=3.5),
        lambda: model.generate("The", temperature="0.8"),
        lambda: model.score([5.7, 9.9]),
        lambda: model.score(["12", "13"]),
        lambda: model.score([12, 13], closed=True),
    ):
        with pytest.raises(TypeError):
            call()
    assert model.tokenizer.encode(bytearray(b"Hi")) == model.tokenizer.encode(memoryview(b"Hi")) == model.tokenizer.encode("Hi")
    assert model.score(TEXT, closed=2).shape == model.score(TEXT, closed=True).shape


def test_a_path_need_not_be_utf_8(model, tmp_path):
    path = str(tmp_path / os.fsdecode(b"caf\xe9.json"))
    model.tokenizer.save(path)
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9.json"]
    assert flashlm.Tokenizer.load(path).encode(TEXT) == model.tokenizer.encode(TEXT)


def test_a_text_that_is_being_written_has_no_reason_to_have_ended(model):
    story = model.generate("The", max_tokens=5, temperature=0)
    next(story)
    assert story.stop_reason is None
    list(story)
    assert story.stop_reason in ("eos", "length")


def test_another_thread_may_look_at_a_text(model):
    story = model.generate("The", max_tokens=300, temperature=3)
    seen = []
    watcher = threading.Thread(target=lambda: [seen.append(story.text) for _ in range(200)])
    watcher.start()
    whole = "".join(story)
    watcher.join()
    assert len(seen) == 200 and all(whole.startswith(text) for text in seen)
