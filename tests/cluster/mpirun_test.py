"""Training under mpirun: the same bits on any number of ranks, refusals, faults. Usage: THIS CASE FLASHLM MPIRUN FOLDER

Ranks are more than this machine may have CPUs for, which is slow and changes nothing. FOLDER is for the case's files.
(No tempfile, no shutil: python3-minimal.)
"""
import json
import os
import random
import signal
import subprocess
import sys
import time

CASE, FLASHLM, MPIRUN, FOLDER = sys.argv[1:5]
# Open MPI's folder for a session is the same for all runs of a user, and one that begins while another ends can find it
# half removed: so each case has its own, with a short path, since there are sockets in it.
SESSIONS = f"/tmp/flashlm-mpi-{os.getpid()}"
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive",
                   OMPI_MCA_orte_tmpdir_base=SESSIONS)
TINY = ["model.d_model=32", "model.n_layers=2", "train.sequence_length=64", "train.micro_batch=4", "train.accumulate=2",
        "train.eval_documents=5", "train.eval_share=100", "train.checkpoint_every=5", "train.precision=f32"]
CORTEX = TINY + ["model.vocab=512", "model.d_head=8", "model.d_mem=8", "model.d_ff=48", "model.dropout=0.1"]
FLAGSHIP = TINY + ["model.n_heads=2", "model.mixers=RF", "model.d_ff=64", "train.batch_growth=0.5:2"]
SUPERNOVA = TINY + ["model.d_reason=16", "model.n_operations=4", "model.n_slots=4", "train.phases=0"]


def path(name):
    return os.path.join(FOLDER, name)


def fail(message):
    sys.exit(f"{CASE}: {message}")


def prepare(name="data", size=200000):
    subprocess.run([FLASHLM, "data", "prepare", "--input", "synthetic", "--out", path(name), "--vocab", "512",
                    "--synthetic-bytes", str(size), "--quiet"], check=True)


def settings(sets):
    return [word for one in sets for word in ("--set", one)]


def new(run, preset, sets, steps, data="data"):
    return ["train", "--preset", preset, "--data", path(data), "--out", path(run), "--steps", str(steps), "--quiet",
            *settings(sets)]


def resume(run, *more):
    return ["train", "--resume", path(run), "--quiet", *more]


