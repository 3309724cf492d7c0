import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config/config.js';
import { DomainError } from '../errors/domain.error.js';
import { runInRequest } from '../logging/request-context.js';
import { parseTraceParent } from '../logging/trace-parent.js';
import { ProxyWatch } from './proxy-watch.js';
import { RequestLog } from './request-log.js';
import { RequestMetrics } from './request-metrics.js';
import { countSentBytes } from './sent-bytes.js';
import { SlowBodies } from './slow-bodies.js';
import { hasLeft } from './status.js';
import { isWatchedRoute } from './watched-routes.js';

/** Every line in the log that a request causes says so. What reads its body would else forget which one it is. */
export function keepContext(app: NestFastifyApplication): void {
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRequest', (request, _reply, done) => {
    const traceParent = parseTraceParent(request.headers['traceparent']);
    request.logContext = { requestId: request.id, ...traceParent };
    runInRequest(request.logContext, done);
  });
  fastify.addHook('preValidation', (request, _reply, done) =>
    runInRequest(request.logContext, done),
  );
}

/** What is seen to, and said in the answer, whoever asks for what. */
export function beginRequests(app: NestFastifyApplication, { worker }: Config): void {
  const fastify = app.getHttpAdapter().getInstance();
  const proxyWatch = app.get(ProxyWatch);
  const slowBodies = app.get(SlowBodies);
  fastify.decorateRequest('principal', null);
  fastify.addHook('onRequest', async (request, reply) => {
    const isWatching = isWatchedRoute(request.routeOptions.url);
    // Monitors ask past the proxy, and nobody else is meant to.
    if (!isWatching) proxyWatch.observe(request);
    slowBodies.watch(request, reply);
    reply.header('x-request-id', request.id);
    // Answers are about one user at one moment (protocol rule 14).
    reply.header('cache-control', 'no-store');
    if (worker === 'only' && !isWatching) throw new DomainError('not_found');
  });
}

/** Answers are measured, counted and logged, also those that nobody waited for. */
export function noteAnswers(app: NestFastifyApplication): void {
  const fastify = app.getHttpAdapter().getInstance();
  const requestLog = app.get(RequestLog);
  const requestMetrics = app.get(RequestMetrics);
  fastify.addHook('onSend', async (request, reply, payload) => {
    request.answeredAfterMs = reply.elapsedTime;
    countSentBytes(request, reply, payload);
  });
  const note = (request: FastifyRequest, reply: FastifyReply) => {
    requestMetrics.count(request, reply);
    requestLog.write(request, reply);
  };
  fastify.addHook('onRequest', async (request, reply) => {
    // For Fastify such an answer never ends.
    reply.raw.once('close', () => {
      if (hasLeft(reply)) note(request, reply);
    });
  });
  fastify.addHook('onResponse', async (request, reply) => note(request, reply));
}
