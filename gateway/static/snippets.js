// The same request from Python, JavaScript and cURL.

const CLIENT_FORMATS = new Set(['png', 'jpeg', 'jpg']);
const CLIENT_OPTIONS = new Set(['scale', 'image_format', 'quality']);
const INTEGER_SCALE = /^[+-]?\d+:[+-]?\d+$/;
const KEY = 'SUPERRES_API_KEY';

/**
 * A request is { address, file, type, output, format, options, keyed }: where to, the names of both
 * files, the input's media type, the output's format, the options, and whether a key is needed.
 */
export const SNIPPETS = { python, javascript, curl };

/** The official client, with its own arguments where it has them and `parameters` otherwise. */
function python(request) {
  const { scale, image_format, quality, ...others } = request.options;
  const saves = CLIENT_FORMATS.has(request.format);
  const whole = scale !== undefined && INTEGER_SCALE.test(scale);
  const parameters = { ...others };
  if (scale !== undefined && !whole) parameters.scale = scale;
  if (image_format && !saves) parameters.image_format = image_format;
  const lines = [
    `image=${quoted(request.file)},`,
    whole && `scale=${quoted(scale)},`,
    quality !== undefined && `quality=${quality},`,
    Object.keys(parameters).length && `parameters=${dictionary(parameters)},`,
    saves && `output_path=${quoted(request.output)},`,
  ].filter(Boolean);
  return [
    request.keyed && 'import os\n',
    'from inference_client import Client\n',
    `model = Client().get_model(${quoted(grpcAddress(request.address))})`,
    request.keyed && `model.token = os.environ['${KEY}']`,
    'image = model.upscale(',
    ...lines.map((line) => `    ${line}`),
    ')',
    !saves && `with open(${quoted(request.output)}, 'wb') as file:\n    file.write(image)`,
  ].filter(Boolean).join('\n');
}

function grpcAddress(address) {
  const { protocol, hostname, port } = new URL(address);
  const secure = protocol === 'https:';
  return `${secure ? 'grpcs' : 'grpc'}://${hostname}:${port || (secure ? 443 : 80)}`;
}

function dictionary(values) {
  const python = (value) => (value === true ? 'True' : literal(value));
  const pairs = Object.entries(values).map(([name, value]) => `'${name}': ${python(value)}`);
  return `{${pairs.join(', ')}}`;
}

function literal(value) {
  return typeof value === 'string' ? quoted(value) : String(value);
}

function quoted(text) {
  return `'${text.replace(/[\\']/g, '\\$&').replace(/\s/g, ' ')}'`;
}

/** The official client where it can carry the options, else fetch. */
function javascript(request) {
  const beyond = Object.keys(request.options).filter((name) => !CLIENT_OPTIONS.has(name));
  if (request.options.quality === 0) beyond.push('quality 0'); // the client drops a zero
  return beyond.length ? javascriptFetch(request, beyond) : javascriptClient(request);
}

function javascriptClient({ address, file, output, options, keyed }) {
  const fields = { image: file, ...options };
  return [
    "import inference from 'inference-client';",
    "import { writeFileSync } from 'node:fs';\n",
    `const client = new inference.default(${keyed ? `process.env.${KEY}` : ''});`,
    `const model = await client.getModel(undefined, ${quoted(address)});`,
    'const image = await model.upscale({',
    ...Object.entries(fields).map(([name, value]) => `  ${name}: ${literal(value)},`),
    '});',
    `writeFileSync(${quoted(output)}, Buffer.from(image, 'base64'));`,
  ].join('\n');
}

function javascriptFetch(request, beyond) {
  const { address, file, type, output, options, keyed } = request;
  return [
    `// inference-client cannot send ${beyond.join(', ')}; fetch can.`,
    "import { readFileSync, writeFileSync } from 'node:fs';\n",
    'const options = new URLSearchParams({',
    ...Object.entries(options).map(([name, value]) => `  ${name}: ${literal(value)},`),
    '});',
    `const answer = await fetch(\`${address}/upscale?\${options}\`, {`,
    "  method: 'POST',",
    '  headers: {',
    `    'Content-Type': '${type}',`,
    keyed && `    Authorization: \`Bearer \${process.env.${KEY}}\`,`,
    '  },',
    `  body: readFileSync(${quoted(file)}),`,
    '});',
    'if (!answer.ok) throw new Error((await answer.json()).message);',
    `writeFileSync(${quoted(output)}, Buffer.from(await answer.arrayBuffer()));`,
  ].filter(Boolean).join('\n');
}

function curl({ address, file, type, output, options, keyed }) {
  const query = new URLSearchParams(options).toString();
  const lines = [
    `curl --fail-with-body ${word(`${address}/upscale${query && `?${query}`}`)}`,
    keyed && `-H "Authorization: Bearer $${KEY}"`,
    `-H 'Content-Type: ${type}'`,
    `--data-binary ${word(`@${file}`)}`,
    `-o ${word(output)}`,
  ];
  return lines.filter(Boolean).join(' \\\n  ');
}

/** `text` as one word of a shell. */
function word(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
