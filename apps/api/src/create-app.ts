import type { LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type SyncTable, syncTables } from '@rind/contracts';
import { AppModule } from './app.module.js';
import { CrossOriginRequests } from './auth/cookies/cross-origin-requests.js';
import { LargeBodies } from './auth/large-bodies.js';
import { PrincipalsService } from './auth/principals.service.js';
import { serveDocument } from './openapi.js';
import type { Config } from './platform/config/config.js';
import { DomainError } from './platform/errors/domain.error.js';
import { parseBodies } from './platform/http/body-parsers.js';
import { addBrowserHeaders } from './platform/http/browser-headers.js';
import { limitConnections } from './platform/http/connection-limits.js';
import { createAdapter } from './platform/http/fastify-adapter.js';
import { GLOBAL_PREFIX } from './platform/http/global-prefix.js';
import { refuseUnless } from './platform/http/packed-bodies.js';
import { ProxyWatch } from './platform/http/proxy-watch.js';
import { RequestLog } from './platform/http/request-log.js';
import { RequestMetrics } from './platform/http/request-metrics.js';
import { countSentBytes } from './platform/http/sent-bytes.js';
import { SlowBodies } from './platform/http/slow-bodies.js';
import { hasLeft } from './platform/http/status.js';
import { UnreadableRequests } from './platform/http/unreadable-requests.js';
import { isWatchedRoute } from './platform/http/watched-routes.js';
import { JsonLogger } from './platform/logging/json-logger.js';
import { runInRequest } from './platform/logging/request-context.js';
import { parseTraceParent } from './platform/logging/trace-parent.js';
import { METRICS_PATH } from './platform/metrics/metrics-path.js';
import { serveSockets } from './platform/realtime/serve-sockets.js';
import { endInOrder } from './platform/shutdown/end-in-order.js';
import { Shutdown } from './platform/shutdown/shutdown.js';

const PUSH_ROUTE = `/${GLOBAL_PREFIX}/sync/push`;
const UNSUBSCRIBE_ROUTE = `/${GLOBAL_PREFIX}/notifications/unsubscribe`;
/** Where Apple posts a form, and where mail programs do (RFC 8058). */
const FORM_ROUTES = {
  'application/x-www-form-urlencoded': [
    `/${GLOBAL_PREFIX}/auth/oauth/:provider/callback`,
    UNSUBSCRIBE_ROUTE,
  ],
  'multipart/form-data': [UNSUBSCRIBE_ROUTE],
};

/** Builds the API, ready to listen: used by `main.ts` and by the tests. */
export async function createApp(
  config: Config,
  tables: readonly SyncTable[] = syncTables,
  logger: LoggerService = new JsonLogger(config),
): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.register(config, tables),
    createAdapter(config, (refusal, { id, ip }) =>
      app.get(UnreadableRequests).note(refusal, id, ip),
    ),
    { logger, bodyParser: false, abortOnError: false },
  );
  app.setGlobalPrefix(GLOBAL_PREFIX, { exclude: [METRICS_PATH] });
  await addBrowserHeaders(app, config);
  limitConnections(app, config);
  parseBodies(app, {
    formRoutes: FORM_ROUTES,
    // In a push such keys could only name tables and columns that nobody has declared, which are
    // ignored like all others, so that no device is locked out (protocol rule 31).
    unsafeKeysIgnoredAt: PUSH_ROUTE,
  });
  addRequestHooks(app, config);
  endInOrder(app);
  serveSockets(app);
  serveDocument(app, config);
  return app;
}

function addRequestHooks(app: NestFastifyApplication, { sync, worker }: Config): void {
  const fastify = app.getHttpAdapter().getInstance();
  const requestLog = app.get(RequestLog);
  const requestMetrics = app.get(RequestMetrics);
  const proxyWatch = app.get(ProxyWatch);
  const principals = app.get(PrincipalsService);
  const largeBodies = app.get(LargeBodies);
  const crossOriginRequests = app.get(CrossOriginRequests);
  const shutdown = app.get(Shutdown);
  const slowBodies = app.get(SlowBodies);
  fastify.decorateRequest('principal', null);
  keepContext(fastify);
  fastify.addHook('onRequest', async (request, reply) => {
    const isWatching = isWatchedRoute(request.routeOptions.url);
    // Monitors ask past the proxy, and nobody else is meant to.
    if (!isWatching) proxyWatch.observe(request);
    slowBodies.watch(request, reply);
    reply.header('x-request-id', request.id);
    // Answers are about one user at one moment (protocol rule 14).
    reply.header('cache-control', 'no-store');
    if (worker === 'only' && !isWatching) throw new DomainError('not_found');
    crossOriginRequests.check(request);
  });
  fastify.addHook('onSend', async (request, reply, payload) => {
    request.answeredAfterMs = reply.elapsedTime;
    countSentBytes(request, reply, payload);
    largeBodies.release(request);
    // What comes next on this connection could meet a process that has ended.
    if (shutdown.hasBegun) reply.header('connection', 'close');
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
  fastify.addHook('onResponse', async (request, reply) => {
    note(request, reply);
    // A principal that was cached, and whose session turned out to have ended.
    if (reply.statusCode === 401 && request.principal) principals.forget(request.principal);
  });
  fastify.addHook('onRoute', (route) => {
    const isPush = route.url === PUSH_ROUTE;
    route.preParsing = async (request, reply, payload) => {
      refuseUnless(isPush ? 'gzip' : 'identity', request, reply);
      return isPush ? largeBodies.read(request, payload) : payload;
    };
    if (!isPush) return;
    route.bodyLimit = sync.bodyLimitBytes;
    route.onRequest = (request, reply) => largeBodies.admit(request, reply);
    const { handler } = route;
    route.handler = function (request, reply) {
      return largeBodies.during(request, async () => handler.call(this, request, reply));
    };
  });
}

/** Every line in the log that a request causes says so. What reads its body would else forget which one it is. */
function keepContext(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, _reply, done) => {
    const traceParent = parseTraceParent(request.headers['traceparent']);
    request.logContext = { requestId: request.id, ...traceParent };
    runInRequest(request.logContext, done);
  });
  fastify.addHook('preValidation', (request, _reply, done) =>
    runInRequest(request.logContext, done),
  );
}
