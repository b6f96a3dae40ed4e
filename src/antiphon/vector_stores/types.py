"""The names that the routes of vector stores use for the types of their bodies, for `/openapi.json`."""

from typing import Any

from antiphon.vector_stores import answers, shapes

TYPES: dict[str, Any] = {
    "AddFile": shapes.AddFile,
    "CreateFileBatch": shapes.CreateFileBatch,
    "CreateVectorStore": shapes.CreateVectorStore,
    "SearchVectorStore": shapes.SearchVectorStore,
    "UpdateFile": shapes.UpdateFile,
    "UpdateVectorStore": shapes.UpdateVectorStore,
    "VectorStore": answers.VectorStoreObject,
    "VectorStoreFile": answers.VectorStoreFileObject,
    "VectorStoreFileBatch": answers.FileBatchObject,
    "VectorStoreFileContent": answers.FileContentPage,
    "VectorStoreFileList": answers.VectorStoreFileList,
    "VectorStoreList": answers.VectorStoreList,
    "VectorStoreSearchResults": answers.SearchResults,
}
