import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { encodeRequest, HttpConnection } from './http-connection.ts';

const PLAIN = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello';
const EMPTY = 'HTTP/1.1 204 No Content\r\n\r\n';
const CHUNKED =
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\nc\r\nlo\r\n, world!\r\n0\r\n\r\n';

/** Answers each request with the text that its path names, in pieces of so many bytes. */
function startServer(): Server {
  return createServer((socket) => {
    socket.setNoDelay(true);
    // A client that has gone does not wait for the rest.
    socket.on('error', () => undefined);
    socket.on('data', (request) => {
      const [, which, size] = /^GET \/(\w+)\/(\d+)/.exec(request.toString())!;
      const answer = { plain: PLAIN, empty: EMPTY, chunked: CHUNKED }[which!]!;
      void sendInPieces(answer, Number(size), (piece) => socket.write(piece));
    });
  });
}

async function sendInPieces(text: string, size: number, send: (piece: string) => void) {
  for (let at = 0; at < text.length; at += size) {
    send(text.slice(at, at + size));
    await new Promise(setImmediate);
  }
}

describe('HttpConnection', () => {
  const server = startServer();
  let connection: HttpConnection;

  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    connection = await HttpConnection.open('127.0.0.1', (server.address() as AddressInfo).port);
  });

  after(() => {
    connection.close();
    server.close();
  });

  const ask = async (path: string) => {
    const request = encodeRequest({ method: 'GET', path, headers: {} });
    const { status, bodyBytes, body } = await connection.send(request, true);
    return { status, bodyBytes, text: body?.toString() };
  };

  for (const size of [1, 2, 7, 1000]) {
    test(`reads answers that arrive in pieces of ${size}, one after the other`, async () => {
      assert.deepEqual(await ask(`/plain/${size}`), { status: 200, bodyBytes: 5, text: 'hello' });
      const text = 'hello\r\n, world!';
      assert.deepEqual(await ask(`/chunked/${size}`), { status: 200, bodyBytes: 15, text });
      assert.deepEqual(await ask(`/empty/${size}`), { status: 204, bodyBytes: 0, text: '' });
    });
  }

  test('does not wait for an answer that can no longer come', async () => {
    const other = await HttpConnection.open('127.0.0.1', (server.address() as AddressInfo).port);
    const answer = other.send(encodeRequest({ method: 'GET', path: '/plain/5', headers: {} }));
    other.close();
    await assert.rejects(answer, /closed the connection/);
    await assert.rejects(other.send(Buffer.from('GET')), /closed the connection/);
  });
});

test('a request has the length of its body in bytes', () => {
  const request = encodeRequest({ method: 'POST', path: '/', headers: { a: 'b' }, body: 'ü' });
  assert.equal(
    request.toString(),
    'POST / HTTP/1.1\r\nhost: bench\r\na: b\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\nü',
  );
});
