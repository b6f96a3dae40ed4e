"""The types of these routes, by the names that the OpenAPI document gives them."""

from typing import Any

from antiphon.vector_io import shapes

TYPES: dict[str, Any] = {
    "InsertChunks": shapes.InsertChunks,
    "QueryChunks": shapes.QueryChunks,
    "FoundChunks": shapes.QueryChunksAnswer,
    "RegisterVectorDb": shapes.RegisterVectorDb,
    "VectorDb": shapes.VectorDb,
    "VectorDbList": shapes.VectorDbList,
    "RagInsert": shapes.RagInsert,
    "RagQuery": shapes.RagQuery,
    "RagAnswer": shapes.RagAnswer,
}
