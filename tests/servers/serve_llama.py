"""llama.cpp's own HTTP server, from the wheel of xllamacpp: serve_llama.py MODEL PORT CONTEXT SLOTS; ends when killed.

Prints the address on a line of its own once it answers.
"""

import sys
import threading

import xllamacpp


def main(model: str, port: str, context: str, slots: str) -> None:
    """Serve until killed."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames, params.port = ["127.0.0.1"], int(port)
    params.n_ctx, params.n_parallel = int(context), int(slots)
    params.cpuparams.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
