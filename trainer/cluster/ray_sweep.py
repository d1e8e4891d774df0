"""A sweep by Ray: python ray_sweep.py TRAINER PLAN DIR; DIR is on a file system that all nodes share."""
import json, os, subprocess, sys
import ray

trainer, plan, out = map(os.path.abspath, sys.argv[1:])
subprocess.run([trainer, "sweep", plan, "--out", out, "--plan-only"], check=True)
runs = [json.loads(line)["name"] for line in open(f"{out}/plan.jsonl")]
one = [trainer, "run", "--plan", f"{out}/plan.jsonl", "--quiet", "--index"]
ray.init()
task = ray.remote(num_cpus=1, max_retries=3)(lambda i: subprocess.run([*one, str(i)]).returncode)
print(dict(zip(runs, ray.get([task.remote(i) for i in range(len(runs))]))))  # 0 done, 75 interrupted: run this again
subprocess.run([trainer, "collect", out, "--quiet"], check=True)
