"""Holds the bodies that the scripted server got against the rows of the dataset that they came from.

What was sent is what was written: each message, part and field of a row stands in the body, in its order, and
nothing else, but for what the plan says otherwise (`overrides`) and what every request needs (model, stream).
In another dialect than the row's own each leaf of the row must be found again, or the request refused.
A turn says all that its session said before: recorded answers, or those of this run where a stage's name ends in
`_live` (an answer that calls a tool stays as recorded, since its result is).
"""

import json
import re

ALWAYS = {"model", "stream", "stream_options", "max_tokens"}


def rows_of(path):
    """Rows of a dataset, read from the formats' public descriptions: (request, recorded answer, row as it is)."""
    return [(*request_of(row), row) for row in written(path)]


def written(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return [{"prompt": line} for line in text.splitlines() if line.strip()]


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


def sessions(path):
    """Each session as the messages of its requests, and the row that a request is of.

    A row of a log is a request and says its whole history; where a session is one row, each message that is
    answered (or is the last) ends a request.
    """
    rows = {}
    for row in written(path):
        rows.setdefault(row["session_id"], []).append(row)
    for session, own in rows.items():
        if len(own) > 1:
            yield session, [(request_of(row)[0]["messages"], row) for row in own]
        else:
            said = own[0]["messages"]
            ends = [at + 1 for at, m in enumerate(said) if m["role"] not in ("assistant", "system") and (at + 1 == len(said) or said[at + 1]["role"] == "assistant")]
            yield session, [(said[:end], own[0]) for end in ends]


def turns(differ, path, lines, stage, names):
    """Each turn of a stage: its messages, its number, and headers that name a field of its row."""
    talks, place = dict(sessions(path)), {}
    mine = [line for line in lines if re.search(rf"-{stage}-\d+$", line["id"] or "")]
    differ(f"{stage}: turns sent", len(mine), sum(map(len, talks.values())))
    for line in mine:
        session = line["headers"].get("x-session")
        said = place.setdefault(session, [])
        number, where = len(said), f"{stage}: turn {len(said)} of {session}"
        if number >= len(talks.get(session, [])):
            differ.wrong(f"{where} is none of the file's")
            continue
        messages, row = talks[session][number]
        right = list(messages)
        for (earlier, _), answer in zip(talks[session], said):
            follows = right[len(earlier)]
            if stage.endswith("_live") and not follows.get("tool_calls"):
                right[len(earlier)] = {"role": "assistant", "content": answer}
        differ(f"{where}: messages", line["body"]["messages"], right)
        differ(f"{where}: x-turn", line["headers"].get("x-turn"), str(number))
        headers(differ, where, line, row, names)
        said.append(line["text"])


def headers(differ, where, line, row, names):
    for name, field in names.items():
        differ(f"{where}: header {name}", line["headers"].get(name), str(row[field]))


def check(differ, rows, lines, overrides, stage_of, output=None, names=()):
    """Each body against its row; request i asks row i, round and round."""
    for line in lines:
        match = re.search(r"-(\d+)$", line["id"] or "")
        if not match or not stage_of(line["id"]):
            continue
        request, answer, row = rows[int(match.group(1)) % len(rows)]
        where = f"body of {line['id']}"
        headers(differ, where, line, row, dict(names))
        if output:
            # Four characters to a token where nobody counts; `recorded` is that long and no shorter.
            differ(f"{where}: max_tokens", line["body"]["max_tokens"], -(-len(answer["content"]) // 4))
            differ(f"{where}: ignore_eos", line["body"].get("ignore_eos"), True if output == "recorded" else None)
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
