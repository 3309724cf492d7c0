import { Global, Module } from '@nestjs/common';
import { ClientEvents } from './client-events.js';
import { Connections } from './connections.js';
import { HandshakeController } from './handshake.controller.js';
import { InstanceLink } from './instance-link.js';
import { RealtimeMetrics } from './realtime-metrics.js';
import { SocketLimits } from './socket-limits.js';
import { Realtime } from './realtime.js';
import { RealtimeGateway } from './realtime.gateway.js';
import { SocketEngine } from './socket-engine.js';

@Global()
@Module({
  controllers: [HandshakeController],
  providers: [
    ClientEvents,
    Connections,
    InstanceLink,
    Realtime,
    RealtimeGateway,
    RealtimeMetrics,
    SocketEngine,
    SocketLimits,
  ],
  exports: [Realtime],
})
export class RealtimeModule {}
