import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { databaseEnvironment } from '@rind/database/database-url';
import { UsageError } from '@rind/database/migrate/errors';
import { runProgram } from '@rind/database/program';
import { AdminUsersService } from './admin/admin-users.service.js';
import { createCommandApp } from './create-command-app.js';
import { DomainError } from './platform/errors/domain.error.js';

const help = `Makes a registered user an administrator, such as the first one, who can then make others in the API.
May be run again. Running instances see it at once.

  npm run admin:grant EMAIL
  node dist/grant-admin.js EMAIL      in the image

${databaseEnvironment}`;

async function grant(email: string): Promise<void> {
  const app = await createCommandApp(process.env);
  try {
    const user = await app.get(AdminUsersService).grantAdmin(email);
    console.log(`${user.email} has the roles ${user.roles.join(', ')}.`);
  } catch (error) {
    throw error instanceof DomainError && error.code === 'not_found'
      ? new Error(`Nobody is registered as ${email}: register first.`, { cause: error })
      : error;
  } finally {
    await app.close();
  }
}

const args = process.argv.slice(2).filter((word) => word !== '--');
await runProgram(args, {
  help,
  interrupted: 'Interrupted: run it again, which does no harm where it was done.',
  run: async () => {
    const [email, ...others] = parseArgs({ args, allowPositionals: true }).positionals;
    if (!email || others.length > 0) {
      throw new UsageError('Give one address: --help shows how.');
    }
    if (existsSync('.env')) process.loadEnvFile();
    await grant(email);
  },
});
