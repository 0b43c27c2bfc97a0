"""Holds the bodies that the scripted server got against the rows of the dataset that they came from.

What was sent is what was written: each message, part and field of a row stands in the body, in its order, and
nothing else, but for what the plan says otherwise (`overrides`) and what every request needs (model, stream).
In another dialect than the row's own each leaf of the row must be found again, or the request refused.
"""

import json
import re

ALWAYS = {"model", "stream", "stream_options", "max_tokens"}


def rows_of(path):
    """Requests of a dataset, read from the formats' public descriptions: (request, recorded answer)."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        values = json.loads(text)
    elif path.suffix == ".jsonl":
        values = [json.loads(line) for line in text.splitlines() if line.strip()]
    else:
        values = [{"prompt": line} for line in text.splitlines() if line.strip()]
    return [request_of(v) for v in values]


ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system", "tool": "tool", "observation": "tool"}


def request_of(row):
    if isinstance(row, str):
        return {"messages": [{"role": "user", "content": row}]}, None
    if "conversations" in row:
        turns = [{"role": ROLES[t.get("from", t.get("role")).lower()], "content": t.get("value", t.get("content"))} for t in row["conversations"]]
        if row.get("system"):
            turns.insert(0, {"role": "system", "content": row["system"]})
        first = next(i for i, t in enumerate(turns) if t["role"] == "user")
        return {"messages": turns[: first + 1]}, turns[first + 1] if len(turns) > first + 1 else None
    body = row.get("body", row)
    if "messages" in body:
        request = {k: v for k, v in body.items() if k not in ("id", "custom_id", "metadata")}
        messages = list(body["messages"])
        answer = messages.pop() if messages and messages[-1]["role"] == "assistant" else None
        return dict(request, messages=messages), answer
    return {"messages": [{"role": "user", "content": row["prompt"]}]}, None


def leaves(value, path=""):
    """Texts and numbers of a document, with where they stand."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    elif isinstance(value, str) and value or isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value


def check(differ, rows, lines, overrides, stage_of):
    """Each body against its row; request i asks row i, round and round."""
    for line in lines:
        match = re.search(r"-(\d+)$", line["id"] or "")
        if not match or not stage_of(line["id"]):
            continue
        request, answer = rows[int(match.group(1)) % len(rows)]
        where = f"body of {line['id']}"
        body = {k: v for k, v in line["body"].items() if k not in ALWAYS | set(overrides)}
        wanted = {k: v for k, v in request.items() if k not in ALWAYS | set(overrides)}
        if line["dialect"] == "chat":
            differ(where, body, wanted)
        else:
            everything = json.dumps(line["body"], ensure_ascii=False)
            whole = json.dumps(everything, ensure_ascii=False)
            for path, leaf in leaves(wanted.get("messages")):
                if path.endswith((".role", ".type")) or re.search(r"image_url|\.id$|tool_call_id", path):
                    continue
                text = json.dumps(leaf, ensure_ascii=False).strip('"') if isinstance(leaf, str) else str(leaf)
                differ(f"{where}: {path} of the row was sent", text in everything or text in whole, True)
        if answer and isinstance(answer.get("content"), str) and len(answer["content"]) > 12:
            differ(f"{where}: the recorded answer was sent", answer["content"] in json.dumps(line["body"], ensure_ascii=False), False)
