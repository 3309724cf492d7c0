import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { DomainError } from '../errors/domain.error.js';
import { sendProblem } from '../errors/send-problem.js';

/** Of a body that takes longer than the time-out, on average: what a phone has at the edge of a network. */
const MIN_BYTES_PER_MS = 8;

/**
 * Ends requests whose bodies don't arrive: those that stop, and those that come so slowly that only an
 * attacker sends them so. A flat time-out would either cut off large pushes of slow phones, or give whoever
 * holds connections open all the time of these.
 */
@Injectable()
export class SlowBodies {
  private readonly timeoutMs: number;

  constructor(@InjectConfig() { http }: Config) {
    this.timeoutMs = http.requestTimeoutMs;
  }

  watch(request: FastifyRequest, reply: FastifyReply): void {
    const { raw } = request;
    if (!hasBody(request)) return;
    const { socket } = raw;
    const startedAt = performance.now();
    const bytesBefore = socket.bytesRead;
    const look = () => {
      if (raw.complete || socket.destroyed) return;
      const received = socket.bytesRead - bytesBefore;
      const allowedMs = this.timeoutMs + received / MIN_BYTES_PER_MS;
      const remainingMs = allowedMs - (performance.now() - startedAt);
      if (remainingMs > 0) timer = setTimeout(look, remainingMs).unref();
      else end(request, reply);
    };
    let timer = setTimeout(look, this.timeoutMs).unref();
    raw.once('end', () => clearTimeout(timer));
  }
}

function hasBody({ raw }: FastifyRequest): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = raw.headers;
  return coding !== undefined || (length !== undefined && length !== '0');
}

function end(request: FastifyRequest, reply: FastifyReply): void {
  // Answered before its body was read, such as to a stranger.
  if (reply.sent) {
    request.raw.socket.destroy();
    return;
  }
  reply.header('connection', 'close');
  sendProblem(new DomainError('request_timeout'), request, reply);
}
