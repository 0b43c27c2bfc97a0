"""A server that answers by script, in eleven dialects, and writes down what it got and what it sent.

`python3 scripted.py LOG` serves on a free port of 127.0.0.1 and prints it. The first segment of a path names
the behaviour (see `BEHAVIOURS`), its end and the body name the dialect. LOG gets one JSON line a request: the body
as it came, and what was sent in answer. Standard library only.
"""

import asyncio
import json
import sys
import time

WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()


def script(name, asked, turn):
    """What a behaviour sends: [(seconds before, kind, payload)], and the counts that it claims.

    Kinds: text, reasoning, tool, finish, error, usage, cut (drop the connection), wait, burst (what
    follows, in one write). `turn` is the request's number on the server, from 0.
    """
    count = min(asked or 8, 16)
    prompt, cached, finish, gap, first = 40, None, "length", 0.002, 0.004
    text = [(first if i == 0 else gap, "text", WORDS[i] + " ") for i in range(count)]
    told, steps = count, text
    if name == "nousage":
        told = None
        steps = [(gap, "text", " ".join(WORDS[:11]) + " ") for _ in range(8)]
    elif name == "finisherr":
        steps, finish, told = text[:1], "error", 1
    elif name == "abort":
        finish = "abort"
    elif name == "reasoning":
        steps = [(gap, "reasoning", w + " ") for w in WORDS[:4]] + text
        told = count + 4
    elif name == "thinkonly":
        steps = [(gap, "reasoning", w + " ") for w in WORDS[:count]]
    elif name == "tool":
        steps, told, finish = [(first, "tool", ""), (gap, "tool", '{"city":'), (gap, "tool", ' "Paris"}')], 9, "tool_calls"
    elif name == "cached":
        prompt, cached = 160, 0 if turn % 2 == 0 else 144
    elif name == "impossible":
        cached = 4000
    elif name == "overlong":
        steps, told = [(gap, "text", w + " ") for w in WORDS], 16
    elif name == "oneread":
        steps = [(first, "burst", count)] + [(0, "text", w + " ") for w in WORDS[:count]]
    elif name == "buffered":
        steps = [(first * 5, "burst", 99)] + [(0, "text", w + " ") for w in WORDS[:count]]
    elif name == "role":
        steps = [(0, "role", ""), (0.03, "text", "late ")] + text[1:]
    elif name == "cutmid":
        steps = text[:3] + [(0.002, "cut", None)]
    elif name == "somefail":
        steps = [(0.001, "status", 503)] if turn % 3 == 2 else text
    elif name == "allfail":
        steps = [(0.001, "status", 503)]
    elif name == "lateclose":
        # Takes the second request of a connection, works, and closes without a byte of answer.
        steps = [(0.12, "cut", None)] if turn % 4 == 1 else text
    elif name == "stall":
        # Stands still for the last tenth of every two seconds.
        into = time.monotonic() % 2
        steps = [(max(0.004, 2 - into) if into > 1.8 else 0.004, "text", "one ")]
        told = 1
    elif name == "slow":
        steps = [(s * 5, k, p) for s, k, p in text]
    return steps, {"prompt": prompt, "cached": cached, "completion": told, "finish": finish}


BEHAVIOURS = (
    "plain nousage finisherr abort reasoning thinkonly tool cached impossible overlong oneread buffered role cutmid "
    "somefail allfail lateclose stall slow n2 timings modelswap sameid whole"
).split()


