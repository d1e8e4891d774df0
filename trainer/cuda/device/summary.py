#!/usr/bin/env python3
"""What check.sh found, in a few lines and as JSON.

  summary.py probe FILE             versions of PyTorch and cuDNN; what the driver says of memory pools; one JSON line more
  summary.py compare FILE RUN RUN   whether two runs are equal: parameters byte for byte, losses of every epoch; one JSON line more
  summary.py rate FILE RUN IMAGES   images/s of a run whose steps have this many images: median of its epochs after the first two
  summary.py summary FOLDER         prints the summary of a folder of results, exit code 1 where something failed
  summary.py test                   checks itself on a sample
"""
import collections
import csv
import ctypes
import io
import json
import pathlib
import statistics
import struct
import sys

COSTLIEST = 10
VERDICTS = {0: "pass", 77: "skip", 124: "TIMEOUT", 137: "TIMEOUT"}


def lines(path):
    """The JSON objects of a file, one a line; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.is_file() else []


def append(path, record):
    with open(path, "a") as file:
        file.write(json.dumps(record) + "\n")
    print(json.dumps(record))


def probe(path):
    record = {"probe": True}
    try:
        import torch

        record["torch"] = torch.__version__
        record["torch_cudnn"] = torch.backends.cudnn.version() if torch.cuda.is_available() else None
    except ImportError as reason:
        record["torch"] = f"missing: {reason}"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as reason:
        append(path, record | {"driver": f"missing: {reason}"})
        return
    version, pools, context, address = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    driver.cuDriverGetVersion(ctypes.byref(version))
    record["driver"] = version.value
    record["init"] = driver.cuInit(0)
    driver.cuDeviceGetAttribute(ctypes.byref(pools), 115, 0)
    record["memory_pools"] = pools.value
    driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
    driver.cuCtxSetCurrent(context)
    record["allocation_of_0_bytes"] = driver.cuMemAllocAsync(ctypes.byref(address), ctypes.c_size_t(0), None)
    append(path, record)


def losses(run):
    return [(line.get("epoch"), line["loss"]) for line in lines(run / "metrics.jsonl") if "loss" in line]


def compare(path, first, second):
    models = [(run / "model.safetensors").read_bytes() for run in (first, second)]
    record = {"resumed_model_equals_whole": models[0] == models[1], "resumed_losses_equal_whole": losses(first) == losses(second)}
    append(path, record)
    sys.exit(not all(record.values()))


def recorded_at(run):
    """[step, time] of each recorded epoch, by the events for TensorBoard: length, checksum, event (1: double time, 2: step), checksum."""
    found = []
    for path in sorted(run.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at + 12 <= len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = data[at + 12 : at + 12 + length]
            at += 12 + length + 4
            if len(event) > 10 and event[0] == 0x09 and event[9] == 0x10:
                step, shift = 0, 0
                for byte in event[10:]:
                    step |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80:
                        break
                found.append((step, struct.unpack_from("<d", event, 1)[0]))
    return [(step, time) for step, time in found if step > 0]


def rate(path, run, images):
    epochs = recorded_at(run)[1:]
    rates = [images * (b[0] - a[0]) / (b[1] - a[1]) for a, b in zip(epochs, epochs[1:]) if b[1] > a[1]]
    append(path, {"training_images_per_s": statistics.median(rates) if rates else None, "images_per_step": images})
    sys.exit(not rates)


def kernels(text):
    """[name, ms, GB, launches] of the costliest kernels of a CSV of ncu, whose rows are one metric of one launch each."""
    rows = text[text.find('"ID"') :]
    totals = collections.defaultdict(lambda: [0.0, 0.0, 0])
    factors = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3, "nsecond": 1e-6, "usecond": 1e-3, "msecond": 1.0, "second": 1e3}
    factors |= {"byte": 1e-9, "Kbyte": 1e-6, "Mbyte": 1e-3, "Gbyte": 1.0}
    for row in csv.DictReader(io.StringIO(rows)):
        if not (row.get("Metric Value") and row.get("Metric Unit") in factors):
            continue
        value = float(row["Metric Value"].replace(",", "")) * factors[row["Metric Unit"]]
        total = totals[row["Kernel Name"]]
        if row["Metric Name"].startswith("gpu__time_duration"):
            total[0] += value
            total[2] += 1
        else:
            total[1] += value
    return sorted(([name, *total] for name, total in totals.items()), key=lambda k: -k[1])[:COSTLIEST]


def peers(runs):
    """Of each network and batch: images/s and peak memory, ours and PyTorch's, and their ratios; medians of the runs."""
    found = []
    for key in sorted({(run["net"], run["batch"]) for run in runs}):
        def median(variant, field):
            values = [run[field] for run in runs if (run["net"], run["batch"]) == key and run["variant"] == variant]
            return statistics.median(values) if values else float("nan")

        record = {"net": key[0], "batch": key[1]}
        for field in ("images_per_s", "peak_memory_bytes"):
            ours, theirs = median("ours", field), median("torch", field)
            record |= {f"ours_{field}": ours, f"torch_{field}": theirs, f"ratio_{field}": ours / theirs}
        found.append(record)
    return found


