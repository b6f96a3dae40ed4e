"""Where the use cases in `examples/` run: a server with two providers, a scripted one, and a chat upstream that answers
from what it was shown.
"""

import os
import subprocess
import sys
from pathlib import Path

from bench.program import Program, start_antiphon
from tests.integration.upstream import Upstream

ROOT = Path(__file__).parents[2]
CONFIG = """\
version: 2
providers:
  inference:
  - provider_id: up
    provider_type: remote::openai-compatible
    config: {base_url: "%(upstream)s", wire: chat}
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      models:
      - name: demo
      - name: weather
        rules:
        - when: {tool_outputs: false, text: Oslo}
          reply: [{calls: [{name: get_weather, arguments: {city: Oslo}}]}]
        - when: {tool_outputs: false, text: Rome}
          reply: [{calls: [{name: get_weather, arguments: {city: Rome}}]}]
        - reply: [{text: "The weather: {{tool_outputs}}"}]
      - name: desk
        rules:
        - when: {seen: [what kind of question], text: password}
          reply: [{text: '{"kind": "password_reset"}'}]
        - when: {seen: [what kind of question], text: office}
          reply: [{text: '{"kind": "office_hours"}'}]
        - when: {seen: [what kind of question]}
          reply: [{text: '{"kind": "product"}'}]
        - {when: {seen: [9 to 17]}, reply: [{text: We are open from 9 to 17.}]}
        - {when: {seen: [open /reset]}, reply: [{text: Please open /reset.}]}
      - name: seller
        rules:
        - {when: {seen: [Aurora, 60 W]}, reply: [{text: Aurora is brighter.}]}
      - name: writer
        rules:
        - {when: {text: thing 13}, reply: [{fail: {status: 400, message: thing 13 is not for sale}}]}
        - reply: [{text: "Buy now! {{input}}"}]
      - name: terse
        rules:
        - {when: {seen: [in one sentence]}, reply: [{text: "In short: {{input}}"}]}
        - {when: {seen: [in five words]}, reply: [{text: "Wanted: {{input}}"}]}
      - name: support
        rules:
        - when: {text: what do you know, seen: [account is not found, "reset, but it failed"]}
          reply: [{text: "Your account is not found, and after the reset, which failed, it still is not."}]
        - when: {text: what do you know}
          reply: [{text: I know nothing of you.}]
        - reply: [{text: Noted.}]
      - name: scholar
        rules:
        - when: {tool_outputs: false, text: search}
          reply: [{calls: [{name: search_findings, arguments: {topic: AI}}]}]
        - when: {text: new since, seen: ["Norway adopts the AI Act (2026-03-02)", forbids social scoring]}
          reply: [{text: "Besides the AI Act, which forbids social scoring: {{tool_outputs}}"}]
        - when: {text: new since}
          reply: [{text: "All of this is new to me: {{tool_outputs}}"}]
        - {when: {seen: [forbids social scoring]}, reply: [{text: "Found: {{tool_outputs}}. Social scoring is out."}]}
storage: {url: "sqlite:///%(folder)s/antiphon.db"}
"""
RESPONSES = ("weather_tool", "gateway", "taglines", "compare_prompts")
AGENTS = ("support_chatbot", "research_assistant")


def started(folder: Path, upstream: Upstream) -> Program:
    program = start_antiphon(folder, CONFIG % {"upstream": upstream.url, "folder": folder})
    program.wait_ready()
    return program


def run(server: Program, example: str, *arguments: str, **settings: str) -> str:
    """What an example prints."""
    url = {"BASE_URL": f"{server.url}/v1", "ANTIPHON_URL": server.url}
    command = [sys.executable, f"examples/{example}.py", *arguments]
    environ = {**os.environ, **url, **settings}
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
