"""`inline::llama-cpp`: models that run here, in llama.cpp, each in a supervised child process.

provider.py     the ModelProvider: leases an engine, talks to it over the chat wire
pool.py         which engines are loaded: on demand, within the memory limit, stopped when idle
process.py      one child process: start, readiness, last words, stop
engine.py       what runs in the child; the only module that imports xllamacpp
slots.py        prompt_cache_key -> a slot of the engine
settings.py     the `config:` mapping
gguf.py         how much memory a model file will take; memory.py: how much there is
images.py       no image is fetched for a model
hub.py, hub_files.py, download.py, progress.py
                `hf:` references: pick a file, fetch it with resume, verify it, show progress
"""