def summary(folder):
    """The text of the summary, the objects that it adds, and whether something failed."""
    text, more, records = [], [], lines(folder / "check.jsonl")
    verdict = lambda record: VERDICTS.get(record["status"], f"FAIL ({record['status']})")
    for record in records:
        if "test" in record:
            text.append(f"{verdict(record):8} {record['test']}")
        elif "note" in record:
            text.append(f"NOTE     {record['note']}")
    for record in lines(folder / "bench.jsonl"):
        share = f"{100 * record['gemm_share']:.0f} % of a matrix product's rate"
        memory = (record["peak_memory_bytes"] or 0) / 1e6
        graph = "graph" if record["cuda_graph"] else "eager"
        text.append(f"bench    {record['net']} {record['batch']}: {record['images_per_s']:.0f} images/s, {share}, {memory:.0f} MB, {graph}")
        if record.get("augment_ms"):
            views, step = 1e3 * record["batch"] / record["augment_ms"], 1e3 * record["batch"] / record["images_per_s"]
            text.append(f"         augmentation {views:.0f} images/s, {100 * record['augment_ms'] / step:.1f} % of a step")
        if "cudnn_version" in record:
            text.append(f"         cuDNN {record['cudnn_version']}")
        for plan in record.get("plans") or []:
            text.append("         " + " ".join(f"{key}={value}" for key, value in plan.items()))
        more.append({"bench": record})
    for record in peers(lines(folder / "runs.jsonl")):
        speed, memory = "images_per_s", "peak_memory_bytes"
        text.append(
            f"peers    {record['net']} {record['batch']}: {record['ours_' + speed]:.0f} images/s, PyTorch {record['torch_' + speed]:.0f}"
            f" (ratio {record['ratio_' + speed]:.2f}); {record['ours_' + memory] / 1e6:.0f} MB, PyTorch {record['torch_' + memory] / 1e6:.0f}"
            f" (ratio {record['ratio_' + memory]:.2f})"
        )
        more.append({"peers": record})
    for record in records:
        if record.get("training_images_per_s"):
            own, images = record["training_images_per_s"], record["images_per_step"]
            alike = [bench["images_per_s"] for bench in lines(folder / "bench.jsonl") if bench.get("image") == "28x28x1" and bench["batch"] == images]
            ratio = f", {own / alike[-1]:.3f} of bench's {alike[-1]:.0f}" if alike else ""
            text.append(f"training {own:.0f} images/s in steps of {images}{ratio}")
    if (folder / "ncu.csv").is_file():
        for name, milliseconds, gigabytes, launches in kernels((folder / "ncu.csv").read_text(errors="replace")):
            text.append(f"kernel   {milliseconds:8.3f} ms {gigabytes:7.3f} GB {launches:4} × {name[:90]}")
            more.append({"kernel": name, "ms": milliseconds, "gigabytes": gigabytes, "launches": launches})
    for record in records:
        for key in ("resumed_model_equals_whole", "resumed_losses_equal_whole"):
            if key in record:
                text.append(f"{'pass' if record[key] else 'FAIL':8} {key.replace('_', ' ')}")
    failed = not records
    for record in records:
        failed |= record.get("status", 0) not in (0, 77)
        if "phase" in record:
            text.append(f"{verdict(record):8} phase {record['phase']}, {record['seconds']} of {record['limit']} s")
    return text, more, failed


def test():
    import tempfile

    ncu = """==PROF== Connected
"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"
"0","gemm","dram__bytes.sum","Mbyte","1,500.0"
"0","gemm","gpu__time_duration.sum","us","20.5"
"1","norm","gpu__time_duration.sum","us","30"
"2","gemm","gpu__time_duration.sum","us","20.5"
"""
    assert kernels(ncu) == [["gemm", 0.041, 1.5, 2], ["norm", 0.03, 0.0, 1]], kernels(ncu)
    run = lambda variant, speed: {"variant": variant, "net": "mlp", "batch": 4, "images_per_s": speed, "peak_memory_bytes": 100}
    assert peers([run("ours", 30), run("torch", 20), run("ours", 10)])[0]["ratio_images_per_s"] == 1
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        assert summary(folder)[2], "nothing was run"
        (folder / "check.jsonl").write_text('{"test":"a","status":0}\n{"phase":"start","status":77,"seconds":1,"limit":2}\n')
        bench = {"net": "mlp", "batch": 4, "images_per_s": 1.0, "gemm_share": 0.5, "peak_memory_bytes": None, "cuda_graph": True}
        bench |= {"cudnn_version": 91002, "plans": [{"pass": "forward", "algorithm": 1}]}
        (folder / "bench.jsonl").write_text(json.dumps(bench) + "\n")
        (folder / "ncu.csv").write_text(ncu)
        text, more, failed = summary(folder)
        assert not failed and len(more) == 3 and "         pass=forward algorithm=1" in text, (text, more)
        events = [b"\x09" + struct.pack("<d", time) + b"\x10" + step for time, step in ((0, b"\x00"), (1, b"\xac\x02"), (3, b"\xd8\x04"))]
        framed = b"".join(struct.pack("<Q", len(event)) + bytes(4) + event + bytes(4) for event in events)
        (folder / "events.out.tfevents.1.trainer").write_bytes(framed)
        assert recorded_at(folder) == [(300, 1.0), (600, 3.0)], recorded_at(folder)
        append(folder / "check.jsonl", {"test": "b", "status": 101})
        text, _, failed = summary(folder)
        assert failed and "FAIL (101) b" in text, text


def main():
    arguments = [pathlib.Path(argument) for argument in sys.argv[2:]]
    match sys.argv[1:2], len(arguments):
        case ["probe"], 1:
            probe(*arguments)
        case ["compare"], 3:
            compare(*arguments)
        case ["rate"], 3:
            rate(arguments[0], arguments[1], int(str(arguments[2])))
        case ["test"], 0:
            test()
        case ["summary"], 1:
            text, more, failed = summary(arguments[0])
            print("\n".join(text))
            with (arguments[0] / "check.jsonl").open("a") as file:
                file.writelines(json.dumps(record) + "\n" for record in more)
            sys.exit(failed)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
