import './require-node.js';
import { deployMigrations } from '@rind/database/migrate/deploy';
import { MigrateError, describeError } from '@rind/database/migrate/errors';
import { Logger } from '@nestjs/common';
import { createApp } from './create-app.js';
import { PortError, listenEverywhere } from './listen.js';
import { type Config, ConfigError, loadConfig } from './platform/config/config.js';
import { refuseUnexpectedPooler } from './platform/database/pooler-check.js';
import { JsonLogger } from './platform/logging/json-logger.js';
import { logStart } from './platform/logging/log-start.js';
import { stopOnSignals } from './stop-on-signals.js';

// In a container nothing ends the first process that does not listen for it. PostgreSQL rolls back what was begun.
const endAtOnce = (): never => process.exit(1);
process.once('SIGTERM', endAtOnce).once('SIGINT', endAtOnce);
try {
  const config = loadConfig(process.env);
  await refuseUnexpectedPooler(config);
  if (config.migrates) await migrate(config);
  const app = await createApp(config);
  stopOnSignals(app, config);
  process.off('SIGTERM', endAtOnce).off('SIGINT', endAtOnce);
  await listenEverywhere(app, config.port);
  logStart(config);
  for (const sentence of config.warnings) new Logger('Config').warn(sentence);
} catch (error) {
  // Before the logger exists, or when it is what failed: plain text for whoever starts it.
  const isForPeople = [ConfigError, MigrateError, PortError].some((kind) => error instanceof kind);
  console.error(isForPeople ? describeError(error) : error);
  process.exit(1);
}

async function migrate(config: Config): Promise<void> {
  const logger = new JsonLogger(config);
  try {
    await deployMigrations({
      databaseUrl: config.database.directUrl,
      onProgress: (message) => logger.log(message, 'Migrations'),
    });
  } catch (error) {
    if (error instanceof MigrateError) throw error;
    throw new MigrateError(`The database could not be migrated: ${describeError(error)}`, {
      cause: error,
    });
  }
}
