import { runMarkRestored } from '@rind/database/restored/commands';
import { databaseOfEnvironment } from '@rind/database/with-database';

await runMarkRestored(process.argv.slice(2), databaseOfEnvironment);
