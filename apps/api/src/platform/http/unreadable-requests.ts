import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Injectable, Logger } from '@nestjs/common';
import { errorCodes, type ErrorCode } from '@rind/contracts';
import type { Counter } from 'prom-client';
import { DomainError } from '../errors/domain.error.js';
import { toProblem } from '../errors/send-problem.js';
import { Metrics } from '../metrics/metrics.js';
import { plainAddress } from './client-address.js';

/** Node's names for what is wrong; anything else is not HTTP. */
const codeOfError: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'payload_too_large',
};

const FALLBACK: ErrorCode = 'malformed_request';
const WARNING_INTERVAL_MS = 60_000;

/** Answers what cannot be read far enough to reach a route: no HTTP, too large a head, or one that never ends. */
@Injectable()
export class UnreadableRequests {
  /** The latest of each connection. */
  private readonly responses = new WeakMap<Socket, ServerResponse>();

  private readonly logger = new Logger('Requests');
  private readonly refused: Counter<'code'>;
  private readonly dropped: Counter;
  private quietUntil = 0;

  constructor(metrics: Metrics) {
    this.refused = metrics.counter({
      name: 'rind_unreadable_requests_total',
      help: 'What was refused before it was a request, by the code of its problem',
      labelNames: ['code'],
      labelValues: [FALLBACK, ...Object.values(codeOfError)],
    });
    this.dropped = metrics.counter({
      name: 'rind_connections_dropped_total',
      help: 'Connections that were closed at once, beyond CONNECTION_LIMIT',
    });
  }

  /** For the event `request` of the server. */
  watch(request: IncomingMessage, response: ServerResponse): void {
    this.responses.set(request.socket, response);
  }

  /** For the event `clientError` of the server. */
  answer(error: NodeJS.ErrnoException, socket: Socket): void {
    const response = this.responses.get(socket);
    const isAnswering = response !== undefined && !response.writableFinished;
    // Not that of the latest request: what is written now would be taken for the answer to an earlier one.
    const isEarlierOpen = isAnswering && response.socket === null;
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
    } else if (isAnswering && response.req.complete) {
      // What is garbage behind a whole request takes nothing from its answer, and is not worth another.
      if (!response.headersSent) response.setHeader('connection', 'close');
      response.once('finish', () => socket.destroySoon());
    } else if (isEarlierOpen || (isAnswering && response.headersSent)) {
      socket.destroy();
    } else {
      const code = codeOfError[error.code ?? ''] ?? FALLBACK;
      this.refuse(new DomainError(code), socket);
    }
  }

  /** Counts and logs what was refused. */
  note({ code }: DomainError, requestId: string, ip = ''): void {
    this.refused.inc({ code });
    this.logger.log(
      { requestId, status: errorCodes[code].status, problem: code, ip: plainAddress(ip) },
      'What is no request was refused',
    );
  }

  /** For the event `drop` of the server: a connection beyond CONNECTION_LIMIT. */
  drop(): void {
    this.dropped.inc();
    const now = performance.now();
    if (now < this.quietUntil) return;
    this.quietUntil = now + WARNING_INTERVAL_MS;
    this.logger.warn('CONNECTION_LIMIT is reached: further connections are closed at once');
  }

  private refuse(refusal: DomainError, socket: Socket): void {
    const requestId = randomUUID();
    const { status } = errorCodes[refusal.code];
    const body = JSON.stringify(toProblem(refusal, { instance: '/', requestId }));
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'content-type: application/problem+json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      'cache-control: no-store',
      'connection: close',
      `x-request-id: ${requestId}`,
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
    socket.destroySoon();
    this.note(refusal, requestId, socket.remoteAddress);
  }
}
