// One call of the official JavaScript client. Standard input: {endpoint, token, input} as JSON;
// standard output: {answer} or {thrown}.

import { readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';

const installed = createRequire(new URL('../../examples/', import.meta.url));
const { default: Client } = installed('inference-client');

const { endpoint, token, input } = JSON.parse(readFileSync(0, 'utf8'));
let told;
try {
  const model = await new Client(token).getModel(undefined, endpoint);
  told = { answer: await model.upscale(input) };
} catch (error) {
  told = { thrown: `${error.name}: ${error.message}` };
}
writeSync(1, JSON.stringify(told));
