import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Device } from '@rind/contracts';
import { addressKey } from '../platform/http/client-address.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import { KnownDevicesRepository } from './known-devices.repository.js';

/** Remembers where users have signed in, so that they are told of a sign-in from elsewhere. */
@Injectable()
export class KnownDevices {
  constructor(private readonly devices: KnownDevicesRepository) {}

  /**
   * False for the first device of an account, as for those that were seen before. Joins the current
   * transaction, in which the user was locked.
   */
  async isStrange(
    userId: string,
    device: Device | undefined,
    client: ClientInfo,
  ): Promise<boolean> {
    const { isStrange } = await this.devices.meet(userId, fingerprintOf(device, client));
    return isStrange;
  }

  /** When each was last seen, the latest first. */
  async list(userId: string): Promise<Array<{ lastSeenAt: Date }>> {
    return this.devices.list(userId);
  }

  /** When the account turns out to belong to somebody else. Joins a current transaction. */
  async forgetAll(userId: string): Promise<void> {
    await this.devices.deleteAll(userId);
  }
}

/** Of a client that brings no id, the place and the browser: another of either counts as new. */
function fingerprintOf(device: Device | undefined, { ip, userAgent }: ClientInfo): Buffer {
  const identity = device ? ['device', device.id] : ['place', addressKey(ip), userAgent];
  return createHash('sha256').update(JSON.stringify(identity)).digest();
}
