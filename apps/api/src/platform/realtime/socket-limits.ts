import type { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import type { Socket as EngineSocket } from 'engine.io';
import { Clock } from '../clock/clock.js';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { RealtimeMetrics } from './realtime-metrics.js';

const WINDOW_MS = 1_000;

/** The errors that `ws` closes with the code 1009: beyond the limit, and beyond what numbers can count. */
const TOO_LARGE: ReadonlySet<string> = new Set([
  'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
  'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
]);

type EngineRequest = IncomingMessage & { websocket?: EventEmitter };

/** Keeps one client from costing more than its share, from the moment in which it is connected. */
@Injectable()
export class SocketLimits {
  private readonly packetsPerSecond: number;
  private readonly bufferLimitBytes: number;

  constructor(
    @InjectConfig() { realtime }: Config,
    private readonly metrics: RealtimeMetrics,
    private readonly clock: Clock,
  ) {
    this.packetsPerSecond = realtime.packetsPerSecond;
    this.bufferLimitBytes = realtime.bufferLimitBytes;
  }

  watch(connection: EngineSocket): void {
    this.boundIncoming(connection);
    this.boundOutgoing(connection);
    this.countTooLarge(connection);
  }

  private boundIncoming(connection: EngineSocket): void {
    let windowEndsAt = 0;
    let packets = 0;
    connection.on('packet', () => {
      const now = this.clock.now();
      if (now >= windowEndsAt) {
        windowEndsAt = now + WINDOW_MS;
        packets = 0;
      }
      packets += 1;
      if (packets !== this.packetsPerSecond + 1) return;
      this.metrics.countDropped('too_many_packets');
      cut(connection);
    });
  }

  /** The engine closes it by itself, and tells nobody but the WebSocket below it why. */
  private countTooLarge({ request }: EngineSocket): void {
    const { websocket } = request as EngineRequest;
    websocket?.once('error', ({ code }: NodeJS.ErrnoException) => {
      if (code !== undefined && TOO_LARGE.has(code)) this.metrics.countDropped('payload_too_large');
    });
  }

  /** What a client does not read would otherwise wait for it in memory, without an end. */
  private boundOutgoing(connection: EngineSocket): void {
    let waitingBytes = 0;
    let isCut = false;
    connection.on('packetCreate', ({ data }: { data?: string | Buffer }) => {
      waitingBytes += data?.length ?? 0;
      const socket = connection.request.socket;
      if (isCut || waitingBytes + socket.writableLength <= this.bufferLimitBytes) return;
      isCut = true;
      this.metrics.countDropped('slow_consumer');
      cut(connection);
    });
    // From here on they are counted by the connection below.
    connection.on('flush', () => {
      waitingBytes = 0;
    });
  }
}

/** At once: a close frame would wait behind what the client does not read, or not be heard. */
function cut({ request }: EngineSocket): void {
  request.socket.destroy();
}
