import { Injectable } from '@nestjs/common';
import { errorCodes } from '@rind/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Counter, Histogram } from 'prom-client';
import { Metrics } from '../metrics/metrics.js';
import { statusOf } from './status.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the body, as they came. */
    receivedBytes?: number;
    /** Of the body of the answer, as they left. */
    sentBytes?: number;
    /** Until its answer was ready to be sent. */
    answeredAfterMs?: number;
  }
}

/** Around 200 ms, which 95 of 100 requests may take. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30];

/** Others are parsed by Node, and met by no route. */
const methods = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT']);

type Route = 'method' | 'route';

/** What operators may want to know of requests. Routes are templates: nothing that a client made up is a label. */
@Injectable()
export class RequestMetrics {
  private readonly requests: Counter<Route | 'status'>;
  private readonly seconds: Histogram<Route>;
  private readonly received: Counter<Route>;
  private readonly sent: Counter<Route>;
  private readonly problems: Counter<'code'>;

  constructor(metrics: Metrics) {
    this.requests = metrics.counter({
      name: 'rind_http_requests_total',
      help: 'Requests that were answered',
      labelNames: ['method', 'route', 'status'],
    });
    this.seconds = metrics.histogram({
      name: 'rind_http_request_seconds',
      help: 'From a request until its answer was ready to be sent; how fast a client reads is its own affair',
      labelNames: ['method', 'route'],
      buckets: SECONDS,
    });
    this.received = metrics.counter({
      name: 'rind_http_received_bytes_total',
      help: 'Bytes of the bodies of requests, as they came',
      labelNames: ['method', 'route'],
    });
    this.sent = metrics.counter({
      name: 'rind_http_sent_bytes_total',
      help: 'Bytes of the bodies of answers, as they left',
      labelNames: ['method', 'route'],
    });
    this.problems = metrics.counter({
      name: 'rind_problems_total',
      help: 'Requests that were answered with a problem, by its code',
      labelNames: ['code'],
      labelValues: Object.keys(errorCodes),
    });
  }

  /** When the answer is out, or its client has left (status 499). */
  count(request: FastifyRequest, reply: FastifyReply): void {
    const labels = {
      method: methods.has(request.method) ? request.method : 'other',
      route: request.routeOptions.url ?? 'unknown',
    };
    this.requests.inc({ ...labels, status: statusOf(reply) });
    this.seconds.observe(labels, (request.answeredAfterMs ?? reply.elapsedTime) / 1000);
    this.received.inc(labels, request.receivedBytes ?? 0);
    this.sent.inc(labels, request.sentBytes ?? 0);
    const code = request.logged?.problem;
    if (code) this.problems.inc({ code });
  }
}
