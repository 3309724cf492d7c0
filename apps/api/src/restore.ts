import { databaseOfEnvironment, runRestore } from '@rind/database/backup/commands';
import { version } from './platform/version.js';

await runRestore(process.argv.slice(2), { version, withDatabase: databaseOfEnvironment });
