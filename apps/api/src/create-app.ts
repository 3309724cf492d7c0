import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import helmet from '@fastify/helmet';
import type { LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type SyncTable, syncTables } from '@rind/contracts';
import { AppModule } from './app.module.js';
import { CrossOriginRequests } from './auth/cookies/cross-origin-requests.js';
import { LargeBodies } from './auth/large-bodies.js';
import { PrincipalsService } from './auth/principals.service.js';
import { serveDocument } from './openapi.js';
import type { Config } from './platform/config/config.js';
import { DomainError } from './platform/errors/domain.error.js';
import { sendProblem } from './platform/errors/send-problem.js';
import { GLOBAL_PREFIX } from './platform/http/global-prefix.js';
import { refuseUnless } from './platform/http/packed-bodies.js';
import { ProxyWatch } from './platform/http/proxy-watch.js';
import { RequestLog } from './platform/http/request-log.js';
import { RequestMetrics } from './platform/http/request-metrics.js';
import { countSentBytes } from './platform/http/sent-bytes.js';
import { SlowBodies } from './platform/http/slow-bodies.js';
import { hasLeft } from './platform/http/status.js';
import { isWatchedRoute } from './platform/http/watched-routes.js';
import { UnreadableRequests } from './platform/http/unreadable-requests.js';
import { JobWorker } from './platform/jobs/job-worker.js';
import { METRICS_PATH } from './platform/metrics/metrics-path.js';
import { InstanceLink } from './platform/realtime/instance-link.js';
import { SocketEngine } from './platform/realtime/socket-engine.js';
import { SocketServerAdapter } from './platform/realtime/socket-server-adapter.js';
import { JsonLogger } from './platform/logging/json-logger.js';
import { runInRequest } from './platform/logging/request-context.js';
import { parseTraceParent } from './platform/logging/trace-parent.js';
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
/** Preferences in any script, or two tokens of a provider; strangers may hold as much on each connection. */
const BODY_LIMIT_BYTES = 64 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
/**
 * For connections on which nothing moves, such as that of a client that does not read its answer: longer
 * than a large pull may wait for its turn and for the database.
 */
const IDLE_TIMEOUT_MS = 180_000;
const REQUEST_ID = /^[\w.:-]{1,128}$/;

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
  app.enableCors({
    origin: config.http.corsOrigins.includes('*') ? true : [...config.http.corsOrigins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: ['x-request-id', 'ratelimit', 'ratelimit-policy', 'retry-after'],
    maxAge: 600,
    // A bare OPTIONS is a request like any other, not a malformed preflight.
    strictPreflight: false,
  });
  await app.register(helmet, {
    frameguard: { action: 'deny' },
    contentSecurityPolicy: {
      directives: {
        'frame-ancestors': ["'none'"],
        // The reference page must load over plain HTTP on a developer's machine, too.
        'upgrade-insecure-requests': null,
      },
    },
  });
  limitConnections(app, config);
  addRequestHooks(app, config);
  endInOrder(app);
  serveSockets(app);
  serveDocument(app, config);
  return app;
}

