// The official JavaScript client, npm's inference-client: a file, base64, and what went wrong.
//
//   npm --prefix examples ci
//   node examples/upscale.mjs photo.jpg upscaled
//
// writes two images to the folder upscaled. SUPERRES_ENDPOINT names another server than
// http://localhost:51001, SUPERRES_KEY the key that it may need.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import inference from 'inference-client';

const endpoint = process.env.SUPERRES_ENDPOINT ?? 'http://localhost:51001';
const key = process.env.SUPERRES_KEY;
const [photo, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

// The package is CommonJS: the class is the `default` of what is imported. Without a model's name
// the token is not looked up anywhere, and goes to the server as it is.
const client = new inference.default(key);
const model = await client.getModel(undefined, endpoint);

// A file, or a URL, which the client loads. The answer is base64. `output_path` would not be
// written: it only names the format, and makes the client forget `image_format`.
const png = await model.upscale({ image: photo, scale: '600:-1', image_format: 'png' });
writeFileSync(join(folder, 'file.png'), Buffer.from(png, 'base64'));

// Bytes, as base64. A quality of 0 is dropped by the client.
const bytes = readFileSync(photo);
const jpeg = await model.upscale({
  image: bytes.toString('base64'),
  image_format: 'jpeg',
  quality: 90,
});
writeFileSync(join(folder, 'bytes.jpg'), Buffer.from(jpeg, 'base64'));

// Any error answer makes the client throw the same TypeError. A request of our own reads it.
try {
  await model.upscale({ image: photo, scale: '100000:-1' });
} catch (error) {
  console.log(`the client says: ${error.message}`);
  const answer = await fetch(`${endpoint}/upscale?scale=100000:-1`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/octet-stream', ...(key && { Authorization: key }) },
    body: bytes,
  });
  console.log(`the server says: ${(await answer.json()).message}`);
}
