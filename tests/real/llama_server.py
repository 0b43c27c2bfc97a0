"""llama_server.py MODEL PORT: llama.cpp's own HTTP server, run in the foreground from the xllamacpp wheel."""

import os
import signal
import sys
import tempfile

import xllamacpp

# The server starts threads of its own; blocked signals are inherited, so only this one waits for them.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.port = int(sys.argv[2])
params.model_alias = {"smollm2-135m"}
params.n_parallel = int(os.environ["LLAMA_SLOTS"])
params.n_ctx = int(os.environ["LLAMA_CTX"])
params.slot_save_path = tempfile.mkdtemp(prefix="llama-slots-") + "/"  # slot erase needs one
params.endpoint_metrics = params.endpoint_slots = params.endpoint_props = True
params.ui = False
if os.environ.get("LLAMA_CACHE_RAM"):
    params.cache_ram_mib = int(os.environ["LLAMA_CACHE_RAM"])

server = xllamacpp.Server(params)
print(f"listening on {server.listening_address}", flush=True)
signal.sigwait({signal.SIGINT, signal.SIGTERM})
os._exit(0)
