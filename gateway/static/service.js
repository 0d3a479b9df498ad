// The service behind this page: models, images and progress over HTTP.

const ROOT = new URL('..', import.meta.url);
const RETRY_MILLISECONDS = 250;

/** An answer that is an error: `status` and the fields of its JSON body. */
export class Refused extends Error {
  constructor(status, body) {
    super(messageOf(body) ?? `The server answered with status ${status}.`);
    this.status = status;
    this.code = body.code ?? null;
    this.option = body.option ?? null;
    this.allowed = body.allowed ?? null;
    this.requestId = body.request_id ?? null;
  }
}

/** The message without the Document's id: here is only one image. */
function messageOf({ message, doc_id: id }) {
  const prefix = `document ${id}: `;
  return id && message?.startsWith(prefix) ? message.slice(prefix.length) : message;
}

/** No answer at all: the server is down or the network is. */
export class Unreachable extends Error {
  constructor() {
    super('The server cannot be reached. Check the connection and try again.');
  }
}

/** The address of this service, without a slash at its end. */
export function address() {
  return ROOT.href.replace(/\/$/, '');
}

/** A random request id. (crypto.randomUUID exists only where the page came over TLS.) */
export function newRequestId() {
  const words = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(words, (word) => word.toString(16).padStart(2, '0')).join('');
}

/** Calls to the service with the key that `key()` returns, "" for none. */
export function createService(key) {
  const headers = () => (key() ? { Authorization: `Bearer ${key()}` } : {});
  return {
    models: () => fetchModels(headers()),
    imagine: (parameters, told) => postPrompt(parameters, headers(), told),
    upscale: (file, options, told) => postImage(file, options, headers(), told),
    progress: (id, signal) => progressOf(id, headers(), signal),
  };
}

async function fetchModels(headers) {
  const answer = await fetch(new URL('models', ROOT), { headers }).catch(() => {
    throw new Unreachable();
  });
  if (!answer.ok) throw new Refused(answer.status, await errorBody(answer));
  return answer.json();
}

/** The Document with both images that are made to a prompt. */
async function postPrompt(parameters, headers, { id, signal }) {
  const answer = await fetch(new URL('imagine', ROOT), {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json', 'X-Request-ID': id },
    body: JSON.stringify({ data: [{}], parameters }),
    signal,
  }).catch((error) => {
    throw error.name === 'AbortError' ? error : new Unreachable();
  });
  if (!answer.ok) throw new Refused(answer.status, await errorBody(answer));
  return (await answer.json()).data[0];
}

async function errorBody(answer) {
  try {
    const body = JSON.parse(await answer.text());
    return body && typeof body === 'object' ? body : {};
  } catch {
    return {};
  }
}

/**
 * The upscaled image as a Blob, and what the service tells of it.
 *
 * `told` is { id, signal, onUpload, onReceive }; the two take a fraction. fetch cannot tell how
 * much of a body has been sent, hence XMLHttpRequest.
 */
function postImage(file, options, headers, { id, signal, onUpload, onReceive }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', new URL(`upscale?${new URLSearchParams(options)}`, ROOT));
    request.responseType = 'blob';
    const sent = { ...headers, 'Content-Type': contentType(file), 'X-Request-ID': id };
    for (const [name, value] of Object.entries(sent)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onUpload(event.loaded / event.total);
    request.upload.onload = () => onUpload(1);
    request.onprogress = (event) => event.lengthComputable && onReceive(event.loaded / event.total);
    request.onerror = () => reject(new Unreachable());
    request.onabort = () => reject(new DOMException('Cancelled', 'AbortError'));
    request.onload = () => answerOf(request).then(resolve, reject);
    signal.addEventListener('abort', () => request.abort(), { once: true });
    request.send(file);
  });
}

function contentType(file) {
  return file.type.startsWith('image/') ? file.type : 'application/octet-stream';
}

async function answerOf(request) {
  if (request.status !== 200) throw new Refused(request.status, await errorBody(request.response));
  const record = request.getResponseHeader('X-Upscale');
  if (!record) throw new Refused(502, { message: 'The answer came without its header X-Upscale.' });
  return { blob: request.response, info: JSON.parse(record) };
}

/** { done, total } as tiles are finished, until { finished } or until `signal` is aborted. */
async function* progressOf(id, headers, signal) {
  const answer = await patientFetch(new URL(`progress/${id}`, ROOT), headers, signal);
  if (!answer) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split(/\r?\n\r?\n/);
    rest = events.pop();
    for (const event of events) yield* dataOf(event);
  }
}

/** The answer once there is one: the request may reach the service after the question about it. */
async function patientFetch(url, headers, signal) {
  while (!signal.aborted) {
    const answer = await fetch(url, { headers, signal });
    if (answer.ok) return answer;
    if (answer.status !== 404) return null;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MILLISECONDS));
  }
  return null;
}

function* dataOf(event) {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith('data:'));
  if (lines.length) yield JSON.parse(lines.map((line) => line.slice(5)).join('\n'));
}
