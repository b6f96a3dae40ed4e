// `mcp.mjs BASE_URL MCP_URL`: openai-node and the AI SDK with tools of an MCP server. Prints what it saw.
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, stepCountIs, streamText } from 'ai';
import OpenAI from 'openai';

const [baseURL, serverUrl] = process.argv.slice(2);
const question = 'How much is it? And say hello.';
const erase = 'Erase my notes.';
globalThis.AI_SDK_LOG_WARNINGS = false;

const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
const tool = { type: 'mcp', server_label: 'desk', server_url: serverUrl };

async function streamed(request) {
  const kinds = [];
  const stream = client.responses.stream({ tools: [tool], ...request });
  for await (const event of stream) kinds.push(event.type);
  return { kinds, final: await stream.finalResponse() };
}

async function node() {
  const called = await streamed({ model: 'clerk', input: question, tools: [{ ...tool, require_approval: 'never' }] });
  const asked = await streamed({ model: 'eraser', input: erase });
  const request = asked.final.output.find((item) => item.type === 'mcp_approval_request');
  const answered = await client.responses.create({
    model: 'eraser',
    tools: [tool],
    previous_response_id: asked.final.id,
    input: [{ type: 'mcp_approval_response', approval_request_id: request.id, approve: true }],
  });
  const again = await client.responses
    .create({
      model: 'eraser',
      tools: [tool],
      previous_response_id: asked.final.id,
      input: [{ type: 'mcp_approval_response', approval_request_id: request.id, approve: true }],
    })
    .catch((error) => ({ status: error.status, param: error.param }));
  return {
    events: called.kinds.filter((kind) => kind.includes('mcp')),
    text: called.final.output_text,
    items: called.final.output.map((item) => item.type),
    asked: { status: asked.final.status, name: request.name, arguments: request.arguments },
    answered: answered.output_text,
    call: answered.output.find((item) => item.type === 'mcp_call').approval_request_id === request.id,
    again: { status: again.status, param: again.param },
  };
}

const openai = createOpenAI({ baseURL, apiKey: 'none' });

async function run(model, streams, store, mcp, messages) {
  const request = {
    model: openai.responses(model),
    messages,
    tools: { mcp: openai.tools.mcp({ serverLabel: 'desk', serverUrl, ...mcp }) },
    stopWhen: stepCountIs(4),
    maxRetries: 0,
    providerOptions: { openai: { store } },
  };
  if (!streams) return { result: await generateText(request), errors: [] };
  const errors = [];
  const result = streamText({ ...request, onError: ({ error }) => errors.push(String(error)) });
  await result.consumeStream();
  return {
    result: { content: await result.content, text: await result.text, response: await result.response },
    errors,
  };
}

const user = (content) => ({ role: 'user', content });

async function sdk(streams, store) {
  const calling = [user(question)];
  const called = await run('clerk', streams, store, { requireApproval: 'never' }, calling);
  const later = [...calling, ...called.result.response.messages, user('Thanks!')];
  const again = await run('clerk', streams, store, { requireApproval: 'never' }, later);
  const results = called.result.content.filter((part) => part.type === 'tool-result');
  return {
    text: called.result.text,
    results: results.map(({ toolName, output }) => [toolName, output.output]),
    again: again.result.text,
    errors: [...called.errors, ...again.errors],
  };
}

async function approved(streams, approve) {
  const messages = [user(erase)];
  const asked = await run('eraser', streams, true, { requireApproval: 'always' }, messages);
  const [request] = asked.result.content.filter((part) => part.type === 'tool-approval-request');
  messages.push(...asked.result.response.messages);
  messages.push({
    role: 'tool',
    content: [
      { type: 'tool-approval-response', approvalId: request.approvalId, approved: approve, providerExecuted: true },
    ],
  });
  const answered = await run('eraser', streams, true, { requireApproval: 'always' }, messages);
  return {
    asked: [request.toolCall.toolName, request.toolCall.input],
    text: answered.result.text,
    results: answered.result.content.filter((part) => part.type === 'tool-result').length,
    errors: [...asked.errors, ...answered.errors],
  };
}

const seen = { node: await node(), sdk: {}, approved: {} };
for (const streams of [false, true]) {
  const how = streams ? 'streamed' : 'whole';
  for (const store of [true, false]) seen.sdk[store ? how : `${how}, not stored`] = await sdk(streams, store);
  seen.approved[how] = await approved(streams, true);
  seen.approved[`${how}, denied`] = await approved(streams, false);
}
console.log(JSON.stringify(seen));
