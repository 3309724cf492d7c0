import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Injectable, Logger } from '@nestjs/common';
import { errorCodes, type ErrorCode } from '@rind/contracts';
import type { Counter } from 'prom-client';
import { DomainError } from '../errors/domain.error.js';
import { toProblem } from '../errors/send-problem.js';
import { Metrics } from '../metrics/metrics.js';

/** Node's names for what is wrong; anything else is not HTTP. */
const codeOfError: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'payload_too_large',
};

/** Answers what cannot be read far enough to reach a route: no HTTP, too large a head, or one that never ends. */
@Injectable()
export class UnreadableRequests {
  /** The latest of each connection. */
  private readonly responses = new WeakMap<Socket, ServerResponse>();

  private readonly logger = new Logger('Requests');
  private readonly refused: Counter<'code'>;

  constructor(metrics: Metrics) {
    this.refused = metrics.counter({
      name: 'rind_unreadable_requests_total',
      help: 'What was refused before it was a request, by the code of its problem',
      labelNames: ['code'],
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
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
    } else if (isAnswering && response.req.complete) {
      // What is garbage behind a whole request takes nothing from its answer, and is not worth another.
      if (!response.headersSent) response.setHeader('connection', 'close');
      response.once('finish', () => socket.destroySoon());
    } else if (isAnswering && response.headersSent) {
      socket.destroy();
    } else {
      const code = codeOfError[error.code ?? ''] ?? 'malformed_request';
      this.refuse(new DomainError(code), socket);
    }
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
    this.refused.inc({ code: refusal.code });
    this.logger.log(
      { requestId, status, problem: refusal.code, ip: socket.remoteAddress ?? null },
      'What is no request was refused',
    );
  }
}
