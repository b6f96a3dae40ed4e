"""The types of these routes, by the names that the OpenAPI document gives them."""

from typing import Any

from antiphon.agents import shapes

TYPES: dict[str, Any] = {
    "CreateAgent": shapes.CreateAgent,
    "AgentCreated": shapes.AgentCreated,
    "Agent": shapes.Agent,
    "AgentPage": shapes.Page,
    "CreateSession": shapes.CreateSession,
    "SessionCreated": shapes.SessionCreated,
    "Session": shapes.Session,
    "CreateTurn": shapes.CreateTurn,
    "ResumeTurn": shapes.ResumeTurn,
    "Turn": shapes.Turn,
    "TurnChunk": shapes.TurnChunk,
    "StepAnswer": shapes.StepAnswer,
}