function createAdapter(
  { http }: Config,
  noteUnreadable: (refusal: DomainError, request: FastifyRequest) => void,
): FastifyAdapter {
  const { trustProxy } = http;
  return new FastifyAdapter({
    // A hop count is given as a function: Fastify trusts nobody when it is given the number.
    ...(trustProxy !== null && {
      trustProxy:
        typeof trustProxy === 'number'
          ? (_address: string, hop: number) => hop < trustProxy
          : trustProxy,
    }),
    bodyLimit: BODY_LIMIT_BYTES,
    // What still arrives when the process ends is answered as ever, on connections that are closed with it.
    return503OnClosing: false,
    keepAliveTimeout: http.keepAliveMs,
    connectionTimeout: IDLE_TIMEOUT_MS,
    http: {
      shouldUpgradeCallback: SocketEngine.wants,
      headersTimeout: http.requestTimeoutMs,
      // Bodies have a time-out of their own (SlowBodies), which leaves large ones the time they need.
      requestTimeout: 0,
      // How often Node looks for connections on which the head of a request is late.
      connectionsCheckingInterval: Math.min(http.requestTimeoutMs, 5_000),
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    routerOptions: { ignoreTrailingSlash: true },
    // An address that cannot be decoded reaches neither route nor hook.
    frameworkErrors: (_error: Error, request: FastifyRequest, reply: FastifyReply) => {
      const refusal = new DomainError('malformed_request');
      reply.headers({
        'x-request-id': request.id,
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        // Nobody reads its body, or waits for the end of it.
        connection: 'close',
      });
      sendProblem(refusal, request, reply);
      noteUnreadable(refusal, request);
    },
    genReqId: ({ headers }: IncomingMessage) => {
      const given = headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
  });
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
  // JSON is the only content that routes take, but for one; anything else is 415.
  fastify.removeContentTypeParser('text/plain');
  readJson(fastify);
  readForms(fastify);
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

/** Jobs end while requests are still taken; what both of them need is closed after them. */
function endInOrder(app: NestFastifyApplication): void {
  const fastify = app.getHttpAdapter().getInstance();
  const shutdown = app.get(Shutdown);
  const jobWorker = app.get(JobWorker);
  shutdown.once('begun', () => void jobWorker.stop());
  shutdown.once('overdue', () => {
    // A client that never sends the rest of its request would hold up the end for ever.
    fastify.server.closeAllConnections();
    jobWorker.giveBack().catch(() => undefined);
  });
  fastify.addHook('onClose', async () => {
    await jobWorker.stop();
    shutdown.end();
  });
}

function limitConnections(app: NestFastifyApplication, { http }: Config): void {
  const { server } = app.getHttpAdapter().getInstance();
  const unreadableRequests = app.get(UnreadableRequests);
  server.maxConnections = http.connectionLimit;
  // Fastify's own listener would answer with a document that is no problem document.
  server.removeAllListeners('clientError');
  // Before Fastify, whose hooks may come to a request after Node has found its body to be none.
  server.prependListener('request', (request, response) =>
    unreadableRequests.watch(request, response),
  );
  server.on('drop', () => unreadableRequests.drop());
  server.on('clientError', (error, socket) => unreadableRequests.answer(error, socket as Socket));
}

function serveSockets(app: NestFastifyApplication): void {
  const sockets = app.get(SocketEngine);
  app.useWebSocketAdapter(new SocketServerAdapter(sockets, app.get(InstanceLink)));
  sockets.route(app.getHttpAdapter().getInstance());
}

/** Any other route would take forms from foreign pages, without a preflight. */
function readForms(fastify: FastifyInstance): void {
  for (const [type, routes] of Object.entries(FORM_ROUTES)) {
    fastify.addContentTypeParser(
      type,
      { parseAs: 'string' },
      async (request: FastifyRequest, body: string) => {
        request.receivedBytes = Buffer.byteLength(body);
        const isExpected = routes.some((route) => route === request.routeOptions.url);
        if (!isExpected) throw new DomainError('unsupported_media_type');
        return body;
      },
    );
  }
}

/**
 * Keys by which a prototype would be changed (`__proto__`, `constructor.prototype`) are refused, not left
 * out in silence: an app would miss what it has stored. In a push they could only name tables and columns
 * that nobody has declared, which are ignored like all others, so that no device is locked out (protocol rule 31).
 */
function readJson(fastify: FastifyInstance): void {
  const strict = fastify.getDefaultJsonParser('error', 'error');
  const lenient = fastify.getDefaultJsonParser('remove', 'remove');
  fastify.removeContentTypeParser('application/json');
  fastify.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) => {
      request.receivedBytes ??= body.length;
      // Some clients declare JSON on requests that have no body, such as a logout.
      if (body.length === 0) return undefined;
      const text = body.toString();
      const parse = request.routeOptions.url === PUSH_ROUTE ? lenient : strict;
      return new Promise<unknown>((resolve, reject) => {
        void parse(request, text, (error, json) => (error ? reject(error) : resolve(json)));
      });
    },
  );
}
