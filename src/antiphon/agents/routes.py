"""`/v1/agents` and `/v1alpha/agents`: Llama Stack's Agents API, for both generations of its clients."""

from dataclasses import dataclass
from functools import partial

from antiphon.agents.lists import WINDOW_QUERY, Window
from antiphon.agents.rendering import Generation, generation_of
from antiphon.agents.service import AgentService
from antiphon.agents.shapes import CreateAgent, CreateSession, CreateTurn, ResumeTurn
from antiphon.agents.stream import MakeRun, TurnReply
from antiphon.agents.turns import Asking, TurnService
from antiphon.core.errors import InvalidRequest
from antiphon.core.parse import load
from antiphon.core.wire import UnsetType
from antiphon.responses.routes import StreamSettings
from antiphon.web.http import JsonReply, Reply, Request, json_reply
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Query, Route
from antiphon.web.streams import OpenStreams

PREFIXES = ("/v1", "/v1alpha")
_TAG = "Llama Stack"
_NOTHING = b"null"
"""What these routes answer where there is nothing to say."""
_TURN_IDS = Query(
    "turn_ids", {"type": "array", "items": {"type": "string"}}, "Only these turns; repeat it for several."
)
_AGENTS = "/agents"
_AGENT = _AGENTS + "/{agent_id}"
_SESSION = _AGENT + "/session/{session_id}"
_TURN = _SESSION + "/turn/{turn_id}"


@dataclass(frozen=True, slots=True)
class AgentRoutes:
    """The routes below one prefix."""

    agents: AgentService
    turns: TurnService
    settings: StreamSettings
    streams: OpenStreams
    prefix: str

    # --- agents ---------------------------------------------------------------------------------------------
    async def create(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), CreateAgent, items=False)
        return json_reply(await self.agents.create(request.owner, body.agent_config))

    async def list_agents(self, request: Request) -> Reply:
        window = _window(request)
        return json_reply(await self.agents.list_agents(request.owner, window, self.prefix + _AGENTS))

    async def get(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(await self.agents.get(request.owner, request.params["agent_id"]))

    async def delete(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        await self.agents.delete(request.owner, request.params["agent_id"])
        return JsonReply(_NOTHING)

    # --- sessions -------------------------------------------------------------------------------------------
    async def create_session(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), CreateSession, items=False)
        return json_reply(await self.agents.create_session(request.owner, request.params["agent_id"], body))

    async def list_sessions(self, request: Request) -> Reply:
        window = _window(request)
        url = f"{self.prefix}{_AGENT}/sessions"
        return json_reply(
            await self.agents.list_sessions(request.owner, request.params["agent_id"], window, url)
        )

    async def get_session(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, "turn_ids")
        given = [*query.get("turn_ids", ()), *query.get("turn_ids[]", ())]
        turn_ids = [one for part in given for one in part.split(",") if one] if given else None
        params, shown = request.params, self._generation(request)
        return JsonReply(
            await self.agents.get_session(
                request.owner, params["agent_id"], params["session_id"], turn_ids, shown
            )
        )

    async def delete_session(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        await self.agents.delete_session(
            request.owner, request.params["agent_id"], request.params["session_id"]
        )
        return JsonReply(_NOTHING)

    # --- turns ----------------------------------------------------------------------------------------------
    async def create_turn(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), CreateTurn, items=False)
        _same(request, agent_id=body.agent_id, session_id=body.session_id)
        asking = self._asking(request, stream=body.stream is True)
        return self._reply(request, asking, partial(self.turns.create, asking, body))

    async def resume_turn(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), ResumeTurn, items=False)
        _same(request, agent_id=body.agent_id, session_id=body.session_id, turn_id=body.turn_id)
        asking = self._asking(request, stream=body.stream is True)
        return self._reply(
            request, asking, partial(self.turns.resume, asking, request.params["turn_id"], body)
        )

    async def get_turn(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        params = request.params
        return JsonReply(
            await self.turns.get(
                request.owner,
                params["agent_id"],
                params["session_id"],
                params["turn_id"],
                self._generation(request),
            )
        )

    async def get_step(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        params = request.params
        return JsonReply(
            await self.turns.get_step(
                self._asking(request),
                params["agent_id"],
                params["session_id"],
                params["turn_id"],
                params["step_id"],
            )
        )

    # --- inside ---------------------------------------------------------------------------------------------
    def _generation(self, request: Request) -> Generation:
        return generation_of(self.prefix, request.headers)

    def _asking(self, request: Request, *, stream: bool = False) -> Asking:
        return Asking(request.owner, self._generation(request), stream, request.headers)

    def _reply(self, request: Request, asking: Asking, make: MakeRun) -> TurnReply:
        params = request.params
        return TurnReply(
            self.turns,
            asking,
            params["agent_id"],
            params["session_id"],
            make,
            self.settings,
            self.streams,
        )

    def table(self) -> list[Route]:
        return [*self._agent_routes(), *self._session_routes(), *self._turn_routes()]

    def _agent_routes(self) -> list[Route]:
        many, one = self.prefix + _AGENTS, self.prefix + _AGENT
        return [
            Route("POST", many, self.create, "Create an agent", _TAG, "CreateAgent", "AgentCreated"),
            Route(
                "GET", many, self.list_agents, "List agents", _TAG, response="AgentPage", query=WINDOW_QUERY
            ),
            Route("GET", one, self.get, "Get an agent", _TAG, response="Agent"),
            Route("DELETE", one, self.delete, "Delete an agent, with its sessions", _TAG),
        ]

    def _session_routes(self) -> list[Route]:
        agent, one = self.prefix + _AGENT, self.prefix + _SESSION
        return [
            Route(
                "POST",
                f"{agent}/session",
                self.create_session,
                "Begin a session with an agent",
                _TAG,
                "CreateSession",
                "SessionCreated",
            ),
            Route(
                "GET",
                f"{agent}/sessions",
                self.list_sessions,
                "List the sessions of an agent, without their turns",
                _TAG,
                response="AgentPage",
                query=WINDOW_QUERY,
            ),
            Route(
                "GET",
                one,
                self.get_session,
                "Get a session with its turns",
                _TAG,
                response="Session",
                query=(_TURN_IDS,),
            ),
            Route("DELETE", one, self.delete_session, "Delete a session, with its turns", _TAG),
        ]

    def _turn_routes(self) -> list[Route]:
        session, one = self.prefix + _SESSION, self.prefix + _TURN
        return [
            Route(
                "POST",
                f"{session}/turn",
                self.create_turn,
                "Create a turn: run the agent on messages",
                _TAG,
                "CreateTurn",
                "Turn",
                "TurnChunk",
            ),
            Route("GET", one, self.get_turn, "Get a turn", _TAG, response="Turn"),
            Route(
                "POST",
                f"{one}/resume",
                self.resume_turn,
                "Go on with a turn that waits for its client's tools",
                _TAG,
                "ResumeTurn",
                "Turn",
                "TurnChunk",
            ),
            Route(
                "GET",
                one + "/step/{step_id}",
                self.get_step,
                "Get a step of a turn",
                _TAG,
                response="StepAnswer",
            ),
        ]


def _window(request: Request) -> Window:
    query = request.query()
    refuse_unknown(query, *(parameter.name for parameter in WINDOW_QUERY))
    return Window.of(query)


def _same(request: Request, **said: str | UnsetType | None) -> None:
    """Ids of the path may be in the body too. Raises InvalidRequest for others."""
    for name, value in said.items():
        if value and value != request.params[name]:
            raise InvalidRequest(
                f'`{name}`: the path says "{request.params[name][:200]}"; leave the field out.', param=name
            )
