// openai-node counts tokens, compacts a dialogue and goes on from what it became.
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.argv[2], apiKey: 'unused' });
const dialogue = [
  { role: 'user', content: 'The key is under the mat.' },
  { role: 'assistant', content: 'Noted.' },
];

const counted = await client.responses.inputTokens.count({ model: 'demo', input: 'one two three' });
const { response } = await client.responses.inputTokens
  .count({ model: 'demo', input: 'one two three' })
  .withResponse();
const compacted = await client.responses.compact({ model: 'demo', input: dialogue });
const next = await client.responses.create({
  model: 'demo',
  input: [...compacted.output, { role: 'user', content: 'go on' }],
});
const long = await client.responses.create({ model: 'demo', input: 'remember the lighthouse '.repeat(600) });
const managed = await client.responses.create({
  model: 'demo',
  input: 'what was it?',
  previous_response_id: long.id,
  context_management: [{ type: 'compaction', compact_threshold: 1000 }],
});
const refused = await client.responses
  .create({ model: 'demo', input: 'x', previous_response_id: compacted.id })
  .catch((error) => error.code);

console.log(
  JSON.stringify({
    counted: [counted.object, counted.input_tokens, response.headers.get('x-antiphon-token-count')],
    compacted: [compacted.object, ...compacted.output.map((item) => item.type)],
    goesOn: next.output_text.includes('go on'),
    managed: managed.output.map((item) => item.type),
    refused,
  }),
);