class Stream:
    """One answer in one dialect: turns steps into bytes."""

    def __init__(self, dialect, body, name, turn, counts):
        self.dialect, self.name, self.counts, self.all = dialect, name, counts, ""
        self.model = "other-model" if name == "modelswap" else (body or {}).get("model") or "m"
        self.id = "same" if name == "sameid" else f"answer-{turn}"
        self.choices = (body or {}).get("n", 1) if name == "n2" else 1
        self.usage_asked = dialect != "chat" and dialect != "completions" or bool(((body or {}).get("stream_options") or {}).get("include_usage"))
        self.started = False

    def _sse(self, value, event=None):
        head = f"event: {event}\n" if event else ""
        return (head + "data: " + (value if isinstance(value, str) else json.dumps(value)) + "\n\n").encode()

    def _chat(self, delta=None, finish=None, index=0, **more):
        choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
        return self._sse({"id": self.id, "object": "chat.completion.chunk", "created": 1, "model": self.model, "choices": [choice], **more})

    def start(self):
        if self.dialect == "messages":
            usage = {"input_tokens": self.counts["prompt"] - (self.counts["cached"] or 0), "output_tokens": 1}
            if self.counts["cached"] is not None:
                usage["cache_read_input_tokens"] = self.counts["cached"]
            message = {"id": self.id, "type": "message", "role": "assistant", "content": [], "model": self.model, "usage": usage}
            return self._sse({"type": "message_start", "message": message}, "message_start") + self._sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, "content_block_start")
        if self.dialect == "responses":
            return self._sse({"type": "response.created", "response": {"id": self.id, "model": self.model, "status": "in_progress"}}, "response.created")
        return b""

    def part(self, kind, payload):
        """One step, once for each choice."""
        return [self._part(kind, payload, index) for index in range(self.choices)]

    def _part(self, kind, payload, index):
        d = self.dialect
        if kind == "role":
            return self._chat({"role": "assistant", "content": ""}) if d == "chat" else b""
        if kind == "text":
            self.all += payload
        if d == "chat":
            if kind == "text":
                return self._chat({"content": payload}, index=index)
            if kind == "reasoning":
                return self._chat({"reasoning_content": payload}, index=index)
            call = {"index": 0, "function": {"arguments": payload}}
            if not self.started:
                call |= {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": payload}}
            self.started = True
            return self._chat({"tool_calls": [call]})
        if kind != "text":
            return b""
        if d == "completions":
            return self._sse({"id": self.id, "object": "text_completion", "model": self.model, "choices": [{"index": index, "text": payload, "finish_reason": None}]})
        if d == "responses":
            return self._sse({"type": "response.output_text.delta", "delta": payload, "item_id": "i", "output_index": 0, "content_index": 0}, "response.output_text.delta")
        if d == "messages":
            return self._sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": payload}}, "content_block_delta")
        if d == "ollama-chat":
            return json.dumps({"model": self.model, "message": {"role": "assistant", "content": payload}, "done": False}).encode() + b"\n"
        if d == "ollama-generate":
            return json.dumps({"model": self.model, "response": payload, "done": False}).encode() + b"\n"
        if d == "tgi":
            return self._sse({"index": 1, "token": {"id": 7, "text": payload, "logprob": 0, "special": False}, "generated_text": None, "details": None})
        if d == "triton":
            return self._sse({"model_name": "m", "text_output": payload})
        if d == "sglang":
            return self._sse({"text": self.all, "meta_info": {"id": self.id, "prompt_tokens": self.counts["prompt"], "completion_tokens": len(self.all.split()), "cached_tokens": self.counts["cached"] or 0, "finish_reason": None}})
        return self._sse({"content": payload, "stop": False})

    def end(self):
        d, c, out = self.dialect, self.counts, b""
        told = c["completion"]
        if d in ("chat", "completions"):
            for index in range(self.choices):
                if d == "chat":
                    out += self._chat(finish=c["finish"], index=index)
                else:
                    out += self._sse({"id": self.id, "model": self.model, "choices": [{"index": index, "text": "", "finish_reason": c["finish"]}]})
            if told is not None and self.usage_asked and self.name != "timings":
                usage = {"prompt_tokens": c["prompt"], "completion_tokens": told * self.choices, "total_tokens": c["prompt"] + told * self.choices}
                if c["cached"] is not None:
                    usage["prompt_tokens_details"] = {"cached_tokens": c["cached"]}
                out += self._sse({"id": self.id, "model": self.model, "choices": [], "usage": usage})
            if self.name == "timings":
                out = out[: out.rindex(b"}\n\n")] + b', "timings": {"cache_n": 76, "prompt_n": 23, "prompt_ms": 2.0, "predicted_n": 8, "predicted_ms": 9.0}}\n\n'
            return out + self._sse("[DONE]")
        if d == "responses":
            usage = {"input_tokens": c["prompt"], "output_tokens": told or 0, "total_tokens": c["prompt"] + (told or 0)}
            if c["cached"] is not None:
                usage["input_tokens_details"] = {"cached_tokens": c["cached"]}
            return self._sse({"type": "response.completed", "response": {"id": self.id, "model": self.model, "status": "completed", "usage": usage}}, "response.completed")
        if d == "messages":
            return self._sse({"type": "content_block_stop", "index": 0}, "content_block_stop") + self._sse({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": told or 0}}, "message_delta") + self._sse({"type": "message_stop"}, "message_stop")
        if d.startswith("ollama"):
            last = {"model": self.model, "done": True, "done_reason": "length", "total_duration": 9_000_000, "load_duration": 0, "prompt_eval_count": c["prompt"], "prompt_eval_duration": 2_000_000, "eval_count": told or 0, "eval_duration": 7_000_000}
            last |= {"message": {"role": "assistant", "content": ""}} if d == "ollama-chat" else {"response": ""}
            return json.dumps(last).encode() + b"\n"
        if d == "tgi":
            return self._sse({"index": 9, "token": {"id": 2, "text": "", "logprob": 0, "special": True}, "generated_text": self.all, "details": {"finish_reason": "length", "generated_tokens": told or 0, "input_length": c["prompt"]}})
        if d == "triton":
            return b""
        if d == "sglang":
            return self._sse({"text": self.all, "meta_info": {"id": self.id, "prompt_tokens": c["prompt"], "completion_tokens": told or 0, "cached_tokens": c["cached"] or 0, "finish_reason": {"type": "length"}}}) + self._sse("[DONE]")
        return self._sse({"content": "", "stop": True, "stop_type": "limit", "tokens_predicted": told or 0, "tokens_evaluated": c["prompt"], "tokens_cached": 0, "timings": {"cache_n": c["cached"] or 0, "prompt_n": c["prompt"] - (c["cached"] or 0), "prompt_ms": 2.0, "predicted_n": told or 0, "predicted_ms": 9.0}})


def dialect_of(path, body):
    for end, name in (("/chat/completions", "chat"), ("/completions", "completions"), ("/responses", "responses"), ("/messages", "messages"), ("/api/chat", "ollama-chat"), ("/api/generate", "ollama-generate"), ("/completion", "llamacpp")):
        if path.endswith(end):
            return name
    if path.endswith("/generate_stream"):
        return "triton" if "text_input" in (body or {}) else "tgi"
    if path.endswith("/generate"):
        return "json" if "prompt" in (body or {}) else "sglang"
    return None


def asked_tokens(body):
    """How many tokens a body asks for, whatever its dialect calls that."""
    places = [body or {}] + [(body or {}).get(k) or {} for k in ("parameters", "options", "sampling_params")]
    for place in places:
        for key in ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "n_predict", "num_predict"):
            if isinstance(place, dict) and isinstance(place.get(key), int):
                return place[key]
    return None


class Server:
    def __init__(self, log):
        self.log, self.turns = log, {}

    async def serve(self, reader, writer):
        try:
            while await self.one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    async def one(self, reader, writer):
        line = await reader.readline()
        if not line:
            return False
        method, path, _ = line.decode().split(" ", 2)
        headers = {}
        while True:
            text = (await reader.readline()).decode("latin1").rstrip("\r\n")
            if not text:
                break
            name, value = text.split(":", 1)
            headers[name.lower()] = value.strip()
        raw = await reader.readexactly(int(headers.get("content-length") or 0))
        came = time.monotonic()
        path = path.split("?")[0]
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = {"_raw": raw.decode("utf-8", "replace")}
        name = path.split("/")[1]
        if method == "GET" or body is None:
            found = path.endswith("/models")
            answer = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode() if found else b"{}"
            await self.plain(writer, 200 if found else 404, answer)
            return True
        dialect = dialect_of(path, body)
        if dialect is None or name not in BEHAVIOURS:
            await self.plain(writer, 404, b'{"error":{"message":"no such path"}}')
            return True
        turn = self.turns[name] = self.turns.get(name, -1) + 1
        steps, counts = script(name, asked_tokens(body), turn)
        told = {"address": writer.get_extra_info("sockname")[0], "path": path, "id": headers.get("x-request-id"), "headers": headers, "body": body, "behaviour": name, "dialect": dialect, "sent": dict(counts), "pieces": 0, "status": 200}
        keep = await self.answer(writer, dialect, body, name, turn, steps, counts, told)
        told["seconds"] = told.pop("until", time.monotonic()) - came
        self.log.write(json.dumps(told, ensure_ascii=False) + "\n")
        self.log.flush()
        return keep

    async def plain(self, writer, status, body):
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async def answer(self, writer, dialect, body, name, turn, steps, counts, told):
        if steps[0][1] == "status":
            told["status"] = steps[0][2]
            await self.plain(writer, steps[0][2], b'{"error":{"message":"busy"}}')
            return True
        if steps[0][1] == "cut":
            told["status"] = None
            await asyncio.sleep(steps[0][0])
            return False
        stream = Stream(dialect, body, name, turn, counts)
        if dialect == "json" or body.get("stream") is False:
            await asyncio.sleep(0.02)
            words = "".join(p for _, k, p in steps if k == "text")
            told["pieces"] = 1
            if dialect == "json":
                whole = {"text": words, "cached": turn % 2 == 1}
            elif dialect == "chat":
                whole = {"id": stream.id, "object": "chat.completion", "model": stream.model, "choices": [{"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": counts["finish"]}], "usage": {"prompt_tokens": counts["prompt"], "completion_tokens": counts["completion"] or 0, "total_tokens": counts["prompt"] + (counts["completion"] or 0)}}
            else:
                whole = {"text": words}
            told["until"] = time.monotonic()
            await self.plain(writer, 200, json.dumps(whole).encode())
            return True
        lines = "application/x-ndjson" if dialect.startswith("ollama") else "text/event-stream"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {lines}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        await self.chunk(writer, stream.start())
        burst = held = b""
        left = 0
        for seconds, kind, payload in steps:
            if seconds:
                await asyncio.sleep(seconds)
            if kind == "burst":
                left = payload
                continue
            if kind == "cut":
                told["status"] = None
                return False
            for data in stream.part(kind, payload):
                if kind != "role" and data:
                    told["pieces"] += 1
                if left:
                    burst += data
                else:
                    await self.chunk(writer, data)
            if left:
                left -= 1
                if left == 0:
                    await self.chunk(writer, burst)
                    burst = b""
        told["until"] = time.monotonic()  # before the last byte goes out: no record may be shorter
        told["text"] = stream.all
        await self.chunk(writer, burst + stream.end(), last=True)
        return True

    async def chunk(self, writer, data, last=False):
        if data:
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if last:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


async def main():
    server = Server(open(sys.argv[1], "a", encoding="utf-8"))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=1 << 26)
    port = listening.sockets[0].getsockname()[1]
    # Linux answers on all of 127.0.0.0/8: a second address of the same server.
    other = await asyncio.start_server(server.serve, "127.0.0.2", port, limit=1 << 26)
    print(port, flush=True)
    async with listening, other:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
