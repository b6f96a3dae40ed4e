// `ai_sdk.mjs openai|open-responses BASE_URL`: the AI SDK runs tool flows; prints what it saw as one line of JSON.
import { createOpenResponses } from '@ai-sdk/open-responses';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const [kind, baseURL] = process.argv.slice(2);
const bodies = [];
const record = async (url, init) => {
  bodies.push(JSON.parse(init.body));
  return fetch(url, init);
};
const make = {
  openai: () => createOpenAI({ baseURL, apiKey: 'none', fetch: record }).responses,
  'open-responses': () =>
    createOpenResponses({ name: 'antiphon', url: `${baseURL}/responses`, apiKey: 'none', fetch: record }),
};
const model = make[kind]();
const city = z.object({ city: z.string() });
const tools = {
  get_weather: tool({ description: 'The weather', inputSchema: city, execute: ({ city }) => `rain in ${city}` }),
  get_time: tool({ description: 'The time', inputSchema: city, execute: ({ city }) => `noon in ${city}` }),
};
const prompt = 'What is the weather, and what time is it?';
globalThis.AI_SDK_LOG_WARNINGS = false;

async function streamed(providerOptions) {
  const result = streamText({
    model: model('clerk'),
    prompt,
    tools,
    stopWhen: stepCountIs(3),
    maxRetries: 0,
    providerOptions,
    onError: ({ error }) => {
      throw error;
    },
  });
  const kinds = [];
  let reasoning = '';
  for await (const part of result.fullStream) {
    kinds.push(part.type);
    if (part.type === 'reasoning-delta') reasoning += part.text;
  }
  const steps = await result.steps;
  return {
    calls: steps[0].toolCalls.map(({ toolName, input }) => [toolName, input]),
    finish: steps.map((step) => step.finishReason),
    text: await result.text,
    tokens: (await result.totalUsage).totalTokens > 0,
    errors: kinds.filter((kind) => kind.includes('error')),
    reasoning,
  };
}

const seen = { streamed: await streamed() };
if (kind === 'openai') {
  seen.summarised = await streamed({ openai: { reasoningSummary: 'auto', forceReasoning: true } });
  seen.notStored = await streamed({ openai: { store: false, forceReasoning: true } });
}

const whole = await generateText({ model: model('clerk'), prompt, tools, stopWhen: stepCountIs(3), maxRetries: 0 });
seen.whole = whole.text;

const form = await generateText({
  model: model('demo'),
  prompt: 'Oslo?',
  output: Output.object({ schema: z.object({ city: z.string(), degrees: z.number() }) }),
  maxRetries: 0,
});
seen.form = typeof form.output.degrees;

const long = 'word '.repeat(40);
const cut = await generateText({ model: model('demo'), prompt: long, maxOutputTokens: 16, maxRetries: 0 });
seen.cut = cut.finishReason;
seen.sealed = bodies.flatMap((body) => body.input).filter((item) => item.encrypted_content).length;
seen.sent = [...new Set(bodies.flatMap((body) => body.input.map((item) => item.type ?? item.role)))].sort();

console.log(JSON.stringify(seen));
