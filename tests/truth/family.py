"""A seeded family of small random plans (kinds of stages × APIs × datasets × faults) and of runs without one."""

import pathlib
import random

PLANS = pathlib.Path(__file__).parent / "plans"

APIS = {
    "openai-chat": "/v1",
    "openai-completions": "/v1",
    "openai-responses": "/v1",
    "anthropic-messages": "/v1",
    "ollama-chat": "",
    "ollama-generate": "",
    "tgi": "",
    "triton": "",
    "sglang": "",
    "llamacpp-completion": "",
    "json": "/generate",
}
SCRIPTS = ["plain", "cached", "somefail", "cutmid", "slow", "buffered", "role", "allfail"]
# What every API can say, and what only chat can.
ROWS, CHAT_ROWS = ["plain_rows.jsonl"], ["plain_rows.jsonl", "rows.jsonl", "batch.jsonl", "sharegpt.json"]
CHECKS = ["ttft.p95 < 50ms", "e2e.p99 < 200ms", "error_rate <= 20%", "success_rate >= 90%", "ttft.p50 >= 1ms", "tpot.mean < 20ms", "itl.p90 < 30ms", "goodput >= 1", "schedule_lag.p99 < 1s", "output_tokens_per_second > 10", "e2e.count >= 5"]


def stage(pick, number):
    kind = pick.choice(["load", "load", "load", "qps_ladder", "concurrency_ramp", "cold", "search"])
    checks = ", ".join(f'"{c}"' for c in pick.sample(CHECKS, pick.randint(1, 3)))
    keys = [f"id: s{number}", f"kind: {kind}"]
    if kind == "load":
        if pick.random() < 0.5:
            arrival = pick.choice(["constant", "poisson", "gamma", "burst"])
            keys += [f"rate: {pick.choice([20, 60, 150])}", f"arrival: {arrival}"]
            keys += {"gamma": ["burstiness: 0.5"], "burst": ["burst_size: 4"]}.get(arrival, [])
        else:
            keys.append(f"concurrency: {pick.choice([1, 3, 8])}")
        keys.append(pick.choice([f"requests: {pick.randint(5, 80)}", f"duration: {pick.randint(300, 900)}ms"]))
        if pick.random() < 0.3:
            keys.append("rounds: 2")
        elif pick.random() < 0.4:
            keys.append(f"window: {pick.choice([100, 250])}ms")
        if pick.random() < 0.3:
            keys.append("warmup: 50ms")
    elif kind == "qps_ladder":
        keys += [f'rates: "{pick.choice(["10,30", "20,80,200", "15"])}"', f"step: {pick.randint(300, 600)}ms"]
    elif kind == "concurrency_ramp":
        keys += [f'concurrency: "{pick.choice(["1,4", "2,8,16"])}"', f"requests: {pick.choice([16, 40])}"]
    elif kind == "search":
        keys += ["over: rate", "from: 20", "to: 200", "step: 300ms", "tolerance: 20%", "max_probes: 5"]
        checks = '"e2e.p95 < 60ms"'
    else:
        keys.append(f"requests: {pick.choice([3, 8])}")
    return "  - { " + ", ".join(keys) + f", thresholds: [ {checks} ] }}"


def dataset(pick, api):
    """The prompt of a plan that asks rows, and what its head says must hold of the bodies."""
    file = pick.choice(CHAT_ROWS if api == "openai-chat" else ROWS)
    model = ", model: row" if file == "batch.jsonl" else ""
    return f"prompt: {{ dataset: {file}, max_tokens: {pick.choice([2, 8])}{model} }}", f"# rows: {file}"


def quick(seed, number):
    """The flags of a run without a plan; PORT stands for the scripted server's."""
    pick = random.Random(f"quick {seed} {number}")
    api = pick.choice(["openai-chat", pick.choice([api for api in APIS if api != "json"])])  # json takes a template of a body
    flags = ["--api", api, "-m", "m", "--output", str(pick.choice([2, 8]))]
    ask = pick.choice(["rows", "cold", "text", "filler"])
    flags += {"rows": ["--data", str(PLANS / pick.choice(CHAT_ROWS if api == "openai-chat" else ROWS))], "cold": ["--cold-warm", "-n", "6"], "text": ["--prompt", "Say {{ i }}."], "filler": ["--input", "40"]}[ask]
    if ask != "cold":
        flags += pick.choice([["-n", "20", "-c", "3"], ["-n", "30", "-r", "60"], ["-d", "600ms", "-c", "2"], ["-d", "500ms", "-r", "80"]])
    if api == "openai-chat" and pick.random() < 0.3:
        flags.append("--no-stream")
    return [f"http://127.0.0.1:PORT/{pick.choice(SCRIPTS)}{APIS[api]}", *flags]


def plan(seed, number):
    pick = random.Random(seed * 1000 + number)
    more = random.Random(f"more {seed} {number}")
    rows = None
    lines = ["version: 1"]
    if pick.random() < 0.6:
        api = pick.choice(list(APIS))
        case = pick.choice(SCRIPTS)
        host, spread = more.choice([("127.0.0.1", ""), ("127.0.0.1", ""), ("pods.test", ", addresses: [127.0.0.1, 127.0.0.2]")])
        lines += ["params: { port: { type: int } }", f'endpoint: {{ url: "http://{host}:${{port}}/{case}{APIS[api]}", api: {api}, model: m, metrics: off{spread} }}']
        rows = dataset(more, api) if api != "json" and more.random() < 0.5 else None
    else:
        faults = pick.choice(["", "", ", faults: [ { from: 4, count: 3, status: 503 } ]", ", faults: [ { from: 2, count: 1, status: 429 }, { from: 9, count: 2, status: 500 } ]"])
        lines.append(f"endpoint: {{ simulator: {{ prefill_rate: {pick.choice(['20k', '200k'])}, decode_rate: {pick.choice([500, 3000])}, max_num_seqs: {pick.choice([4, 64])}, overhead: 1ms{faults} }} }}")
    lines.append(f"seed: {pick.randint(0, 999)}")
    lines.append(f'prompt: {{ text: "{pick.choice(["Hello {{ i }}", "Say it again.", "Count {{ rng.int(1, 9) }} sheep"])}", max_tokens: {pick.choice([1, 2, 8, 16])} }}')
    stages = [stage(pick, place) for place in range(pick.randint(1, 2))]
    if rows:
        lines[-1] = rows[0]
        # A nonce opens the prompts of a cold stage.
        lines[:0] = [rows[1]] if not any("kind: cold" in it for it in stages) else []
    lines += ["stages:", *stages]
    return "\n".join(lines) + "\n"
