"""`docs/howto/hosted-reasoning.md`: its configuration and its program, run against a fake of the hosted service."""

import re
import subprocess
import sys
from pathlib import Path

from bench.program import start_antiphon
from tests.wire.fake_responses import FakeResponses

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "hosted-reasoning.md"
ADDRESS = "http://127.0.0.1:8321"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def test_the_program_gets_its_reasoning_back(tmp_path: Path) -> None:
    with FakeResponses() as fake:
        config = block("yaml").replace("config: {", f'config: {{base_url: "{fake.url}", ')
        with start_antiphon(tmp_path, config, env={"OPENAI_API_KEY": "key"}) as server:
            server.wait_ready()
            program = block("python").replace(ADDRESS, server.url).replace("gpt-5", "thinker")
            command = [sys.executable, "-c", program]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            "thought: I look. Then I speak.",
            "You said: Which of 91 and 97 is prime?",
            "You said: How do you know?",
        ]
        first, second = fake.seen.requests
        assert first["reasoning"] == {"effort": "low", "summary": "auto"}
        assert [item["type"] for item in second["input"]] == ["message", "reasoning", "message", "message"]
        assert second["input"][1]["encrypted_content"] == "blob-1"
        assert fake.seen.violations == []
