"""Which model with which prompt sums up e-mails best? Every combination of them at once, side by side.

MODELS=ollama/llama3.2,openai/gpt-5-mini python compare_prompts.py
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8321/v1"), api_key="none")
models = os.environ.get("MODELS", "demo").split(",")  # other providers are other names here
prompts = {
    "sentence": "Sum up this e-mail in one sentence.",
    "request": "Say in five words what the sender of this e-mail wants.",
}
emails = {
    "invoice": "Hello, invoice 4711 was paid twice. Please send one of the payments back. Regards, Ada",
    "visit": "Dear team, the visitors come on Friday at ten. Could you book the large room? Grace",
    "broken": "Hi! The printer on the second floor is broken again. Nobody can print the reports. Alan",
}


def summary(case: tuple[str, str, str]) -> tuple[str, str, str, int, str]:
    model, prompt, email = case
    response = client.responses.create(
        model=model, instructions=prompts[prompt], input=emails[email], temperature=0, store=False
    )
    return model, prompt, email, response.usage.output_tokens, response.output_text


with ThreadPoolExecutor(8) as pool:
    rows = list(pool.map(summary, product(models, prompts, emails)))
print("model\tprompt\te-mail\ttokens\tsummary")
for row in rows:
    print(*row, sep="\t")
for model, prompt in product(models, prompts):
    tokens = [row[3] for row in rows if row[:2] == (model, prompt)]
    print(f"{model} with {prompt}: {sum(tokens) / len(tokens):.1f} tokens on average")
