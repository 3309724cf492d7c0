import { existsSync } from 'node:fs';
import { AdminUsersService } from './admin/admin-users.service.js';
import { createCommandApp } from './create-command-app.js';
import { DomainError } from './platform/errors/domain.error.js';

const help = `Makes a registered user an administrator, such as the first one, who can then make others in the API.
May be run again. Running instances see it at once.

  npm run admin:grant EMAIL
  node dist/grant-admin.js EMAIL      in the image

Environment (also read from .env):
  DATABASE_URL     the migrated database; by default that of a running \`npm start\`
  RIND_DATA_DIR    where that one keeps its address; by default .data
`;

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

const [email, ...others] = process.argv.slice(2).filter((word) => word !== '--');
if (email === '--help') {
  console.log(help);
} else if (email === undefined || others.length > 0) {
  console.error(help);
  process.exitCode = 2;
} else {
  if (existsSync('.env')) process.loadEnvFile();
  try {
    await grant(email);
  } catch (error) {
    console.error(error instanceof Error ? error.message.trim() : error);
    process.exitCode = 1;
  }
}
