"""Model servers with the routes beside answers: tokenizers of vLLM, llama.cpp, Anthropic and OpenAI, and compaction.

The last part of a model's name says what it does: `broken` answers 500, `nonsense` something else, `gone` 404 for the
model; `bare` has none of these routes.
"""

from aiohttp import web

from tests.wire.fake_responses import USAGE, FakeResponses, Json

COUNTED = 123
BLOB = "blob-of-theirs"
AZURE = "/openai/v1"


class FakeSideRoutes(FakeResponses):
    """Beside `/v1/responses`, which takes back the compactions that were made here."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, Json]] = []

    def routes(self) -> list[web.RouteDef]:
        ours = (
            "/tokenize",
            "/apply-template",
            "/v1/messages/count_tokens",
            "/v1/responses/input_tokens",
            "/v1/responses/compact",
            f"{AZURE}/responses/compact",
        )
        azure = web.post(f"{AZURE}/responses", self._create)
        return [*super().routes(), azure, *(web.post(path, self._side) for path in ours)]

    async def _side(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append((request.path, body))
        model = str(body.get("model", ""))
        if model.endswith("broken"):
            return web.json_response({"error": {"message": "oh no"}}, status=500)
        if model.endswith("nonsense"):
            return web.json_response({"nothing": True})
        if model.endswith("bare"):
            return web.Response(status=404)
        if model.endswith("gone"):
            error = {"message": f"The model `{model}` does not exist", "code": "model_not_found"}
            return web.json_response({"error": error}, status=404)
        match request.path:
            case "/tokenize" if "content" in body:
                return web.json_response({"tokens": list(range(COUNTED))})
            case "/tokenize":
                return web.json_response({"count": COUNTED, "max_model_len": 4096, "tokens": []})
            case "/apply-template":
                return web.json_response({"prompt": "<the prompt>"})
            case "/v1/messages/count_tokens":
                return web.json_response({"input_tokens": COUNTED})
            case "/v1/responses/input_tokens":
                self._hold_to("TokenCountsBody", body)
                return web.json_response({"object": "response.input_tokens", "input_tokens": COUNTED})
            case _:
                return self._compact(body)

    def _compact(self, body: Json) -> web.Response:
        self._hold_to("CompactResponseMethodPublicBody", body)
        said = {"type": "message", "id": "msg_1", "role": "user", "status": "completed"}
        parts = [{"type": "input_text", "text": "what they kept"}]
        made = {"type": "compaction", "id": "cmp_1", "encrypted_content": BLOB}
        answer: Json = {
            "id": "resp_1",
            "object": "response.compaction",
            "created_at": 1_760_000_000,
            "output": [{**said, "content": parts}, made],
            "usage": USAGE,
        }
        self._hold_to("CompactResource", answer)
        return web.json_response(answer)
