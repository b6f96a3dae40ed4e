// `machine.mjs BASE_URL`: tools that work the client's machine, by the AI SDK and by openai-node. Prints what it saw.
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';

const baseURL = process.argv[2];
const openai = createOpenAI({ baseURL, apiKey: 'none' });
globalThis.AI_SDK_LOG_WARNINGS = false;

const exit = (stdout, exitCode) => ({ stdout, stderr: '', outcome: { type: 'exit', exitCode } });
const parts = {
  local_shell: (seen) =>
    openai.tools.localShell({
      execute: async ({ action }) => {
        seen.push(action.command);
        return { output: 'one line' };
      },
    }),
  shell: (seen) =>
    openai.tools.shell({
      execute: async ({ action }) => {
        seen.push(action.commands);
        return { output: [exit('one line', 0), exit('', 3)] };
      },
    }),
  apply_patch: (seen) =>
    openai.tools.applyPatch({
      execute: async ({ operation }) => {
        seen.push([operation.type, operation.path, operation.diff ?? null]);
        return { status: 'completed', output: `did ${operation.type}` };
      },
    }),
};

async function worked(name, streamed, store) {
  const seen = [];
  const request = {
    model: openai.responses('machinist'),
    prompt: 'Do it.',
    tools: { [name]: parts[name](seen) },
    stopWhen: stepCountIs(4),
    maxRetries: 0,
    providerOptions: { openai: { store } },
  };
  if (!streamed) return { seen, text: (await generateText(request)).text };
  const errors = [];
  const result = streamText({ ...request, onError: ({ error }) => errors.push(String(error)) });
  let text = '';
  for await (const piece of result.textStream) text += piece;
  return { seen, text, errors };
}

// The tool is found on demand: the model has its name only after a search, by the server or by the application.
async function searched(execution) {
  const get_weather = tool({
    description: 'The weather in a city',
    inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }),
    execute: ({ city }) => `rain in ${city}`,
    providerOptions: { openai: { deferLoading: true } },
  });
  const found = {
    type: 'function',
    name: 'get_weather',
    description: 'The weather in a city',
    defer_loading: true,
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  };
  const byClient = { execution: 'client', execute: async () => ({ tools: [found] }) };
  const result = await generateText({
    model: openai.responses('searcher'),
    prompt: 'What is the weather?',
    tools: {
      tool_search: openai.tools.toolSearch(execution === 'client' ? byClient : { execution: 'server' }),
      get_weather,
    },
    stopWhen: stepCountIs(5),
    maxRetries: 0,
  });
  return { text: result.text, called: result.steps.flatMap((step) => step.toolCalls.map((call) => call.toolName)) };
}

const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
const screenshot = { type: 'computer_screenshot', image_url: 'data:image/png;base64,iVBORw0KGgo=' };
const answers = {
  local_shell: ({ id }) => ({ type: 'local_shell_call_output', id, output: 'one line' }),
  shell: ({ call_id }) => ({
    type: 'shell_call_output',
    call_id,
    output: [{ stdout: 'one line', stderr: '', outcome: { type: 'exit', exit_code: 0 } }],
  }),
  apply_patch: ({ call_id }) => ({ type: 'apply_patch_call_output', call_id, status: 'completed', output: 'did it' }),
  computer: ({ call_id }) => ({ type: 'computer_call_output', call_id, output: screenshot }),
};

// Its `stream()` helper knows no events of shell commands, and throws at them; the events themselves come through.
async function roundTrip(type) {
  const tools = [type === 'shell' ? { type, environment: { type: 'local' } } : { type }];
  const kinds = [];
  let input = 'Do it.';
  let previous_response_id;
  for (let step = 0; step < 4; step += 1) {
    const request = { model: 'machinist', tools, input, previous_response_id };
    let response;
    for await (const event of await client.responses.create({ ...request, stream: true })) {
      if (event.type === 'response.completed') response = event.response;
    }
    const calls = response.output.filter((item) => item.type === `${type}_call`);
    kinds.push(calls.length);
    if (!calls.length) return { kinds, text: response.output[0].content[0].text };
    input = calls.map(answers[type]);
    previous_response_id = response.id;
  }
  return { kinds };
}

const seen = { sdk: {}, searched: {}, openai: {} };
for (const name of Object.keys(parts)) {
  for (const [streamed, store] of [[true, true], [false, true], [true, false]]) {
    const how = `${streamed ? 'streamed' : 'whole'}${store ? '' : ', not stored'}`;
    (seen.sdk[name] ??= {})[how] = await worked(name, streamed, store);
  }
}
for (const execution of ['server', 'client']) seen.searched[execution] = await searched(execution);
for (const type of Object.keys(answers)) seen.openai[type] = await roundTrip(type);
console.log(JSON.stringify(seen));
