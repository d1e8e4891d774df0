"""A sweep by submitit: python submitit_sweep.py TRAINER PLAN DIR [CLUSTER], where CLUSTER is slurm or local."""
import json, subprocess, sys
import submitit

trainer, plan, out, *cluster = sys.argv[1:]
subprocess.run([trainer, "sweep", plan, "--out", out, "--plan-only"], check=True)
runs = [json.loads(line)["name"] for line in open(f"{out}/plan.jsonl")]
executor = submitit.AutoExecutor(folder=f"{out}/submitit", cluster=cluster[0] if cluster else None)
executor.update_parameters(timeout_min=60, cpus_per_task=1, slurm_array_parallelism=16)
one = [trainer, "run", "--plan", f"{out}/plan.jsonl", "--quiet", "--index"]
jobs = executor.map_array(lambda i: subprocess.run([*one, str(i)]).returncode, range(len(runs)))
print(dict(zip(runs, (job.result() for job in jobs))))  # 0 done, 75 interrupted: run this again; 1 in runs.csv
subprocess.run([trainer, "collect", out, "--quiet"], check=True)
