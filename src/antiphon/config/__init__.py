"""The settings: their types, the one reader of files and of the environment, and Llama Stack's own forms."""