def mpirun(ranks):
    return [MPIRUN, "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]


def command(ranks, arguments):
    return (mpirun(ranks) if ranks > 1 else []) + [FLASHLM, *arguments]


def start(words, threads=1):
    return subprocess.Popen(words, env=dict(ENVIRONMENT, OMP_NUM_THREADS=str(threads)), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def run(words, threads=1, code=0):
    process = start(words, threads)
    out, err = process.communicate(timeout=100)
    if process.returncode != code:
        fail(f"exit code {process.returncode} instead of {code} of {' '.join(words)}\n{err}")
    return out, err


def steps_of(run_name):
    steps = {}
    try:
        with open(path(run_name) + "/log.jsonl", encoding="utf-8") as log:
            for line in log:
                if line.endswith("\n") and '"step":' in line:
                    entry = json.loads(line)
                    steps[entry["step"]] = entry
    except FileNotFoundError:
        pass
    return steps


def result(run_name, optimizer=True):
    """What a run came to: its weights, what the optimiser remembers, losses and norms."""
    files = ["model.safetensors"] + (["optimizer.safetensors"] if optimizer else [])
    content = []
    for name in files:
        with open(f"{path(run_name)}/latest/{name}", "rb") as file:
            content.append(file.read())
    log = [(n, one["cross_entropy"], one["grad_norm"], one["verdict"]) for n, one in sorted(steps_of(run_name).items())]
    return content + [log]


def expect_same(one, other):
    a, b = result(one), result(other)
    for part, x, y in zip(("weights", "optimiser", "log"), a, b):
        if x != y:
            fail(f"{part} of {other} are not those of {one}")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(word) for word in file.read().split()]


def ranks_of(process):
    """Process ids of the ranks that mpirun has started."""
    found = []
    for child in children(process.pid):
        try:
            with open(f"/proc/{child}/cmdline", "rb") as file:
                if b"--preset" in file.read() or b"--resume" in open(f"/proc/{child}/cmdline", "rb").read():
                    found.append(child)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def wait_for_step(process, run_name, step, limit=60):
    end = time.monotonic() + limit
    while max(steps_of(run_name), default=0) < step:
        if process.poll() is not None:
            fail(f"{run_name} ended before step {step}: {process.communicate()[1]}")
        if time.monotonic() > end:
            process.kill()
            fail(f"{run_name} has not reached step {step}")
        time.sleep(0.01)


def same_bits():
    prepare()
    for name, preset, sets in (("cortex", "cortex-viii", CORTEX), ("flagship", "flagship-2m", FLAGSHIP)):
        run([FLASHLM, *new(f"{name}_alone", preset, sets, 12)], threads=2)
        run([FLASHLM, *new(f"{name}_thread", preset, sets, 12)], threads=1)
        expect_same(f"{name}_alone", f"{name}_thread")
        for ranks, threads in ((4, 1), (2, 2)) if name == "flagship" else ((2, 1), (4, 1), (3, 1)):
            run(command(ranks, new(f"{name}_{ranks}_{threads}", preset, sets, 12)), threads)
            expect_same(f"{name}_alone", f"{name}_{ranks}_{threads}")
        last = steps_of(f"{name}_4_1")[12]
        if last["ranks"] != 4 or not last["sent_bytes_per_token"] > 0:
            fail(f"what was exchanged is not in the log: {last}")


def engines():
    """Models whose passes leave something beside gradients; a step that is dropped; a budget of time."""
    prepare()
    spikes = CORTEX + ["train.spike_factor=0.9"]
    for name, preset, sets, steps in (("supernova", "v6-supernova", SUPERNOVA, 8), ("spikes", "cortex-viii", spikes, 30)):
        run([FLASHLM, *new(f"{name}_alone", preset, sets, steps)])
        run(command(2, new(f"{name}_2", preset, sets, steps)))
        expect_same(f"{name}_alone", f"{name}_2")
    if not any("skipped" in one["verdict"] for one in steps_of("spikes_2").values()):
        fail("no step was dropped")
    timed = new("timed", "flagship-2m", FLAGSHIP, 0)
    timed[timed.index("--steps"):timed.index("--steps") + 2] = ["--time", "2s"]
    run(command(2, timed))
    if not 1 < steps_of("timed")[max(steps_of("timed"))]["seconds"] < 4:
        fail("the time budget was not kept")


def goes_on():
    """Stopped on 4 ranks, on 1 and on 2, by killing one of them."""
    prepare()
    run([FLASHLM, *new("whole", "cortex-viii", CORTEX, 60)])
    generator = random.Random(time.time_ns())
    step = 8
    for turn, ranks in enumerate((4, 1, 2)):
        words = new("broken", "cortex-viii", CORTEX, 60) if turn == 0 else resume("broken")
        process = start(command(ranks, words))
        wait_for_step(process, "broken", step)
        victims = ranks_of(process) if ranks > 1 else [process.pid]
        if len(victims) != ranks:
            fail(f"{len(victims)} ranks of {ranks} found")
        began = time.monotonic()
        os.kill(generator.choice(victims), signal.SIGKILL)
        _, err = process.communicate(timeout=30)
        if ranks > 1 and not ("rank" in err and "signal 9" in err):
            fail(f"mpirun does not say which rank was killed: {err}")
        if process.returncode == 0 or time.monotonic() - began > 15:
            fail(f"a killed rank left exit code {process.returncode} after {time.monotonic() - began:.1f} s")
        step += 12
    run(command(3, resume("broken")))
    expect_same("whole", "broken")


def hangs():
    """A rank that is stopped ends the job, with one line that names it."""
    prepare()
    process = start(command(2, new("hung", "cortex-viii", CORTEX + ["train.patience=2"], 100000)))
    wait_for_step(process, "hung", 7)
    victim = max(ranks_of(process))  # the last one that was started
    began = time.monotonic()
    os.kill(victim, signal.SIGSTOP)
    out, err = process.communicate(timeout=40)
    seconds = time.monotonic() - began
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    if process.returncode == 0 or seconds > 20 or len(lines) != 1 or "error: rank 1 on " not in lines[0]:
        fail(f"exit code {process.returncode} after {seconds:.1f} s: {err}")
    run(command(2, resume("hung", "--steps", "12")))


def supervised():
    """The line of docs/cluster.md, with a kill."""
    prepare()
    run([FLASHLM, *new("whole", "cortex-viii", CORTEX, 40)])
    words = new("watched", "cortex-viii", CORTEX, 40)
    line = "until if [ -e %s/config.toml ]; then %s; else %s; fi || [ $? -eq 2 ]; do sleep 0.1; done" % (
        path("watched"), " ".join(command(2, resume("watched"))), " ".join(command(2, words)))
    process = start(["bash", "-c", line])
    for step in (7, 18):
        wait_for_step(process, "watched", step)
        found = [rank for child in children(process.pid) for rank in children(child)]
        os.kill(random.choice(found), signal.SIGKILL)
        time.sleep(1.5)
    out, err = process.communicate(timeout=60)
    if process.returncode != 0:
        fail(err)
    expect_same("whole", "watched")
    # What cannot succeed is not tried for ever.
    _, err = run(["bash", "-c", line.replace("watched", "never").replace("cortex-viii", "no-such-preset")])
    if err.count("error: ") != 1 or "no-such-preset" not in err:
        fail(err)


def refusals():
    prepare()
    prepare("other", 100000)
    base = new("run", "cortex-viii", CORTEX, 5)

    def expect(words, code, *parts):
        _, err = run(words, code=code)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        if len(lines) != 1 or not all(part in lines[0] for part in parts):
            fail(f"expected one line with {parts}, got {err}")
        if os.path.exists(path("run")):
            fail("something was written")

    def two(other, *environment):
        words = mpirun(1) + [FLASHLM, *base, ":", "--oversubscribe", "-n", "1"]
        for one in environment:
            words += ["-x", one]
        return words + [FLASHLM, *other]

    expect(two(new("run", "cortex-viii", CORTEX + ["optim.lr=0.5"], 5)), 2, "rank 1 on ", "optim.lr = 0.5")
    expect(two(new("run", "cortex-viii", CORTEX, 5, "other")), 2, "rank 1 on ", "data set")
    # Also where the first rank's choice would hide it: the family chooses a size, "auto" a type of products.
    expect(two(["train", "--data", path("data"), "--out", path("run"), "--steps", "5", "--quiet"]), 2, "rank 1 on ",
           "preset = ")
    expect(two(new("run", "v8.3", CORTEX, 5)), 2, "rank 1 on ", 'preset = "v8.3" instead of "cortex-viii"')
    expect(two(new("run", "cortex-viii", CORTEX, 6)), 2, "rank 1 on ", 'steps = "6" instead of "5"')
    expect(two([*new("run", "cortex-viii", CORTEX, 5), "--seed", "7"]), 2, "rank 1 on ", "seed = 7 instead of none")
    expect(two(new("run", "cortex-viii", CORTEX + ["train.products=bf16"], 5)), 2, "rank 1 on ", "train.products")
    expect(two(resume("run")), 2, "rank 1 on ")
    expect(two(["bench", "exchange", "--preset", "v8.4-lean", "--steps", "2"]), 2, "rank 1 on ")
    expect(two(base, "FLASHLM_ISA=scalar"), 2, "rank 1 on ", "instruction set")
    expect(two(new("run", "cortex-viii", CORTEX, 5, "missing")), 1, "rank 1 on ", "missing")
    expect(command(2, new("run", "no-such-preset", CORTEX, 5)), 2, "no-such-preset")
    # Another program, and one that has no MPI beside it.
    subprocess.run(["cp", FLASHLM, os.path.join(os.path.dirname(FLASHLM), "libflashlm_mpi.so"), FOLDER], check=True)
    with open(path("flashlm"), "ab") as copy:
        copy.write(b"other")
    expect(mpirun(1) + [FLASHLM, *base, ":", "--oversubscribe", "-n", "1", path("flashlm"), *base], 2, "rank 1 on ",
           "another program")
    os.remove(path("libflashlm_mpi.so"))
    expect(["env", "OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=0", path("flashlm"), *base], 2, "built without MPI",
           "tools/setup.sh mpi")
    expect(command(4, new("run", "cortex-viii", CORTEX + ["train.accumulate=1", "train.lanes=2"], 5)), 2,
           "4 ranks", "2 passes", "train.accumulate")
    expect(command(4, new("run", "cortex-viii", CORTEX + ["train.accumulate=4", "train.lanes=1",
                                                          "train.batch_growth=0:0.5,0.5:1"], 5)), 2,
           "4 ranks", "the smallest step", "2 passes")
    expect(command(2, new("run", "cortex-viii", CORTEX + ["train.accumulate=3", "train.lanes=1", "train.sync_every=4",
                                                          "train.batch_growth=0:0.6666666667,0.5:1"], 5)), 2,
           "2 ranks", "3 passes", "unevenly")
    expect(command(2, new("run", "cortex-viii", CORTEX + ["model.table_bigrams=100"], 5)), 2, "hashed n-gram tables")


def local():
    """Local steps: gradients stay at home, and a run that was broken goes on."""
    prepare()
    sets = CORTEX + ["train.sync_every=4", "train.exchange=int8"]
    run(command(2, new("int8", "v8.4-lean", sets, 42)))
    steps = steps_of("int8")
    if sorted(steps) != list(range(1, 43)):
        fail("steps are missing in the log")
    exchanged = [n for n in steps if "sent_bytes_per_token" in steps[n]]
    if exchanged != [*range(4, 41, 4), 42]:
        fail(f"weights were exchanged after steps {exchanged}")
    run(command(2, new("f32", "v8.4-lean", CORTEX + ["train.sync_every=4"], 8)))
    run(command(2, new("every", "v8.4-lean", CORTEX, 8)))
    sent = [steps_of(name)[8]["sent_bytes_per_token"] for name in ("int8", "f32", "every")]
    if not (2 < sent[1] / sent[0] < 4.1 and 3.5 < sent[2] / sent[1] < 6):
        fail(f"bytes per token in int8, f32 and of gradients: {sent}")
    losses = [one["cross_entropy"] for one in steps.values()]
    if not losses[-1] < losses[0] - 0.5:
        fail(f"nothing was learned: {losses}")
    # Broken and gone on with on other ranks; by one process bit for bit, which makes the same outer steps.
    for name, first, then in (("broken", 2, 4), ("alone_broken", 1, 1)):
        own = (sets if first > 1 else CORTEX + ["train.sync_every=4"]) + ["train.checkpoint_every=4"]
        process = start(command(first, new(name, "v8.4-lean", own, 42)))
        wait_for_step(process, name, 14)
        os.kill(ranks_of(process)[0] if first > 1 else process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        run(command(then, resume(name)))
    run(command(1, new("alone", "v8.4-lean", own, 42)))
    expect_same("alone", "alone_broken")


def bench():
    out, _ = run(command(2, ["bench", "exchange", "--preset", "v8.4-lean", "--steps", "3", "--json"]))
    result = json.loads(out)
    rows = {row["machines"]: row for row in result["predicted"]}
    if result["ranks"] != 2 or not result["bandwidth_mb_per_s"] > 10 or sorted(rows) != [1, 2, 4, 8, 16, 32, 64]:
        fail(out)
    if not 0.3 < result["step_ms_predicted"] / result["step_ms_measured"] < 3:
        fail(f"{result['step_ms_predicted']} ms predicted, {result['step_ms_measured']} ms measured")
    _, err = run([FLASHLM, "bench", "exchange"], code=2)
    if "mpirun -n 2" not in err or err.count("\n") != 1:
        fail(err)
    out, _ = run([FLASHLM, "bench", "exchange", "--bandwidth", "125", "--latency", "0.1", "--steps", "2", "--json"])
    one = json.loads(out)
    idle = {row["machines"]: row["idle_machines"] for row in one["predicted"]}
    if one["sequences"] != 16 or idle[16] != 0 or idle[64] != 48:
        fail(f"{one['sequences']} sequences, {idle}")
    gradients = 1e3 * one["parameters"] * 4 / 2 / 125e6  # ms for half of them, on two machines; as long for values
    two = one["predicted"][1]
    expected = one["passes_ms"] / 2 + one["update_ms"] / 2 + 2 * gradients + 8 * 0.1 - two["hidden_ms"]
    if abs(two["step_ms"] - expected) > 1e-6 * expected:
        fail(f"{two['step_ms']} ms predicted instead of {expected}")
    if not 0 < two["hidden_ms"] < gradients + one["update_ms"] / 2:  # of values no more than the update takes
        fail(f"{two['hidden_ms']} of {gradients} ms hidden, {one['update_ms']} ms update")


CASES = {"local": local, "bench": bench, "same_bits": same_bits, "engines": engines, "goes_on": goes_on, "hangs": hangs, "supervised": supervised,
         "refusals": refusals}

if __name__ == "__main__":
    if not os.path.exists(MPIRUN):
        print("no mpirun here (tools/setup.sh mpi): skipped")
        sys.exit(77)
    subprocess.run(["rm", "-rf", FOLDER], check=True)
    os.makedirs(FOLDER)
    os.mkdir(SESSIONS)
    try:
        CASES[CASE]()
    finally:
        subprocess.run(["rm", "-rf", SESSIONS], check=True)
    subprocess.run(["rm", "-rf", FOLDER], check=True)
