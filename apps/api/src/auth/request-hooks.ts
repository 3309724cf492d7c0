import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Config } from '../platform/config/config.js';
import { refuseUnless } from '../platform/http/packed-bodies.js';
import { CrossOriginRequests } from './cookies/cross-origin-requests.js';
import { LargeBodies } from './large-bodies.js';
import { PrincipalsService } from './principals.service.js';

export function refuseCrossOriginRequests(app: NestFastifyApplication): void {
  const crossOriginRequests = app.get(CrossOriginRequests);
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRequest', async (request) => crossOriginRequests.check(request));
}

/** A principal that was cached, and whose session turned out to have ended. */
export function forgetEndedSessions(app: NestFastifyApplication): void {
  const principals = app.get(PrincipalsService);
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onResponse', async (request, reply) => {
    if (reply.statusCode === 401 && request.principal) principals.forget(request.principal);
  });
}

/** At one route, which also takes bodies that are packed. */
export function acceptLargeBodies(
  app: NestFastifyApplication,
  { sync }: Config,
  { at: url }: { readonly at: string },
): void {
  const largeBodies = app.get(LargeBodies);
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRoute', (route) => {
    if (route.url !== url) return;
    route.bodyLimit = sync.bodyLimitBytes;
    route.onRequest = (request, reply) => largeBodies.admit(request, reply);
    route.preParsing = async (request, reply, payload) => {
      refuseUnless('gzip', request, reply);
      return largeBodies.read(request, payload);
    };
    const { handler } = route;
    route.handler = function (request, reply) {
      return largeBodies.during(request, async () => handler.call(this, request, reply));
    };
    route.onSend = async (request) => largeBodies.release(request);
  });
}
