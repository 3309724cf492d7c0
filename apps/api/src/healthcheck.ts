import { get } from 'node:http';

// Whether the process answers, for the image's HEALTHCHECK. Not whether it is ready: a proxy that stops asking
// an instance while the database is away has nobody left who tells clients when to come again.
const port = process.env['PORT'] || '3000';
const request = get(`http://127.0.0.1:${port}/api/v1/health/live`, { timeout: 4_000 });
request.on('timeout', () => request.destroy(new Error('no answer')));
request.on('response', ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1));
request.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
