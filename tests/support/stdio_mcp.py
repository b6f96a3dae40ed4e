"""An MCP server on its standard streams, small and without the SDK, so that it starts at once.

    python stdio_mcp.py [deaf] [stubborn] [family] [noisy]

`deaf` answers nothing; `stubborn` neither ends with its input nor by SIGTERM; `family` starts a child that outlives it;
`noisy` writes to its standard error, and what is no JSON.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SPEAKS = "2025-06-18"


def say(message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def called(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    match name:
        case "environment":
            text = json.dumps(dict(os.environ))
        case "place":
            text = str(Path.cwd())
        case "process":
            text = str(os.getpid())
        case "big":
            text = "x" * arguments["chars"]
        case "end":
            sys.exit(3)
        case "ask":
            form = {"type": "object", "properties": {"name": {"type": "string"}}}
            params = {"message": "Who?", "requestedSchema": form}
            say({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params})
            text = json.dumps(json.loads(sys.stdin.readline())["result"])
        case _:
            text = json.dumps(arguments)
    return {"content": [{"type": "text", "text": text}]}


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    params: dict[str, Any] = message.get("params") or {}
    match message.get("method"):
        case "initialize":
            about = {"name": "stdio", "version": "1"}
            return {"protocolVersion": SPEAKS, "capabilities": {"tools": {}}, "serverInfo": about}
        case "tools/list":
            return {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
        case "tools/call":
            return called(params["name"], params.get("arguments") or {})
        case "ping":
            return {}
        case _:
            return None


def main(modes: set[str]) -> None:
    if "stubborn" in modes:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "family" in modes:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        sys.stderr.write(f"child {child.pid}\n")
        sys.stderr.flush()
    if "noisy" in modes:
        sys.stderr.write("\x1b[31mloud" * 10_000 + "\n")
        sys.stdout.write("this is no JSON\n")
    for line in sys.stdin:
        message = json.loads(line)
        if "deaf" in modes or "id" not in message:
            continue
        result = answer(message)
        if result is None:
            error = {"code": -32601, "message": "Method not found"}
            say({"jsonrpc": "2.0", "id": message["id"], "error": error})
        else:
            say({"jsonrpc": "2.0", "id": message["id"], "result": result})
    while "stubborn" in modes:
        time.sleep(600)


if __name__ == "__main__":
    main(set(sys.argv[1:]))
