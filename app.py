"""Start the playground: read the options, build the page, serve it."""

import argparse
import errno
import logging
import os
import socket
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")    # nothing is sent anywhere
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_SSR_MODE", "false")             # a Space sets it otherwise

from playground import page  # noqa: E402  (Gradio reads the environment when it is imported)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    on_space = "SPACE_ID" in os.environ
    parser.add_argument("--host", default="0.0.0.0" if on_space else "127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=os.environ.get("GRADIO_SERVER_PORT") or 7860)
    parser.add_argument("--share", action="store_true", help="also open a public link through gradio.live")
    parser.add_argument("--public", action="store_true", help="strangers visit: limits on training, runs seen by who started them alone")
    parser.add_argument("--lang", choices=["en", "zh"], help="first language; else the browser's")
    parser.add_argument("--data-root", metavar="DIR", help="where torchvision data sets live")
    parser.add_argument("--runs-dir", metavar="DIR", help="where trained models are kept")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    chosen = options(arguments)
    if chosen.data_root:
        os.environ["PLAYGROUND_DATA"] = chosen.data_root
    if chosen.runs_dir:
        os.environ["PLAYGROUND_RUNS"] = chosen.runs_dir
    if chosen.share or chosen.public:
        os.environ["PLAYGROUND_PUBLIC"] = "1"
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    problem = _unusable(chosen.host, chosen.port)
    if problem:
        print(f"playground: {problem}", file=sys.stderr)
        return 2
    demo = page.queue(page.build())
    _, url, shared = demo.launch(server_name=chosen.host, server_port=chosen.port, share=chosen.share,
                                 prevent_thread_lock=True, **page.launch_options(chosen.lang))
    page.warm_up()
    print(f"Generative Playground: {(shared or url).rstrip('/')}", flush=True)
    demo.block_thread()
    page.leave()
    return 0


def _unusable(host: str, port: int) -> str | None:
    """Why the address cannot be listened on, as one sentence, or None."""
    if not 0 < port < 65536:                                  # beyond, getaddrinfo answers with another port
        return f"--port is {port}; a number from 1 to 65535 was expected."
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except PermissionError:
        return f"port {port} needs more rights than you have here; choose one above 1023 with --port."
    except (socket.gaierror, UnicodeError):
        return f"the host {host!r} is not known here; 127.0.0.1 is this machine alone, 0.0.0.0 all its networks."
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine; 127.0.0.1 is this machine alone, 0.0.0.0 all its networks."
        return f"port {port} on {host} is taken by another program; choose another with --port, for example --port {port + 1}."
    return None


if __name__ == "__main__":
    sys.exit(main())
