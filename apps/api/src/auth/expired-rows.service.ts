import { Injectable, Logger } from '@nestjs/common';
import { z } from 'zod';
import { inBatches } from '../platform/database/in-batches.js';
import { Jobs, type ScheduledJob } from '../platform/jobs/jobs.js';
import { KnownDevicesRepository } from './known-devices.repository.js';
import { MailTokensRepository } from './mails/mail-tokens.repository.js';
import { PendingSignInsRepository } from './mfa/pending-sign-ins.repository.js';
import { OAuthFlowsRepository } from './oauth/oauth-flows.repository.js';
import { SessionsRepository } from './sessions.repository.js';

const purgeJob: ScheduledJob = { name: 'purge_auth', payload: z.object({}) };

/** A device that comes back later is announced as a new one. */
const UNSEEN_DAYS = 400;

/** Deletes what has expired and is refused already, so that nobody notices: hourly, as strangers may add to some of it. */
@Injectable()
export class ExpiredRowsService {
  private readonly logger = new Logger(ExpiredRowsService.name);

  constructor(
    private readonly devices: KnownDevicesRepository,
    private readonly flows: OAuthFlowsRepository,
    private readonly mailTokens: MailTokensRepository,
    private readonly pendingSignIns: PendingSignInsRepository,
    private readonly sessions: SessionsRepository,
    jobs: Jobs,
  ) {
    jobs.handle(purgeJob, () => this.purge());
    jobs.schedule(purgeJob, '10 * * * *');
  }

  private async purge(): Promise<void> {
    const deleted = {
      sessions: await inBatches((limit) => this.sessions.deleteExpired(limit)),
      mailTokens: await inBatches((limit) => this.mailTokens.deleteExpired(limit)),
      pendingSignIns: await inBatches((limit) => this.pendingSignIns.deleteExpired(limit)),
      oauthFlows: await inBatches((limit) => this.flows.deleteExpiredFlows(limit)),
      oauthCodes: await inBatches((limit) => this.flows.deleteExpiredCodes(limit)),
      knownDevices: await inBatches((limit) => this.devices.deleteUnseen(UNSEEN_DAYS, limit)),
    };
    this.logger.log(deleted, 'What had expired was deleted');
  }
}
