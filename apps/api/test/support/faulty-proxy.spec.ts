import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { FaultyProxy } from './faulty-proxy.js';

let received: string[];
let aborted: Promise<void>;
let server: Server;
let proxy: FaultyProxy;

beforeEach(async () => {
  received = [];
  const abort = Promise.withResolvers<void>();
  aborted = abort.promise;
  server = createServer((request, response) => {
    text(request).then((body) => {
      received.push(body);
      response.writeHead(200 + received.length, { 'x-count': `${received.length}` });
      response.end(`answer ${received.length}`);
    }, abort.resolve);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy = await FaultyProxy.start(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterEach(async () => {
  await proxy.close();
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
});

const send = (body = 'body') => fetch(`${proxy.url}/some/push?a=b`, { method: 'POST', body });

test('passes everything after disarm', async () => {
  proxy.loseAnswer('/push');
  proxy.disarm();
  expect((await send()).status).toBe(201);
});

test('passes what no fault strikes', async () => {
  proxy.loseAnswer('/pull');
  const answer = await send();
  expect([answer.status, answer.headers.get('x-count')]).toEqual([201, '1']);
  expect(await answer.text()).toBe('answer 1');
  expect(proxy.requests).toEqual(['POST /some/push']);
});

test('loses an answer once', async () => {
  const { struck } = proxy.loseAnswer('/push');
  await expect(send()).rejects.toThrow('fetch failed');
  await struck;
  expect(received).toEqual(['body']);
  expect((await send()).status).toBe(202);
});

test('cuts an answer', async () => {
  proxy.cutAnswer('/push');
  const answer = await send();
  let arrived = '';
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of answer.body ?? []) arrived += decoder.decode(chunk);
  };
  await expect(read()).rejects.toThrow('terminated');
  expect(arrived).toBe('answ');
});

test('kills a request in the middle', async () => {
  const { struck } = proxy.killRequest('/push');
  await expect(send()).rejects.toThrow('fetch failed');
  await struck;
  await aborted;
  expect(received).toEqual([]);
});

test('holds a request', async () => {
  const hold = proxy.holdRequest('/push');
  const held = send('held');
  await hold.struck;
  await send('later');
  expect(received).toEqual(['later']);
  hold.release();
  expect((await held).status).toBe(202);
});

test('holds an answer', async () => {
  const hold = proxy.holdAnswer('/push');
  const arrivals: string[] = [];
  const held = send('held').then(() => arrivals.push('held'));
  await hold.struck;
  await send('later').then(() => arrivals.push('later'));
  hold.release();
  await held;
  expect(arrivals).toEqual(['later', 'held']);
  expect(received).toEqual(['held', 'later']);
});

test.each([false, true])('duplicates a request, at once: %s', async (atOnce) => {
  const { statuses } = proxy.duplicate('/push', { atOnce });
  const answer = await send();
  expect(new Set(await statuses)).toEqual(new Set([201, 202]));
  expect(answer.status).toBe((await statuses)[1]);
  expect(received).toEqual(['body', 'body']);
});

test('tells of each request with its answer, whatever the client saw of it', async () => {
  const told: unknown[] = [];
  proxy.observer = ({ path, body, answer }) =>
    told.push([path, body.toString(), answer?.status, answer?.body.toString()]);
  proxy.loseAnswer('/push');
  await expect(send('lost')).rejects.toThrow('fetch failed');
  proxy.killRequest('/push');
  await expect(send('killed')).rejects.toThrow('fetch failed');
  server.once('request', (request) => request.socket.destroy());
  await expect(send('broken')).rejects.toThrow('fetch failed');
  expect(told).toEqual([
    ['/some/push', 'lost', 201, 'answer 1'],
    ['/some/push', 'broken', undefined, undefined],
  ]);
});
