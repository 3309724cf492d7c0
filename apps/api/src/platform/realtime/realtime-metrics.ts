import { Injectable } from '@nestjs/common';
import type { ErrorCode, ServerPayload } from '@rind/contracts';
import type { Counter, Histogram } from 'prom-client';
import { Clock } from '../clock/clock.js';
import { secondsSinceVersion } from '../clock/version-age.js';
import { Metrics } from '../metrics/metrics.js';
import { Connections } from './connections.js';

/** Why a socket was closed that nobody asked to be closed. */
type Drop = (typeof drops)[number];

const drops = ['payload_too_large', 'slow_consumer', 'too_many_packets'] as const;

/** Around the 100 ms that a change may take to reach the sockets of a user's other devices. */
const LATENCY_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

/** What operators may want to know of sockets. */
@Injectable()
export class RealtimeMetrics {
  private readonly accepted: Counter;
  private readonly latency: Histogram;
  private readonly refused: Counter<'code'>;
  private readonly events: Counter<'event'>;
  private readonly dropped: Counter<'reason'>;

  constructor(
    metrics: Metrics,
    connections: Connections,
    private readonly clock: Clock,
  ) {
    metrics.gauges({
      gauges: { rind_realtime_sockets: 'Sockets of signed-in users that are open now' },
      read: async () => ({ rind_realtime_sockets: connections.size }),
    });
    this.accepted = metrics.counter({
      name: 'rind_realtime_handshakes_accepted_total',
      help: 'Sockets that were let in',
    });
    this.latency = metrics.histogram({
      name: 'rind_realtime_latency_seconds',
      help: 'From the version of a change, by the clock of the database, until it was told to a socket here',
      buckets: LATENCY_SECONDS,
    });
    this.refused = metrics.counter({
      name: 'rind_realtime_handshakes_refused_total',
      help: 'Handshakes that were refused, by problem code',
      labelNames: ['code'],
    });
    this.events = metrics.counter({
      name: 'rind_realtime_events_total',
      help: 'Events that were sent, one for each socket that gets one',
      labelNames: ['event'],
    });
    this.dropped = metrics.counter({
      name: 'rind_realtime_sockets_dropped_total',
      help: 'Sockets that were closed because they did not read, or sent too much',
      labelNames: ['reason'],
      labelValues: drops,
    });
  }

  countRefusedHandshake(code: ErrorCode): void {
    this.refused.inc({ code });
  }

  countAcceptedHandshake(): void {
    this.accepted.inc();
  }

  /** Of the latest change that it tells of: earlier ones were folded into it. */
  countEvent(event: string, payload: unknown): void {
    this.events.inc({ event });
    if (event !== 'sync:changed') return;
    const { timestamp } = payload as ServerPayload<'sync:changed'>;
    const seconds = secondsSinceVersion(timestamp, this.clock.now());
    if (seconds !== null) this.latency.observe(seconds);
  }

  countDropped(reason: Drop): void {
    this.dropped.inc({ reason });
  }
}
