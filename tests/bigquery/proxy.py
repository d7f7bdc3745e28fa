"""A proxy in front of the emulator that makes single requests fail, which the emulator cannot do by itself.

The proxy passes everything on until a `Fault` matches. Then it refuses the request as BigQuery would, loses the
response after the work was done, or holds the request until the test releases it. It corrects two responses: if the
emulator fails because of equal job ids at the same moment, the proxy says 409 like BigQuery, and it words lost races as
BigQuery does.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import requests

# How the emulator words what BigQuery calls a concurrent update.
EMULATORS_LOST_RACES = (b"Conflict on update!", b"Failed to commit")

HOP_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "content-encoding"}


@dataclass
class Fault:
    """What happens to the next `times` requests whose method and text (address and body) match.

    `refuse` answers with an error of that status and reason; `lose` does the work and drops the answer;
    `hold_before` and `hold_after` wait for `release`, then drop the connection; `amend` replaces what the
    answer says. `reached` tells the test.
    """

    method: str
    text: str
    action: Literal["refuse", "lose", "hold_before", "hold_after", "amend"]
    times: int = 1
    status: int = 503
    reason: str = "backendError"
    replace: tuple[bytes, bytes] = (b"", b"")
    reached: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """A running proxy; `faults` may be added to at any time, `seen` lists what came."""

    def __init__(self, target: str) -> None:
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                text = self.path + "\n" + body.decode("utf-8", "replace")
                fault = proxy.take(self.command, text)
                if fault and fault.action == "refuse":
                    self.refuse(fault.status, fault.reason)
                    fault.reached.set()
                    return
                if fault and fault.action == "hold_before":
                    fault.reached.set()
                    fault.release.wait()
                    self.close_connection = True
                    return
                headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_HEADERS}
                try:
                    got = requests.request(
                        self.command, target + self.path, headers=headers, data=body, timeout=60, allow_redirects=False
                    )
                except requests.ConnectionError:
                    self.close_connection = True
                    return
                if fault:
                    fault.reached.set()
                if fault and fault.action != "amend":
                    if fault.action == "hold_after":
                        fault.release.wait()
                    self.close_connection = True
                    return
                if got.status_code == 400 and b"uplicate key" in got.content and b"rtea-" in got.content:
                    # Of equal job ids at the same instant the emulator lets its own table complain.
                    self.refuse(409, "duplicate")
                    return
                kept = {k: v for k, v in got.headers.items() if k.lower() not in HOP_HEADERS}
                if "Location" in kept:
                    kept["Location"] = kept["Location"].replace(target, proxy.endpoint)
                content = got.content
                if fault:
                    content = content.replace(*fault.replace)
                for words in EMULATORS_LOST_RACES:
                    content = content.replace(words, b"Could not serialize access due to concurrent update")
                self.reply(got.status_code, kept, content)

            def refuse(self, status: int, reason: str) -> None:
                error = {"reason": reason, "message": f"{reason}, said by the proxy"}
                answer = {"error": {"code": status, "message": error["message"], "errors": [error]}}
                self.reply(status, {"content-type": "application/json"}, json.dumps(answer).encode())

            def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, method: str, text: str) -> Fault | None:
        """Note a request; the fault it meets, if any."""
        with self._lock:
            self.seen.append((method, text))
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and fault.text in text:
                    fault.times -= 1
                    return fault
        return None

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Serve for a block; whatever is held is let go at its end."""
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            for fault in self.faults:
                fault.release.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()
