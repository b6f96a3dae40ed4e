"""`flow.py BASE_URL`: a version of llama-stack-client runs its `Agent` helper, and its other calls.

It prints what it saw as one line of JSON. BASE_URL is that of the server, without `/v1`.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

# Typed as Any: the client is not in the environment in which types are checked.
client_package: Any = importlib.import_module("llama_stack_client")
QUESTION = [{"role": "user", "content": "What is the weather, and what time is it?"}]


def get_weather(city: str) -> str:
    """The weather in a city.

    :param city: where
    """
    return f"rain in {city}"


def get_time(city: str) -> str:
    """The time in a city.

    :param city: where
    """
    return f"noon in {city}"


def agent_of(client: Any, model: str, **more: Any) -> Any:
    return client_package.Agent(client, model=model, instructions="Look things up.", **more)


def turn(agent: Any, session: str, messages: list[Any]) -> dict[str, Any]:
    """A streamed turn: the kinds of its events, what the logger prints, and what came last."""
    kinds: list[str] = []
    printed: list[str] = []
    chunk: Any = None
    for chunk in agent.create_turn(messages, session):
        kinds.append(type(chunk.event).__name__)
        printed += client_package.AgentEventLogger().log([chunk])
    last = chunk.response
    return {
        "kinds": [kind for at, kind in enumerate(kinds) if kinds[at - 1 : at] != [kind]],
        "printed": "".join(printed),
        "text": last.output_text if last is not None else None,
    }


def agent_flow(client: Any) -> dict[str, Any]:
    agent = agent_of(client, "clerk", tools=[get_weather, get_time])
    session = agent.create_session("tests")
    first = turn(agent, session, QUESTION)
    whole = agent.create_turn([{"role": "user", "content": "Thanks."}], session, stream=False)
    items = client.conversations.items.list(session, **_listing())
    other = agent.create_session("tests")
    again = turn(agent, other, QUESTION)
    return {
        "session": client.conversations.retrieve(session).metadata,
        "first": first,
        "whole": whole.output_text,
        "items": [item.type for item in getattr(items, "data", items)],
        "again": again["text"],
        "removed": client.conversations.delete(session).deleted,
    }


def failure(client: Any) -> dict[str, Any]:
    """A turn that fails in the middle of its answer, and the next one of the same session."""
    agent = agent_of(client, "fails-late")
    session = agent.create_session("tests")
    failed = turn(agent, session, [{"role": "user", "content": "Fail."}])
    again = turn(agent_of(client, "clerk", tools=[get_weather, get_time]), session, QUESTION)
    return {"failed": failed["kinds"], "printed": failed["printed"], "again": again["text"]}


def _listing() -> dict[str, Any]:
    """0.4 has every parameter of the list as required."""
    unset = {"after": client_package.NOT_GIVEN, "include": client_package.NOT_GIVEN}
    return {"limit": 50, "order": "asc", **unset}


def calls(client: Any) -> dict[str, Any]:
    """What else these versions ask of a server, and it answers."""
    whole = client.responses.create(model="demo", input="Hello there.")
    events = [event.type for event in client.responses.create(model="demo", input="Hello.", stream=True)]
    chat = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "Hello."}])
    chunks = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Hello."}], stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return {
        "whole": whole.output_text,
        "stored": client.responses.retrieve(whole.id).output_text == whole.output_text,
        "input": [item.type for item in client.responses.input_items.list(whole.id).data],
        "events": [events[0], events[-1]],
        "listed": whole.id in [one.id for one in client.responses.list(limit=100).data],
        "deleted": client.responses.delete(whole.id).deleted,
        "chat": chat.choices[0].message.content == text,
        "embedding": len(client.embeddings.create(model="demo", input=["a", "b"]).data),
        "models": [_facts(model) for model in client.models.list()],
        "health": client.inspect.health().status,
        "version": client.inspect.version().version,
        "providers": [[one.api, one.provider_id, one.provider_type] for one in client.providers.list()],
        "provider": client.providers.retrieve("scripted").provider_type,
        "routes": "/v1/responses" in [one.route for one in client.routes.list()],
        "admin": client.alpha.admin.version().version if hasattr(client.alpha, "admin") else None,
    }


def _facts(model: Any) -> list[str]:
    """Up to 0.3 they are fields of a model, later in its `custom_metadata`."""
    if hasattr(model, "custom_metadata"):
        facts = model.custom_metadata
        return [model.id, facts["model_type"], facts["provider_id"], facts["provider_resource_id"]]
    return [model.identifier, model.model_type, model.provider_id, model.provider_resource_id]


def prompts(client: Any) -> dict[str, Any]:
    """Clients of 0.3 have none."""
    made = client.prompts.create(prompt="Tell of {{ city }}.", variables=["city"])
    changed = client.prompts.update(
        made.prompt_id, prompt="Sing of {{ city }}.", version=1, variables=["city"], set_as_default=False
    )
    default = client.prompts.set_default_version(made.prompt_id, version=2)
    asked = {
        "id": made.prompt_id,
        "version": "1",
        "variables": {"city": {"type": "input_text", "text": "Oslo"}},
    }
    told = client.responses.create(model="demo", input="Please.", prompt=asked)
    seen = {
        "versions": [one.version for one in client.prompts.versions.list(made.prompt_id)],
        "changed": [changed.version, changed.prompt],
        "default": [default.version, default.is_default],
        "first": client.prompts.retrieve(made.prompt_id, version=1).prompt,
        "listed": made.prompt_id in [one.prompt_id for one in client.prompts.list()],
        "status": told.status,
        "late": refused(client.prompts.update, made.prompt_id, prompt="Late.", version=1),
        "latest": client.prompts.retrieve(made.prompt_id).version,
    }
    client.prompts.delete(made.prompt_id)
    return {**seen, "deleted": refused(client.prompts.retrieve, made.prompt_id)}


def knowledge(client: Any) -> dict[str, Any]:
    """Chunks that the client cuts, and where it has that (0.3), its RAG tool."""
    old = client_package.__version__.startswith("0.3.")
    embedder = next(_facts(one)[0] for one in client.models.list() if _facts(one)[0].endswith("/demo"))
    store = client.vector_stores.create(name="lamps", extra_body={"embedding_model": embedder})
    named = {"vector_db_id" if old else "vector_store_id": store.id}
    texts = ["The lamp is red.", "The boat is blue."]
    vectors = [one.embedding for one in client.embeddings.create(model=embedder, input=texts).data]
    chunks: list[dict[str, Any]] = [
        {
            "chunk_id": f"chunk-{at}",
            "content": text,
            "metadata": {"document_id": f"doc-{at}"},
            "chunk_metadata": {"document_id": f"doc-{at}", "source": "tests"},
            "embedding": vector,
            "embedding_model": embedder,
            "embedding_dimension": len(vector),
        }
        for at, (text, vector) in enumerate(zip(texts, vectors, strict=True))
    ]
    for _ in range(2):
        client.vector_io.insert(chunks=[_known(one, old=old) for one in chunks], **named)
    found = client.vector_io.query(
        query="Which lamp is red?", params={"max_chunks": 2, "mode": "hybrid"}, **named
    )
    first = found.chunks[0]
    seen = {
        "found": [first.content, first.metadata["document_id"], first.chunk_metadata.source],
        "scores": found.scores == sorted(found.scores, reverse=True) and len(found.scores) == 2,
        "lost": refused(client.vector_io.query, query="x", **dict.fromkeys(named, "vs_nowhere")),
        "rag": _rag(client, store.id) if old else None,
    }
    client.vector_stores.delete(store.id)
    return seen


def _known(chunk: dict[str, Any], *, old: bool) -> dict[str, Any]:
    """0.3 has no model of a vector, and another name for the id."""
    if not old:
        return chunk
    kept = {name: chunk[name] for name in ("content", "metadata", "chunk_metadata", "embedding")}
    return {**kept, "stored_chunk_id": chunk["chunk_id"]}


def _rag(client: Any, store: str) -> list[Any]:
    document = {"document_id": "notes", "content": "Snow falls in Oslo.", "metadata": {"kind": "weather"}}
    client.tool_runtime.rag_tool.insert(documents=[document], vector_db_id=store, chunk_size_in_tokens=128)
    config = {
        "chunk_template": "{index}: {chunk.content}",
        "max_chunks": 1,
        "max_tokens_in_context": 1000,
        "query_generator_config": {"type": "default", "separator": " "},
        "mode": "keyword",
    }
    got = client.tool_runtime.rag_tool.query(content="snow", vector_db_ids=[store], query_config=config)
    return [got.metadata["document_ids"], [one.text for one in got.content][1]]


def files(client: Any) -> dict[str, Any]:
    """A file in, listed, read and deleted."""
    made = client.files.create(
        file=("lamp.txt", b"The lamp is red."),
        purpose="assistants",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    content = client.files.content(made.id)
    seen = {
        "made": [made.filename, made.bytes, made.purpose, made.expires_at - made.created_at],
        "got": client.files.retrieve(made.id) == made,
        "listed": made.id in [one.id for one in client.files.list(purpose="assistants")],
        "content": content if isinstance(content, str) else content.read().decode(),
        "deleted": client.files.delete(made.id).deleted,
        "gone": refused(client.files.retrieve, made.id),
    }
    with_path = client.files.create(file=Path(__file__), purpose="assistants")
    seen["path"] = with_path.filename
    client.files.delete(with_path.id)
    return seen


def refused(call: Any, *arguments: Any, **fields: Any) -> int | None:
    """The status that a call is refused with."""
    try:
        call(*arguments, **fields)
    except client_package.APIStatusError as error:
        return int(error.status_code)
    return None


def main() -> None:
    with client_package.LlamaStackClient(base_url=sys.argv[1], api_key="none", max_retries=0) as client:
        seen = {
            "client": client_package.__version__,
            "agent": agent_flow(client),
            "failure": failure(client),
            "calls": calls(client),
            "files": files(client),
            "knowledge": knowledge(client),
            "prompts": prompts(client) if hasattr(client, "prompts") else None,
        }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
