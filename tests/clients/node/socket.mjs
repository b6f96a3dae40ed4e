// openai-node over WebSocket: a tool flow with nothing stored, an error, two lanes at once.
import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = ["get_weather", "get_time"].map((name) => ({ type: "function", name, parameters, strict: true }));
const answers = { get_weather: "rain", get_time: "noon" };
const ENDS = new Set(["response.completed", "response.failed", "response.incomplete", "error"]);

const socket = new ResponsesWS(client);
const waiting = [];
socket.on("event", (event) => {
  if (ENDS.has(event.type)) waiting.shift()(event);
});
socket.on("error", () => {});  // it comes as an event too
const turn = (body) =>
  new Promise((resolve) => {
    waiting.push(resolve);
    socket.send({ type: "response.create", ...body });
  });

const asked = await turn({
  model: "clerk", input: "What is the weather, and what time is it?", tools, store: false,
});
const calls = asked.response.output.filter((item) => item.type === "function_call");
const told = await turn({
  model: "clerk", tools, store: false, previous_response_id: asked.response.id,
  input: calls.map(({ call_id, name }) => ({ type: "function_call_output", call_id, output: answers[name] })),
});
const refused = await turn({ model: "demo", input: "x", previous_response_id: "resp_none" });
const lanes = await Promise.all(
  ["a", "b"].map((lane) => turn({ model: "writer", input: lane, stream_id: lane, store: false })),
);
const text = (event) => event.response.output.flatMap((item) => item.content ?? []).map((part) => part.text).join("");
socket.close();

console.log(JSON.stringify({
  calls: calls.map((call) => call.name),
  told: text(told),
  refused: [refused.status, refused.error.code],
  lanes: Object.fromEntries(lanes.map((event) => [event.stream_id, text(event)])),
}));
