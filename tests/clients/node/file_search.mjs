// `file_search.mjs BASE_URL`: openai-node fills a vector store and asks; the AI SDK asks too. Prints one line of JSON.
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, streamText } from 'ai';
import OpenAI, { toFile } from 'openai';

const [baseURL] = process.argv.slice(2);
globalThis.AI_SDK_LOG_WARNINGS = false;
const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
const store = await client.vectorStores.create({ name: 'Norway' });
const text = 'The Sognefjord is the deepest fjord of Norway, with 1308 metres of water in it.';
const file = await client.vectorStores.files.uploadAndPoll(
  store.id,
  await toFile(Buffer.from(text), 'fjords.txt'),
);
const question = 'What is the deepest fjord?';
const tool = { type: 'file_search', vector_store_ids: [store.id] };

const kinds = [];
const stream = client.responses.stream({ model: 'demo', input: question, tools: [tool] });
for await (const event of stream) kinds.push(event.type);
const streamed = await stream.finalResponse();
const found = await client.vectorStores.search(store.id, { query: 'deepest fjord' });

const openai = createOpenAI({ baseURL, apiKey: 'none' });
const asked = {
  model: openai.responses('demo'),
  prompt: question,
  tools: { file_search: openai.tools.fileSearch({ vectorStoreIds: [store.id], maxNumResults: 3 }) },
  maxRetries: 0,
  providerOptions: { openai: { include: ['file_search_call.results'] } },
};
const whole = await generateText(asked);
const parts = streamText(asked);
const errors = [];
for await (const part of parts.fullStream) if (part.type === 'error') errors.push(String(part.error));

console.log(
  JSON.stringify({
    file: { id: file.id, status: file.status },
    searching: kinds.filter((kind) => kind.includes('file_search')).map((kind) => kind.split('.').pop()),
    annotations: streamed.output.at(-1).content[0].annotations,
    text: streamed.output_text,
    found: found.data.map(({ file_id, filename }) => [file_id, filename]),
    sdk: {
      text: whole.text,
      sources: whole.sources.map(({ sourceType, filename }) => [sourceType, filename]),
      results: whole.toolResults.map(({ output }) => output.results?.length),
      streamed: await parts.text,
      streamedSources: (await parts.sources).map(({ sourceType, filename }) => [sourceType, filename]),
      errors,
    },
  }),
);
