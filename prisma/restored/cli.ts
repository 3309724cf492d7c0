import { databaseOfCheckout, loadEnvFile } from '../checkout.ts';
import { runMarkRestored } from './commands.ts';

loadEnvFile();
await runMarkRestored(process.argv.slice(2), databaseOfCheckout);
