"""A tagline for each product of a CSV file (`name,description`): many requests at once, gathered into one table.

python taglines.py products.csv > taglines.csv
"""

import csv
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openai import OpenAI, OpenAIError

client = OpenAI(base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8321/v1"), api_key="none")
model = os.environ.get("MODEL", "demo")  # another provider is another name here
task = "Write a tagline of at most ten words for this product."


def tagline(product: dict[str, str]) -> dict[str, object]:
    """The product with its tagline. One that fails stops none of the others."""
    text = f"{product['name']}: {product['description']}"
    try:
        response = client.responses.create(model=model, instructions=task, input=text, store=False)
    except OpenAIError as error:
        return {**product, "tagline": "", "tokens": 0, "error": error}
    return {**product, "tagline": response.output_text, "tokens": response.usage.total_tokens, "error": ""}


source = Path(sys.argv[1] if sys.argv[1:] else "examples/products.csv")
with source.open(newline="") as file, ThreadPoolExecutor(8) as pool:
    made = list(pool.map(tagline, csv.DictReader(file)))
writer = csv.DictWriter(sys.stdout, ["name", "description", "tagline", "tokens", "error"])
writer.writeheader()
writer.writerows(made)
failed = sum(one["error"] != "" for one in made)
tokens = sum(one["tokens"] for one in made)
print(f"{len(made) - failed} taglines, {failed} failed, {tokens} tokens", file=sys.stderr)
