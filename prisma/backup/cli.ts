import api from '../../apps/api/package.json' with { type: 'json' };
import { databaseOfCheckout, loadEnvFile } from '../checkout.ts';
import { runBackup, runRestore } from './commands.ts';

loadEnvFile();

const [command, ...args] = process.argv.slice(2);
await (command === 'restore' ? runRestore : runBackup)(args, {
  version: api.version,
  withDatabase: databaseOfCheckout,
});
