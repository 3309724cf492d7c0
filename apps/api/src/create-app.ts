import type { LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { type SyncTable, syncTables } from '@rind/contracts';
import { AppModule } from './app.module.js';
import {
  acceptLargeBodies,
  forgetEndedSessions,
  refuseCrossOriginRequests,
} from './auth/request-hooks.js';
import { serveDocument } from './openapi.js';
import type { Config } from './platform/config/config.js';
import { parseBodies } from './platform/http/body-parsers.js';
import { addBrowserHeaders } from './platform/http/browser-headers.js';
import { limitConnections } from './platform/http/connection-limits.js';
import { createAdapter } from './platform/http/fastify-adapter.js';
import { GLOBAL_PREFIX } from './platform/http/global-prefix.js';
import { refusePackedBodies } from './platform/http/packed-bodies.js';
import { beginRequests, keepContext, noteAnswers } from './platform/http/request-hooks.js';
import { UnreadableRequests } from './platform/http/unreadable-requests.js';
import { JsonLogger } from './platform/logging/json-logger.js';
import { METRICS_PATH } from './platform/metrics/metrics-path.js';
import { serveSockets } from './platform/realtime/serve-sockets.js';
import { endInOrder } from './platform/shutdown/end-in-order.js';

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

/** Hooks of one kind run in this order; what one of them refuses does not come to the next. */
function addRequestHooks(app: NestFastifyApplication, config: Config): void {
  keepContext(app);
  beginRequests(app, config);
  refuseCrossOriginRequests(app);
  noteAnswers(app);
  forgetEndedSessions(app);
  refusePackedBodies(app, { exceptAt: PUSH_ROUTE });
  acceptLargeBodies(app, config, { at: PUSH_ROUTE });
}
