"""A server with shields of every kind: rules, a guard that works, and guards that fail in every way."""

from typing import Any

Json = dict[str, Any]
CANARY = "heliotrope"
"""What no shield lets pass, and no answer may hold."""
GUARDED = "belladonna"
"""What the guard model calls unsafe."""
FAILING: dict[str, str] = {
    "dead": "unreachable",
    "hanging": "timeout",
    "babbling": "malformed",
    "silent": "malformed",
    "gone": "unreachable",
    "dropping": "malformed",
}
"""Shields that fail, and the reason that is told."""
CONFIG = """\
version: 2
server:
  auth:
    keys:
    - {{name: anne, tenant: acme, hash: "{anne}"}}
    - {{name: adam, tenant: acme, hash: "{adam}"}}
    - {{name: ben, tenant: other, hash: "{ben}"}}
agents: {{inline_document_tokens: 2000}}
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      models:
      - name: llama-guard3
        rules:
        - {{when: {{text: belladonna}}, reply: [{{text: "unsafe\\nS6,S1"}}]}}
        - {{reply: [{{text: safe}}]}}
      - {{name: llama-guard-3-dead, rules: [{{reply: [{{fail: {{status: 503}}}}]}}]}}
      - {{name: llama-guard-3-hanging, rules: [{{reply: [{{fail: {{kind: timeout}}}}]}}]}}
      - {{name: llama-guard-3-babbling, rules: [{{reply: [{{text: "I think that heliotrope is fine."}}]}}]}}
      - {{name: llama-guard-3-silent, rules: [{{reply: [{{text: ""}}]}}]}}
      - {{name: llama-guard-3-dropping, rules: [{{reply: [{{text: saf}}, {{fail: {{kind: drop}}}}]}}]}}
      - name: talker
        rules:
        - when: {{text: tool please, tool_outputs: false}}
          reply: [{{calls: [{{name: look, arguments: {{what: it}}}}]}}]
        - when: {{text: leak by call, tool_outputs: false}}
          reply: [{{calls: [{{name: look, arguments: {{what: heliotrope}}}}]}}]
        - when: {{text: leak in thought}}
          reply: [{{reasoning: It is heliotrope.}}, {{text: Fine.}}]
        - when: {{text: leak}}
          reply: [{{text: "The word is helio"}}, {{text: "trope, as you know."}}]
        - {{reply: [{{text: All is well.}}]}}
  safety:
  - provider_id: rules
    provider_type: inline::rules
    config:
      rule_sets:
        flowers:
          user_message: No flowers.
          rules:
          - {{id: heliotrope, words: [heliotrope], obfuscated: false}}
        soft:
          level: warn
          rules:
          - {{id: heliotrope, words: [heliotrope]}}
  - {{provider_id: guard, provider_type: remote::llama-guard, config: {{user_message: Not here.}}}}
shields:
- {{shield_id: flowers, provider_id: rules}}
- {{shield_id: soft, provider_id: rules}}
- {{shield_id: "meta-llama/Llama-Guard::3", provider_id: guard, provider_shield_id: llama-guard3}}
- {{shield_id: gone, provider_id: guard, provider_shield_id: llama-guard-3-nowhere}}
{failing}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


def configuration(folder: object, keys: dict[str, str]) -> str:
    from antiphon.config.load import hash_key

    failing = "\n".join(
        f"- {{shield_id: {name}, provider_id: guard, provider_shield_id: llama-guard-3-{name}, timeout_s: {limit}}}"
        for name in FAILING
        if name != "gone"
        for limit in (0.3 if name == "hanging" else 30,)
    )
    hashes = {name: hash_key(key) for name, key in keys.items()}
    return CONFIG.format(folder=folder, failing=failing, **hashes)
