import { runRestore } from '@rind/database/backup/commands';
import { databaseOfEnvironment } from '@rind/database/with-database';
import { version } from './platform/version.js';

await runRestore(process.argv.slice(2), { version, withDatabase: databaseOfEnvironment });
