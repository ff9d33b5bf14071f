"""How long a visitor waits for the first byte after `python app.py`, as a ratio to `import gradio` alone.

    python tests/benchmarks/app_start.py [--runs 5]

Both are whole processes, alternating, so that a busy machine slows both; the ratio is of the medians. Aim: 1.3.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 120.0                # seconds to wait for a server


def import_gradio() -> float:
    """Seconds of a process that imports Gradio and does nothing else."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import gradio"], cwd=ROOT, check=True)
    return time.perf_counter() - begun


def first_byte() -> float:
    """Seconds from starting app.py until the first byte of the page has come."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while time.perf_counter() - begun < LIMIT:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    if connection.recv(1):
                        return time.perf_counter() - begun
            except ConnectionError:
                time.sleep(0.01)
        raise SystemExit(f"no answer within {LIMIT:.0f} s")
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    import_gradio(), first_byte()                             # files into memory, bytecode onto the disk
    pairs = [(import_gradio(), first_byte()) for _ in range(runs)]
    baseline, ours = (statistics.median(column) for column in zip(*pairs))
    for alone, app in pairs:
        print(f"import gradio {alone:6.2f} s   first byte {app:6.2f} s")
    print(f"medians       {baseline:6.2f} s              {ours:6.2f} s   ratio {ours / baseline:.2f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
