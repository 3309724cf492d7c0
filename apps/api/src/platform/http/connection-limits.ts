import type { Socket } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Config } from '../config/config.js';
import { UnreadableRequests } from './unreadable-requests.js';

/** How many connections there may be, and what becomes of those that carry no request. */
export function limitConnections(app: NestFastifyApplication, { http }: Config): void {
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
