// The official TypeScript SDK's client on /mcp: what it saw, as one line of JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const [url, model] = process.argv.slice(2);
const seen = { asked: [], progress: [] };
const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, async (request) => {
  seen.asked.push(request.params.message);
  return { action: "accept", content: { name: "Ada" } };
});
const transport = new StreamableHTTPClientTransport(new URL(url));
await client.connect(transport);
seen.server = client.getServerVersion().name;
seen.session = transport.sessionId.split(".").slice(0, 2).join(".");
seen.tools = (await client.listTools()).tools.map((tool) => tool.name);

// It holds structured content against the output schema itself.
const found = await client.callTool({ name: "file_search", arguments: { query: "anything at all" } });
seen.structured = Object.keys(found.structuredContent).sort();
const answer = await client.callTool(
  { name: "create_response", arguments: { model, input: "Hello" } },
  undefined,
  { onprogress: (one) => seen.progress.push(one.message) },
);
seen.answer = answer.content[0].text;
seen.question = (await client.callTool({ name: "desk__ask_name", arguments: {} })).content[0].text;
try {
  await client.callTool({ name: "nope", arguments: {} });
} catch (error) {
  seen.unknown = error.code;
}
const leaving = new AbortController();
const held = client.callTool({ name: "desk__hold", arguments: {} }, undefined, { signal: leaving.signal });
setTimeout(() => leaving.abort(), 0);
try {
  await held;
} catch {
  seen.cancelled = true;
}
await client.ping();
await transport.terminateSession();
await client.close();
console.log(JSON.stringify(seen));
