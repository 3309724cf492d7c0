import './require-node.js';
import { operations, runCommand } from '@rind/database/migrate/commands';

const help = `Migrates the database, as the API does at its start unless it has MIGRATE=off.

  node dist/migrate.js               apply pending migrations; creates the database if there is none
  node dist/migrate.js status        list migrations and their state; exit 1 unless all are applied
  node dist/migrate.js resolve       record what became of a migration that failed
        --rolled-back <name>         nothing of it remains: the next attempt runs it again
        --applied <name>             it was completed by hand
  node dist/migrate.js --help        this text

Environment: DATABASE_DIRECT_URL, else DATABASE_URL
`;

const [command = 'deploy', ...words] = process.argv.slice(2);
await runCommand(operations, help, [command, ...words]);
