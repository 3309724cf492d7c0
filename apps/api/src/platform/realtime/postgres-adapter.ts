import { ClusterAdapter, type ClusterMessage, type ClusterResponse } from 'socket.io-adapter';
import type { Namespace } from 'socket.io';
import type { InstanceLink } from './instance-link.js';

/** What Socket.IO sends to the sockets of this instance goes to those of all others as well. */
export class PostgresAdapter extends ClusterAdapter {
  constructor(
    namespace: Namespace,
    private readonly link: InstanceLink,
  ) {
    super(namespace);
    link.on('message', this.receive);
  }

  override close(): void {
    this.link.off('message', this.receive);
  }

  /** Sockets here do not wait for the database, and get their events while there is none. */
  protected override async doPublish(message: ClusterMessage): Promise<string> {
    this.link.publish(message);
    return '';
  }

  protected override async doPublishResponse(_to: string, answer: ClusterResponse): Promise<void> {
    this.link.publish(answer);
  }

  private readonly receive = (message: unknown): void => {
    const received = message as ClusterMessage;
    if (received.nsp === this.nsp.name) this.onMessage(received);
  };
}
