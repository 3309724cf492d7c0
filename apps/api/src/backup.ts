import { databaseOfEnvironment, runBackup } from '@rind/database/backup/commands';
import { version } from './platform/version.js';

await runBackup(process.argv.slice(2), { version, withDatabase: databaseOfEnvironment });
