// `openai.mjs BASE_URL`: openai-node runs a tool flow each way; prints what it saw as one line of JSON.
import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const client = new OpenAI({ baseURL: process.argv[2], apiKey: 'none', maxRetries: 0 });
const question = 'What is the weather, and what time is it?';
const answers = { get_weather: 'rain', get_time: 'noon' };
const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
const tools = Object.keys(answers).map((name) => ({ type: 'function', name, parameters, strict: true }));

async function streamed(request) {
  const stream = client.responses.stream({ model: 'clerk', tools, ...request });
  const seen = [];
  for await (const event of stream) seen.push(event);
  return { final: await stream.finalResponse(), seen };
}

const calls = (response) => response.output.filter((item) => item.type === 'function_call');
const outputs = (response) =>
  calls(response).map(({ call_id, name }) => ({
    type: 'function_call_output',
    call_id,
    output: answers[name],
  }));

const first = await streamed({ input: question });
const second = await streamed({ input: outputs(first.final), previous_response_id: first.final.id });
const deltas = second.seen.filter((event) => event.type === 'response.output_text.delta');

// Two ways to have the items: of the last event as they came, and of the helper, which adds what it parsed.
async function sentBack(itemsOf) {
  const history = [{ role: 'user', content: question }];
  const alone = await streamed({ input: history, store: false });
  history.push(...itemsOf(alone), ...outputs(alone.final));
  const next = await streamed({ input: history, store: false }).catch((error) => ({ error: error.message }));
  return next.error ?? next.final.output_text;
}

const parsed = await client.responses.parse({
  model: 'demo',
  input: 'Oslo?',
  text: { format: zodTextFormat(z.object({ city: z.string(), degrees: z.number() }), 'weather') },
});

// Stored chat completions: two are made, one of them by a stream; lists page by one.
async function stored() {
  const metadata = { run: crypto.randomUUID() };
  const request = { model: 'demo', messages: [{ role: 'user', content: 'Store me.' }], store: true, metadata };
  const whole = await client.chat.completions.create(request);
  const stream = client.chat.completions.stream(request);
  const spelled = await stream.finalChatCompletion();
  const ids = [];
  for await (const one of client.chat.completions.list({ metadata, limit: 1 })) ids.push(one.id);
  const got = await client.chat.completions.retrieve(spelled.id);
  const changed = await client.chat.completions.update(whole.id, { metadata: { ...metadata, seen: 'yes' } });
  const asked = [];
  for await (const one of client.chat.completions.messages.list(whole.id)) asked.push([one.role, one.content]);
  const removed = await client.chat.completions.delete(whole.id);
  await client.chat.completions.delete(spelled.id);
  return {
    listed: ids.join() === [whole.id, spelled.id].join(),
    same: got.choices[0].message.content === spelled.choices[0].message.content,
    seen: changed.metadata.seen,
    asked,
    deleted: removed.deleted,
    left: (await client.chat.completions.list({ metadata })).data.length,
  };
}

// A conversation: a tool flow in it, and each helper for it and its items.
async function conversed() {
  const { conversations } = client;
  const items = [{ role: 'user', content: 'Hello.' }];
  const made = await conversations.create({ items, metadata: { a: 'b' } });
  const id = { conversation_id: made.id };
  const asked = await streamed({ input: question, conversation: made.id });
  const told = await streamed({ input: outputs(asked.final), conversation: { id: made.id } });
  const kinds = [];
  for await (const item of conversations.items.list(made.id, { order: 'asc', limit: 2 })) kinds.push(item.type);
  const added = await conversations.items.create(made.id, { items: [{ role: 'user', content: 'Bye.' }] });
  const one = await conversations.items.retrieve(added.first_id, id);
  const without = await conversations.items.delete(one.id, id);
  const updated = await conversations.update(made.id, { metadata: { c: 'd' } });
  const found = await conversations.retrieve(made.id);
  return {
    told: told.final.output_text,
    in: told.final.conversation.id === made.id,
    kinds,
    one: one.content[0].text,
    without: without.object,
    metadata: [made.metadata, updated.metadata, found.metadata],
    deleted: await conversations.delete(made.id),
    id: made.id,
    gone: await conversations.retrieve(made.id).catch((error) => error.status),
  };
}

const refused = await client.responses
  .create({ model: 'clerk', input: 'hi', temperature: 9 })
  .catch((error) => ({ status: error.status, param: error.param }));

console.log(
  JSON.stringify({
    calls: calls(first.final).map(({ name, arguments: text }) => [name, text]),
    types: [first.seen[0].type, second.seen.at(-1).type],
    spelled: deltas.map((event) => event.delta).join(''),
    chained: second.final.output_text,
    sentBack: await sentBack(({ seen }) => seen.at(-1).response.output),
    sentBackParsed: await sentBack(({ final }) => final.output),
    parsed: typeof parsed.output_parsed.degrees,
    stored: await stored(),
    conversed: await conversed(),
    refused,
  }),
);
