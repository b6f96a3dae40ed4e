"""What clients of MCP meet: scripted models that use tools of a server, and a server of ours that may ask loopback."""

CONFIG = """\
version: 2
server: {egress: {allow_private: [127.0.0.0/8]}}
connectors: [{connector_id: shop, url: "%(shop)s"}]
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      models:
      - name: clerk  # calls two tools at once, one without arguments, and tells what they said
        rules:
        - {when: {text: thanks}, reply: [{text: You are welcome.}]}
        - when: {tool_outputs: false, tools: [add, hello]}
          reply:
          - reasoning: Two things are to be done.
          - calls: [{name: add, arguments: {a: 2, b: 3}}, {name: hello}]
        - &tell {when: {tool_outputs: true}, reply: [{text: "It says: {{tool_outputs}}."}]}
        - reply: [{text: There is nothing to call.}]
      - name: eraser  # wants to do what a user should be asked about
        rules:
        - {when: {text: thanks}, reply: [{text: You are welcome.}]}
        - when: {tool_outputs: false, tools: [erase]}
          reply: [{calls: [{name: erase, arguments: {path: notes.txt}}]}]
        - *tell
      - name: unlucky
        rules:
        - when: {tool_outputs: false}
          reply: [{calls: [{name: fails, arguments: {why: the disk is full}}]}]
        - *tell
      - name: demo
      - name: coder  # has a client that speaks to the server itself, and tells of its tools in a namespace
        rules:
        - when: {tool_outputs: false, text: add, tools: [mcp__desk__add]}
          reply: [{calls: [{name: mcp__desk__add, arguments: {a: 2, b: 3}}]}]
        - *tell
storage: {url: "sqlite:///%(folder)s/antiphon.db"}
"""
QUESTION = "How much is it? And say hello."
TOLD = "It says: 5, hello."
ERASE = "Erase my notes."
ERASED = "It says: erased notes.txt."
