import { Injectable } from '@nestjs/common';
import type { ErrorCode } from '@rind/contracts';
import type { Counter } from 'prom-client';
import { Metrics } from '../metrics/metrics.js';
import { Connections } from './connections.js';

/** Why a socket was closed that nobody asked to be closed. */
type Drop = 'payload_too_large' | 'slow_consumer' | 'too_many_packets';

/** What operators may want to know of sockets. */
@Injectable()
export class RealtimeMetrics {
  private readonly refused: Counter<'code'>;
  private readonly events: Counter<'event'>;
  private readonly dropped: Counter<'reason'>;

  constructor(metrics: Metrics, connections: Connections) {
    metrics.gauges({
      gauges: { rind_realtime_sockets: 'Sockets of signed-in users that are open now' },
      read: async () => ({ rind_realtime_sockets: connections.size }),
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
    });
  }

  countRefusedHandshake(code: ErrorCode): void {
    this.refused.inc({ code });
  }

  countEvent(event: string): void {
    this.events.inc({ event });
  }

  countDropped(reason: Drop): void {
    this.dropped.inc({ reason });
  }
}
